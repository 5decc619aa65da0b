"""A model from a file on this machine, tried and understood as an upload would be."""

import shutil
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.checking.report import Request
from predictor.checking.runner import try_model
from predictor.config import Settings
from predictor.discovery.discover import recalled
from predictor.errors import InvalidRequest
from predictor.evaluation.pictures import Picture
from predictor.evaluation.runner import TOP, Answer
from predictor.image.decode import Limits, decode
from predictor.image.preprocess import to_tensor
from predictor.model.device import Device
from predictor.model.labels import Label
from predictor.model.scores import Ranked, described, flat, rank
from predictor.model.session import Session, load
from predictor.model.spec import ModelSpec

_MODEL, _LABELS, _PREPROCESSING = "model.onnx", "labels", "preprocessing"


@dataclass(frozen=True)
class LocalModel:
    """A model that runs in this process, on the CPU.

    Attributes:
        title: what it is called.
        spec: how to feed it and how to read its answer.
        session: runs it.
        limits: of pictures.
    """

    title: str
    spec: ModelSpec
    session: Session
    limits: Limits

    @property
    def about(self) -> dict[str, Any]:
        """What a report says of the model."""
        return {"name": self.title, "version": None, "digest": None}

    def labels(self, pictures: list[Picture]) -> tuple[Label, ...]:  # noqa: ARG002 (a service needs one to ask)
        """The model's classes."""
        return self.spec.labels

    def run(self, tensor: npt.NDArray[Any]) -> npt.NDArray[Any]:
        """Run one picture, given without a batch axis; its scores, shape [classes]."""
        batch = np.zeros((self.spec.batch or 1, *tensor.shape), tensor.dtype)
        batch[0] = tensor
        return np.asarray(flat(self.session.run(batch, self.spec.names))[0])

    def classify(self, data: bytes) -> Answer:
        """Classify a picture.

        Raises:
            ImageError: it cannot be opened.
        """
        start = time.perf_counter()
        ranked = self._ranked(data, TOP)
        return Answer(ranked, time.perf_counter() - start)

    def predictions(self, data: bytes, top_k: int) -> list[dict[str, Any]]:
        """The classes of an image, as in the API's `predictions`.

        Raises:
            ImageError: it cannot be opened.
        """
        return described(self._ranked(data, top_k), self.spec.labels)

    def _ranked(self, data: bytes, top_k: int) -> Ranked:
        image = decode(data, self.limits, self.spec.preprocessing.shortest)
        scores = self.run(to_tensor(image, self.spec.preprocessing))
        return rank(scores, self.spec.activation, top_k)


def opened(model: Path, labels_path: Path | None, preprocessing: Path | None) -> LocalModel:
    """Try a model in a process of its own, as the service tries an upload, and load it.

    Args:
        model: the ONNX file.
        labels_path: the labels that came with it; None for those in the file.
        preprocessing: the same for the preprocessing.

    Raises:
        InvalidModel: it cannot be served; the sentence says why.
        InvalidRequest: a file cannot be read.
    """
    given = {_MODEL: model, _LABELS: labels_path, _PREPROCESSING: preprocessing}
    settings = Settings()
    try:
        with tempfile.TemporaryDirectory() as folder:
            for name, path in given.items():
                if path is not None:
                    shutil.copyfile(path, Path(folder) / name)
            report = try_model(Path(folder), _request(given))
        text = None if labels_path is None else labels_path.read_text("utf-8-sig")
    except OSError as error:
        raise InvalidRequest("A file of the model cannot be read or copied.") from error
    session = load(model, Device("cpu"))
    limits = Limits(settings.formats, settings.max_pixels, settings.max_image_bytes)
    return LocalModel(model.name, recalled(report.spec, text, session.graph), session, limits)


def _request(given: dict[str, Path | None]) -> Request:
    names = {name: name if path is not None else None for name, path in given.items()}
    return Request(_MODEL, labels=names[_LABELS], preprocessing=names[_PREPROCESSING])
