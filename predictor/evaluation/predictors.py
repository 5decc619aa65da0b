"""A model from a file on this machine, tried and understood as an upload would be."""

import shutil
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.checking.report import SERVED, Request
from predictor.checking.runner import try_model
from predictor.config import Settings
from predictor.discovery.discover import recalled
from predictor.errors import InvalidRequest
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.results import Answer
from predictor.evaluation.tables import Classes
from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import to_tensor
from predictor.model.device import Device
from predictor.model.scores import described, flat, rank
from predictor.model.session import Session, load
from predictor.model.spec import ModelSpec
from predictor.model.strict_text import decoded

_MODEL, _LABELS, _PREPROCESSING = "model.onnx", "labels", "preprocessing"


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
        device: where it runs.
    """

    title: str
    path: Path
    report: Mapping[str, Any]
    labels: str | None
    limits: Limits
    exact: bool
    device: Device = field(default_factory=lambda: Device("cpu"))

    @property
    def files(self) -> list[Path]:
        """The graph and the files beside it that may hold its weights."""
        return [self.path, *_beside(self.path)]

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
    limits: Limits | None = None,
    exact: bool = False,
) -> Iterator[Checked]:
    """Try a model in a process of its own, as the service tries an upload; it can be loaded in the block.

    Args:
        model: the ONNX file.
        labels: the labels that came with it; None for those in the file.
        preprocessing: the same for the preprocessing.
        limits: of images; by default those of the default settings.
        exact: whether its `predictions` are to decode JPEGs whole.

    Raises:
        InvalidModel: it cannot be served; the sentence says why.
        InvalidRequest: a file cannot be read.
    """
    with ExitStack() as copies:
        try:
            folder = Path(copies.enter_context(tempfile.TemporaryDirectory()))
            report = try_model(folder, _copied(model, labels, preprocessing, folder))
            text = None if labels is None else decoded(labels.read_bytes())
        except OSError as error:
            raise InvalidRequest("A file of the model cannot be read or copied.") from error
        served = folder / SERVED
        path = served if served.exists() else model
        if path is model:
            # The copies go now, and not at an end that a killed process never comes to.
            copies.close()
        yield Checked(model.name, path, report.spec, text, limits or Limits.of(Settings()), exact)


def opened(
    model: Path, labels_path: Path | None, preprocessing: Path | None, *, exact: bool = False
) -> LocalModel:
    """Check a model and load it; arguments and errors are those of `checked`."""
    with checked(model, labels_path, preprocessing, exact=exact) as found:
        return found.load()


def _copied(model: Path, labels: Path | None, preprocessing: Path | None, folder: Path) -> Request:
    """Copy a model and what belongs to it into a folder, for its check."""
    weights = _beside(model)
    data = {path.name: f"data-{number}" for number, path in enumerate(weights)}
    given = {_MODEL: model, _LABELS: labels, _PREPROCESSING: preprocessing}
    copied = {name: path for name, path in given.items() if path is not None}
    for name, path in {**copied, **dict(zip(data.values(), weights, strict=True))}.items():
        shutil.copyfile(path, folder / name)
    return Request(
        _MODEL,
        labels=_LABELS if labels is not None else None,
        preprocessing=_PREPROCESSING if preprocessing is not None else None,
        data=data,
    )


def _beside(model: Path) -> list[Path]:
    # Exporters name the file of a model's weights after the model: m.onnx.data, model.onnx_data.
    return [path for path in model.parent.iterdir() if path.name.startswith(model.name) and path != model]
