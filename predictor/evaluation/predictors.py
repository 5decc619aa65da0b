"""A model from a file on this machine, tried and understood as an upload would be."""

import json
import shutil
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import numpy as np
import numpy.typing as npt
import urllib3

from predictor.checking.report import SERVED, Request
from predictor.checking.runner import try_model
from predictor.config import Settings
from predictor.discovery.discover import recalled
from predictor.errors import InvalidImage, InvalidRequest, NotReady
from predictor.evaluation.images import Picture
from predictor.evaluation.runner import TOP, Answer
from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import to_tensor
from predictor.model.device import Device
from predictor.model.labels import Label
from predictor.model.scores import Ranked, described, flat, rank
from predictor.model.session import Session, load
from predictor.model.spec import ModelSpec
from predictor.model.strict_text import decoded

_MODEL, _LABELS, _PREPROCESSING = "model.onnx", "labels", "preprocessing"


@dataclass(frozen=True)
class LocalModel:
    """A model that runs in this process, on the CPU.

    Attributes:
        title: what it is called.
        spec: how to feed it and how to read its answer.
        session: runs it.
        limits: of pictures.
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
        ranked = self._ranked(data, TOP, exact=True)
        return Answer(ranked, time.perf_counter() - start)

    def predictions(self, data: bytes, top_k: int) -> list[dict[str, Any]]:
        """The classes of an image, as in the API's `predictions`.

        Raises:
            ImageError: it cannot be opened.
        """
        return described(self._ranked(data, top_k, exact=self.exact), self.spec.labels)

    def _ranked(self, data: bytes, top_k: int, *, exact: bool) -> Ranked:
        form = self.spec.preprocessing
        image = decode_scaled(data, self.limits, 0 if exact else form.shortest, mode=form.mode)
        scores = self.run(to_tensor(image, form, exact=exact))
        return rank(scores, self.spec.activation, top_k)


def opened(
    model: Path, labels_path: Path | None, preprocessing: Path | None, *, exact: bool = False
) -> LocalModel:
    """Try a model in a process of its own, as the service tries an upload, and load it.

    Args:
        model: the ONNX file.
        labels_path: the labels that came with it; None for those in the file.
        preprocessing: the same for the preprocessing.
        exact: whether its `predictions` are to decode JPEGs whole.

    Raises:
        InvalidModel: it cannot be served; the sentence says why.
        InvalidRequest: a file cannot be read.
    """
    try:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            report = try_model(folder, _copied(model, labels_path, preprocessing, folder))
            served = folder / SERVED
            session = load(served if served.exists() else model, Device("cpu"))
        text = None if labels_path is None else decoded(labels_path.read_bytes())
    except OSError as error:
        raise InvalidRequest("A file of the model cannot be read or copied.") from error
    limits = Limits.of(Settings())
    return LocalModel(model.name, recalled(report.spec, text, session.graph), session, limits, exact)


def _copied(model: Path, labels: Path | None, preprocessing: Path | None, folder: Path) -> Request:
    """Copy a model and what belongs to it into a folder, for its check."""
    # Exporters name the file of a model's weights after the model: m.onnx.data, model.onnx_data.
    weights = [path for path in model.parent.iterdir() if path.name.startswith(model.name) and path != model]
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


_ALL = 1_000_000
_SECONDS = 120.0
_TRIES = 5
_SERVICE_UNAVAILABLE = 503


class RemoteModel:
    """A model of a running service.

    Args:
        url: where the service is.
        name: the model.
        token: its bearer token, if it needs one.
        exact: whether `predictions` asks it to decode JPEGs whole; `classify` always does.

    Attributes:
        title: what a report is about.
        about: the version that answered last.
    """

    def __init__(self, url: str, name: str, token: str | None, *, exact: bool = False) -> None:
        self.title = f"{name} of {url}"
        self.about: dict[str, Any] = {"name": name, "version": None, "digest": None}
        self._url = f"{url.rstrip('/')}/predict"
        self._name = name
        self._exact = exact
        self._headers = {"Content-Type": "application/octet-stream"}
        if token is not None:
            self._headers["Authorization"] = f"Bearer {token}"
        self._pool = urllib3.PoolManager(maxsize=64, timeout=_SECONDS, retries=False)

    def labels(self, pictures: Sequence[Picture]) -> tuple[Label, ...]:
        """The model's classes, from an answer for one of the pictures that names all of them.

        Raises:
            InvalidRequest: none of the first pictures can be classified.
            NotReady: the service does not answer.
        """
        problem = "There is no image."
        for picture in pictures[:_TRIES]:
            try:
                answer = self._ask(picture.read(), _ALL, exact=True)
            except InvalidImage as error:
                problem = error.detail
                continue
            ranked = sorted(answer["predictions"], key=lambda one: int(one["index"]))
            return tuple(Label(one["label"], one.get("id"), tuple(one.get("synonyms", ()))) for one in ranked)
        raise InvalidRequest(f"The service can classify none of the first images: {problem}")

    def classify(self, data: bytes) -> Answer:
        """Classify a picture; the time is that from the request to the answer.

        Raises:
            InvalidImage: the service refuses the picture.
            NotReady: it does not answer.
        """
        start = time.perf_counter()
        answer = self._ask(data, TOP, exact=True)
        seconds = time.perf_counter() - start
        return Answer([(one["index"], one["confidence"]) for one in answer["predictions"]], seconds)

    def predictions(self, data: bytes, top_k: int) -> list[dict[str, Any]]:
        """The classes of an image, as in the API's `predictions`.

        Raises:
            InvalidImage: the service refuses the image.
            NotReady: it does not answer.
        """
        return list(self._ask(data, top_k, exact=self._exact)["predictions"])

    def _ask(self, data: bytes, top_k: int, *, exact: bool) -> dict[str, Any]:
        for _ in range(_TRIES):
            status, wait, answer = self._answer(data, top_k, exact=exact)
            if status == 200:
                self.about = answer["model"]
                return answer
            if status != _SERVICE_UNAVAILABLE or wait is None:
                break
            time.sleep(wait)
        problem = str(answer.get("detail", f"The service answered with status {status}."))
        raise InvalidImage(problem) if status in {413, 415, 422} else NotReady(problem)

    def _answer(self, data: bytes, top_k: int, *, exact: bool) -> tuple[int, float | None, dict[str, Any]]:
        """Status, seconds until it may be tried again, and body."""
        chosen = {"top_k": top_k, "model": self._name} | ({"exact": "true"} if exact else {})
        query = urlencode(chosen)
        try:
            response = self._pool.request("POST", f"{self._url}?{query}", body=data, headers=self._headers)
            body = json.loads(response.data)
        except urllib3.exceptions.HTTPError as error:
            raise NotReady("The service cannot be reached; check its URL.") from error
        except ValueError as error:
            raise NotReady("The server at this URL is not an image prediction service.") from error
        after = response.headers.get("Retry-After", "")
        return response.status, float(after) if after.isdecimal() else None, body
