"""What lies in an upload's folder: what each file is for, and which of them a version keeps."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from predictor.archives import shown
from predictor.checking.report import SERVED, Report
from predictor.discovery.configs import native
from predictor.model.calibration import Calibration
from predictor.model_files import CALIBRATION, LABELS, MODEL, ORIGINAL, PREPROCESSING
from predictor.store.registry import ModelVersion

OPTIMISED = "optimised"
"""The field of a version's report that says how it was made faster, with the proof."""
VOID = "void"
"""The field of a proof that says why it does not hold any more; then nothing else of it is left."""
_USES = {MODEL: "model", LABELS: "labels", PREPROCESSING: "preprocessing", CALIBRATION: "calibration"}
_NOT = "not used"
_LISTED = 100
# What the report says of a version that a change of its preprocessing or calibration leaves as it is.
_KEPT = ("source", OPTIMISED)
_VOID = (
    "This version was made faster with another preprocessing, so that its proof does not hold. Change the "
    "preprocessing of the original version, and optimise that."
)


@dataclass(frozen=True)
class Found:
    """What is known of labels and preprocessing that were found among the files, not sent as such.

    Attributes:
        unsure: those that are used only if they fit, with the uploader's path for each.
        guessed: as in `checking.report.Request`.
        warnings: sentences for the uploader.
    """

    unsure: Mapping[str, str] = field(default_factory=dict)
    guessed: bool = False
    warnings: Sequence[str] = ()


@dataclass(frozen=True)
class Received:
    """What lies in an upload's folder.

    Attributes:
        name: the model that it is to be a version of.
        files: the uploader's path for each file, by its name in the folder.
        by: the address that it came from.
        data: the names in the folder of those that may hold weights, by their paths from the model's folder.
        unused: the uploader's paths for what was not kept.
        force: whether it is published although it gets too few golden images right.
        about: what else the report says of the version, such as where its files are from.
        found: what is known of labels and preprocessing that nobody sent as such.
    """

    name: str
    files: Mapping[str, str]
    by: str | None
    data: Mapping[str, str] = field(default_factory=dict)
    unused: Sequence[str] = ()
    force: bool = False
    about: Mapping[str, Any] = field(default_factory=dict)
    found: Found = field(default_factory=Found)

    def uses(self, report: Report) -> list[dict[str, str]]:
        """What each file was used for, as the answer says it.

        Args:
            report: which files weights were read from, and which were passed over.
        """
        read = {self.data[path]: "weights" for path in report.weights} | dict.fromkeys(report.unused, _NOT)
        uses = [(path, (_USES | read).get(name, _NOT)) for name, path in self.files.items()]
        used = [one for one in uses if one[1] != _NOT]
        unused = [*(one for one in uses if one[1] == _NOT), *((path, _NOT) for path in self.unused)]
        return [*_some(used), *_some(unused)]


def kept(folder: Path, received: Received, report: Report) -> dict[str, str]:
    """Let the graph that is to be served take the model's place, and drop what is not needed or used.

    Where more was done than to join a model with its weights, the original stays beside.

    Returns:
        The uploader's path for each file that stays, by its name in the folder.
    """
    files = dict(received.files)
    for name in report.unused:
        (folder / name).unlink(missing_ok=True)
        files.pop(name, None)
    if (folder / SERVED).exists():
        if report.adapted:
            (folder / MODEL).rename(folder / ORIGINAL)
            files[ORIGINAL] = files[MODEL]
        (folder / SERVED).rename(folder / MODEL)
    for path, name in received.data.items():
        if name in report.beside or (report.adapted and path in report.weights):
            files[name] = path
        else:
            (folder / name).unlink()
            files.pop(name, None)
    return files


@dataclass(frozen=True)
class Revision:
    """How a version is to differ from another one.

    Attributes:
        file: `PREPROCESSING` or `CALIBRATION`, the file that is replaced. A calibration is lost with another
            preprocessing, which changes the scores.
        text: its new content.
        by: the address that it came from.
        force: as in `Received`.
    """

    file: str
    text: str
    by: str | None
    force: bool = False


def revised(base: ModelVersion, revision: Revision, folder: Path) -> Received:
    """Lay a version's files into a folder, with one of them replaced."""
    names, data, known = {MODEL: base.path.name}, dict[str, str](), base.manifest
    about = {} if known is None else {key: known.report[key] for key in _KEPT if key in known.report}
    original = base.path.with_name(ORIGINAL)
    shutil.copyfile(original if original.exists() else base.path, folder / MODEL)
    before, text = base.companion(PREPROCESSING), revision.text
    if known is not None:
        names, data = {MODEL: known.model}, known.weights()
        names |= {} if known.labels is None else {LABELS: known.labels}
        names |= {} if before is None else {PREPROCESSING: known.preprocessing or "preprocessing.json"}
        for name in (*data.values(), *(names.keys() & {LABELS, PREPROCESSING})):
            shutil.copyfile(base.path.with_name(name), folder / name)
    if revision.file == PREPROCESSING:
        about |= {OPTIMISED: {VOID: _VOID}} if OPTIMISED in about else {}
        text = native.continued(text, before)
    (folder / revision.file).write_text(text, encoding="utf-8")
    paths = {name: path for path, name in data.items()}
    names |= {revision.file: f"{revision.file}.json", **paths}
    return Received(base.name, names, revision.by, data, force=revision.force, about=about)


def _some(uses: Sequence[tuple[str, str]]) -> list[dict[str, str]]:
    """A list that stays short, however many files there are."""
    more = len(uses) - _LISTED
    rest = [{"name": f"{more} more", "use": uses[-1][1]}] if more > 0 else []
    return [{"name": shown(name), "use": use} for name, use in uses[:_LISTED]] + rest


def calibration(folder: Path, report: Mapping[str, Any] | None) -> Calibration:
    """The calibration among the files of an upload.

    Args:
        folder: of the upload.
        report: what the check found out, which it must fit; None before the check.

    Raises:
        InvalidModel: it cannot be read, or does not fit.
    """
    text = (folder / CALIBRATION).read_text(encoding="utf-8")
    if report is None:
        return Calibration.parse(text, None, independent=True)
    independent = not report["binary"] and (report["multi_label"] or report["activation"] == "sigmoid")
    return Calibration.parse(text, int(report["classes"]), independent=independent)
