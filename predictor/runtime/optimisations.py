"""Faster forms of the models that this worker serves: made, proved, kept, and published as versions."""

import json
import logging
import shutil
from collections.abc import Callable, Generator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from predictor.config import Settings
from predictor.discovery.configs import native
from predictor.errors import InvalidModel, ModelConflict
from predictor.evaluation.images import LabelledImage
from predictor.image.decode import Limits
from predictor.inference.loader import LoadedModel
from predictor.model import hardware
from predictor.model.device import Device
from predictor.model_files import CALIBRATION, LABELS, MODEL, PREPROCESSING
from predictor.optimising.optimiser import PACE_SECONDS, Optimiser, Source, Step
from predictor.optimising.processes import Processes
from predictor.runtime.evaluations import BUSY, LOCK
from predictor.runtime.received import OPTIMISED as KEY
from predictor.runtime.received import VOID, Received
from predictor.runtime.uploads import Uploads
from predictor.store import manifest
from predictor.store.files import alone, move_folder, storage_errors
from predictor.store.publish import Published
from predictor.store.registry import ModelVersion

FOLDER = "faster"
"""The folder of a version in which its recommended faster form lies, until the next optimisation."""
_REPORT, _DIGEST = "report.json", "digest"
_ANOTHER = (
    "Another optimisation of this version has ended meanwhile, and its form is another one. Nothing was "
    "changed. Optimise the version again, and publish what that recommends."
)

log = logging.getLogger(__name__)


class Optimisations:
    """Makes models faster, one at a time on a machine, and publishes what is recommended.

    Args:
        settings: limits.
        uploads: takes a faster form as it takes any upload.
        folder: where files about a version lie.
        report: what the check of a version found.

    Attributes:
        pace_seconds: how long each measurement of the pace of two models takes.
    """

    def __init__(
        self,
        settings: Settings,
        uploads: Uploads,
        folder: Callable[[ModelVersion], Path],
        report: Callable[[ModelVersion], Mapping[str, Any]],
    ) -> None:
        self.pace_seconds = PACE_SECONDS
        self._limits = Limits.of(settings)
        self._uploads = uploads
        self._folder = folder
        self._known = report
        # Evaluations lock the same file: either would spoil the other's times.
        self._lock = settings.data / LOCK

    def optimise(
        self, model: LoadedModel, images: Sequence[LabelledImage], max_loss: float, device: Device
    ) -> Generator[Step, None, None]:
        """Make faster forms of a model, prove each on images, and keep the recommended one.

        Args:
            model: in single precision; it need not be live any more by the end.
            images: images, labelled or not.
            max_loss: the accuracy that may be lost, as a share of all images.
            device: what the model runs on.

        Raises:
            ModelConflict: another optimisation or evaluation is under way.
            InvalidRequest: the images are too few.
            InvalidModel: the model cannot be made faster.
        """
        with storage_errors(), alone(self._lock, BUSY), self._uploads.staging.new_folder() as folder:
            processes = Processes(folder, device)
            source = Source(model.version.path, model.spec, device)
            optimiser = Optimiser(source, folder, processes, max_loss, self.pace_seconds)
            for step in optimiser.steps(images, self._limits):
                if isinstance(step, dict):
                    self._keep(model.version, optimiser, step)
                yield step

    def publish(
        self, version: ModelVersion, by: str | None, *, digest: str | None = None, force: bool = False
    ) -> Published:
        """Publish the recommended faster form of a version, with the report that recommends it.

        Args:
            version: of which it was made.
            by: the address that this was asked from.
            digest: of the form that is meant; None for the one that lies there.
            force: whether it is published although it gets too few golden images right.

        Raises:
            ModelConflict: there is none, or another one than is meant.
            InvalidModel: it does not pass its check.
        """
        kept = self._folder(version) / FOLDER
        try:
            report = json.loads((kept / _REPORT).read_bytes())
        except (OSError, ValueError) as error:
            raise ModelConflict(
                "There is no faster form of this version to publish. Optimise it first, on this machine."
            ) from error
        if digest not in {None, report.get(_DIGEST)}:
            raise ModelConflict(_ANOTHER)
        return self._uploads.take(
            lambda folder: replace(self._laid(version, kept, report, folder), by=by, force=force)
        )

    def _keep(self, version: ModelVersion, optimiser: Optimiser, report: dict[str, Any]) -> None:
        """Lay the recommended candidate beside the version, in the place of an earlier one.

        The report gets the digest of its file.
        """
        target, staging = self._folder(version) / FOLDER, self._uploads.staging
        report[_DIGEST] = None
        with storage_errors(), staging.new_folder() as fresh, staging.new_folder() as old:
            if (key := report["recommended"]) is not None:
                shutil.move(optimiser.file(key), fresh / MODEL)
                report[_DIGEST] = manifest.digest(fresh / MODEL)
                (fresh / _REPORT).write_text(json.dumps(report))
            if target.exists():
                target.rename(old / FOLDER)
            if key is not None:
                move_folder(fresh, target)

    def _laid(self, version: ModelVersion, kept: Path, report: dict[str, Any], folder: Path) -> Received:
        """Lay a faster form into a folder, with labels, preprocessing and calibration of the version."""
        names = {MODEL: f"{_stem(version)}-{report['recommended']}.onnx"}
        shutil.copyfile(kept / MODEL, folder / MODEL)
        # Another optimisation may have ended since the report was read.
        if manifest.digest(folder / MODEL) != report.get(_DIGEST):
            raise ModelConflict(_ANOTHER)
        if version.manifest is not None and version.manifest.labels is not None:
            names[LABELS] = version.manifest.labels
            shutil.copyfile(version.path.with_name(LABELS), folder / LABELS)
        names[PREPROCESSING] = "preprocessing.json"
        (folder / PREPROCESSING).write_text(self._preprocessing(version), encoding="utf-8")
        if (calibration := version.companion(CALIBRATION)) is not None:
            names[CALIBRATION] = "calibration.json"
            (folder / CALIBRATION).write_text(calibration, encoding="utf-8")
        return Received(version.name, names, None, about={KEY: report})

    def _preprocessing(self, version: ModelVersion) -> str:
        """All that is known of how the version is fed and read, so that nothing is to be found out again."""
        known = self._known(version)
        said = {**known["preprocessing"], "output": known["outputs"][0]["name"]}
        if known["activation"] != "none":
            said["activation"] = known["activation"]
        return native.continued(json.dumps(said), version.companion(PREPROCESSING))


def _stem(version: ModelVersion) -> str:
    name = version.path.name if version.manifest is None else version.manifest.model
    return name.removesuffix(".onnx")


def elsewhere(report: Mapping[str, Any], device: Device | None) -> str | None:
    """Why the proof in a report does not hold here; None if it does, or there is none.

    Args:
        report: of a version.
        device: what versions run on; None while that is not known.
    """
    proof = report.get(KEY)
    if not isinstance(proof, Mapping):
        return None
    if VOID in proof:
        return str(proof[VOID])
    if device is not None and proof.get("device", device.name) != device.name:
        return (
            f"This version was made faster on another device ({proof['device']}) than it runs on "
            f"({device.name}). It may be slower or less accurate here. Optimise the original version here."
        )
    # On a GPU the processor computes nothing.
    return hardware.elsewhere(proof.get("processor")) if device is None or device.kind == "cpu" else None


def warned(report: Mapping[str, Any], device: Device | None) -> Mapping[str, Any]:
    """A version's report, with a warning where its proof does not hold here."""
    sentence = elsewhere(report, device)
    if sentence is None:
        return report
    return {**report, "warnings": [*report.get("warnings", ()), sentence]}


def warn(version: ModelVersion, device: Device | None) -> None:
    """Log it where the proof of a version that is loaded does not hold here."""
    if version.manifest is not None and (sentence := elsewhere(version.manifest.report, device)):
        log.warning("%s: %s", version.key, sentence)


def check_source(report: Mapping[str, Any]) -> None:
    """Make sure that a version is not a faster form itself.

    Raises:
        InvalidModel: it is.
    """
    if KEY in report:
        raise InvalidModel("This version is a faster form already. Optimise the version that it was made of.")
