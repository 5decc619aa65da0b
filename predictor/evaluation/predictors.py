"""A model from files on this machine, tried and understood as an upload would be."""

import os
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.archives import written
from predictor.checking.report import SERVED, Report
from predictor.config import Settings
from predictor.discovery.discover import recalled
from predictor.errors import InvalidRequest
from predictor.evaluation.classes import Classes
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.local_files import files_of, refuse_others, tried, without_archives
from predictor.evaluation.results import Answer
from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import to_tensor
from predictor.importing.bundle import Bundle, recognise
from predictor.importing.unpacking import Sent
from predictor.model.device import Device
from predictor.model.scores import described, flat, rank
from predictor.model.session import Session, load
from predictor.model.spec import ModelSpec
from predictor.model.strict_text import decoded
from predictor.model_files import LABELS, MODEL


@dataclass(frozen=True)
class LocalModel:
    """A model that runs in this process.

    Attributes:
        title: what it is called.
        spec: how to feed it and how to read its answer.
        session: runs it.
        limits: of images.
        exact: whether `predictions` decodes JPEGs whole; `classify` always does.
    """

    title: str
    spec: ModelSpec
    session: Session
    limits: Limits
    exact: bool = False

    @property
    def about(self) -> dict[str, Any]:
        """What a report says of the model."""
        return {"name": self.title, "version": None, "digest": None}

    def classes(self, images: list[LabelledImage]) -> Classes:  # noqa: ARG002 (a service needs one to ask)
        """The model's classes."""
        return Classes(self.spec.labels, independent=self.spec.independent)

    def run(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run one image, given without a batch axis; its scores, shape [classes]."""
        batch = np.zeros((self.spec.batch or 1, *tensor.shape), tensor.dtype)
        batch[0] = tensor
        return np.asarray(flat(self.session.run(batch, self.spec.names))[0])

    def classify(self, data: bytes) -> Answer:
        """Classify an image.

        Raises:
            ImageError: it cannot be opened.
        """
        start = time.perf_counter()
        scores = self._scores(data, exact=True)
        return Answer.of(scores, self.spec, time.perf_counter() - start)

    def predictions(self, data: bytes, top_k: int) -> list[dict[str, Any]]:
        """The classes of an image, as in the API's `predictions`.

        Raises:
            ImageError: it cannot be opened.
        """
        ranked = rank(self._scores(data, exact=self.exact), self.spec.activation, top_k)
        return described(ranked, self.spec.labels)

    def _scores(self, data: bytes, *, exact: bool) -> npt.NDArray[Any]:
        form = self.spec.preprocessing
        image = decode_scaled(data, self.limits, 0 if exact else form.shortest, mode=form.mode)
        return self.run(to_tensor(image, form, exact=exact))


@dataclass(frozen=True)
class Checked:
    """A model that passed its check, for any process of this machine to load.

    Attributes:
        title: what it is called.
        path: the graph that is loaded.
        report: what the check found out, as `ModelSpec.to_json` writes it.
        labels: the text of the labels that came with it; None for those in the file.
        limits: of images.
        exact: as in `LocalModel`.
        beside: the names of the files that must stay beside the graph.
        warnings: sentences for a person.
        device: where it runs.
    """

    title: str
    path: Path
    report: Mapping[str, Any]
    labels: str | None
    limits: Limits
    exact: bool
    beside: Sequence[str] = ()
    warnings: Sequence[str] = ()
    device: Device = field(default_factory=lambda: Device("cpu"))

    @property
    def files(self) -> list[Path]:
        """The graph and the files beside it that hold its weights."""
        return [self.path, *(self.path.parent / name for name in self.beside)]

    def load(self) -> LocalModel:
        """Load the model into this process.

        Raises:
            InvalidModel: it cannot be loaded.
            NotReady: its GPU cannot be used.
        """
        session = load(self.path, self.device)
        spec = recalled(self.report, self.labels, session.graph)
        return LocalModel(self.title, spec, session, self.limits, self.exact)


@contextmanager
def checked(
    model: Path,
    labels: Path | None,
    preprocessing: Path | None,
    *,
    file: str | None = None,
    settings: Settings | None = None,
    exact: bool = False,
) -> Iterator[Checked]:
    """Try a model in a process of its own, as the service tries an upload; it can be loaded in the block.

    Args:
        model: an .onnx file, a ZIP file or a folder. Of the files beside an .onnx file only those with its
            weights are used.
        labels: labels in place of those that come with it.
        preprocessing: the same for the preprocessing.
        file: which .onnx file of several is the model.
        settings: limits of the model and of images; by default the default settings.
        exact: whether its `predictions` are to decode JPEGs whole.

    Raises:
        InvalidModel: it cannot be served; the sentence says why.
        InvalidRequest: a file cannot be read or is a pipe or a device, or it is unclear which is the model.
        ModelTooLarge: the files have more bytes than the settings allow.
    """
    settings = settings or Settings()
    given = {"labels": labels, "preprocessing": preprocessing}
    apart = {role: Sent(path.name, path) for role, path in given.items() if path is not None}
    with ExitStack() as copies:
        try:
            refuse_others([model, *(one.path for one in apart.values())], settings.max_model_bytes)
            folder = Path(copies.enter_context(tempfile.TemporaryDirectory()))
            files = without_archives(files_of(model, file), model, folder, settings.max_model_bytes)
            bundle = _recognised(files, model, file, apart)
            tries = folder / "check"
            report = tried(tries, files, bundle, apart, settings)
            text = _labels(tries, report)
        except OSError as error:
            where = os.fsdecode(error.filename2 or error.filename or tempfile.gettempdir())
            raise InvalidRequest(
                f"A file of the model cannot be read or copied. {written(where)}: {error.strerror}."
            ) from error
        path = _graph(tries, files[bundle.model])
        if not path.is_relative_to(folder):
            # The copies go now, and not at an end that a killed process never comes to.
            copies.close()
        yield Checked(
            written(model.resolve().name),
            path,
            report.spec,
            text,
            Limits.of(settings),
            exact,
            report.beside,
            (*bundle.warnings, *report.all_warnings),
        )


def opened(model: Path, labels: Path | None, preprocessing: Path | None, **options: Any) -> LocalModel:
    """Check a model and load it; arguments and errors are those of `checked`."""
    with checked(model, labels, preprocessing, **options) as found:
        return found.load()


def _recognised(
    files: Mapping[str, Path], model: Path, file: str | None, apart: Mapping[str, Sent]
) -> Bundle:
    if files.get(model.name) == model:
        # What a file beside a model says may be about another one.
        return recognise(files, model=model.name, file=file, given=("labels", "preprocessing"))
    return recognise(files, file=file, given=apart.keys())


def _graph(tries: Path, original: Path) -> Path:
    """The file that is loaded: the adapted one, or the original, if the runtime can open it."""
    if (tries / SERVED).exists():
        return tries / SERVED
    # The runtime opens no file whose path is not UTF-8; the copy of the check has a name of our own.
    return original if written(str(original)) == str(original) else tries / MODEL


def _labels(folder: Path, report: Report) -> str | None:
    """The labels that came with a model and are used, as text."""
    path = folder / LABELS
    return decoded(path.read_bytes()) if path.exists() and LABELS not in report.unused else None
