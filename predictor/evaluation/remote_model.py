"""A model of a running service, asked over HTTP."""

import math
import time
from collections.abc import Mapping, Sequence
from typing import Any

from predictor import errors
from predictor.archives import shown
from predictor.client import Client
from predictor.client_types import ImageError, ServiceError
from predictor.errors import InvalidImage, InvalidRequest, NotReady
from predictor.evaluation.classes import Classes
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.results import TOP, UNSURE, Answer
from predictor.model.labels import Label
from predictor.model.scores import Ranked

_ALL = 1_000_000


class RemoteModel:
    """A model of a running service.

    Args:
        client: asks the service.
        name: the model.
        title: what a report is about.

    Attributes:
        about: the version that answered last.
    """

    def __init__(self, client: Client, name: str, title: str) -> None:
        self.title = title
        self.about: dict[str, Any] = {"name": name, "version": None, "digest": None}
        self._client = client
        self._name = name
        self._least: float | None = None
        self._independent = False

    def classes(self, images: Sequence[LabelledImage]) -> Classes:
        """The model's classes, from an answer for one of the images that names all of them.

        Raises:
            InvalidRequest: none of the images can be classified.
            NotReady: the service does not answer.
        """
        problem = ""
        for image in (one for one in images if not one.left_out):
            try:
                answer = self._ask(image.read(), _ALL)
            except errors.ImageError as error:
                problem = problem or f" The first is {shown(image.name)}: {error.detail}"
                continue
            self._independent = bool(answer.get("multi_label"))
            ranked = sorted(answer["predictions"], key=lambda one: int(one["index"]))
            labels = [Label(one["label"], one.get("id"), tuple(one.get("synonyms", ()))) for one in ranked]
            return Classes(labels, independent=self._independent)
        raise InvalidRequest(f"The service can classify none of the {len(images)} images.{problem}")

    def classify(self, data: bytes) -> Answer:
        """Classify an image, its JPEG decoded whole; the time is that from the request to the answer.

        Raises:
            InvalidImage: the service refuses the image.
            NotReady: it does not answer.
        """
        start = time.perf_counter()
        answer = self._ask(data, _ALL if self._independent else TOP)
        seconds = time.perf_counter() - start
        ranked = [(one["index"], one["confidence"]) for one in answer["predictions"]]
        named, (best, confidence) = self._named(data, ranked), ranked[0]
        if self._independent:
            return Answer(ranked, seconds, named=named)
        if self._least is None:
            return Answer(ranked, seconds)
        # The version's own threshold is between 0 and 1, and may be that of each class.
        return Answer(ranked, seconds, threshold=confidence if best in named else math.inf)

    def _named(self, data: bytes, ranked: Ranked) -> frozenset[int]:
        """The classes that reach their threshold; those of the version, where it has some, only it knows."""
        if self._least is None:
            return frozenset(index for index, confidence in ranked if confidence >= UNSURE)
        return frozenset(one["index"] for one in self._sent(data, _ALL, None)["predictions"])

    def _ask(self, data: bytes, top_k: int) -> Mapping[str, Any]:
        answer = self._sent(data, top_k, self._least)
        if self._least is None and "abstained" in answer:
            self._least = 0.0  # the version leaves classes out by itself; here all of them count
            return self._ask(data, top_k)
        self.about = dict(answer["model"])
        return answer

    def _sent(self, data: bytes, top_k: int, threshold: float | None) -> Mapping[str, Any]:
        if not data:  # a request without a body is refused as a whole
            raise InvalidImage("The image is empty.")
        options: dict[str, Any] = {
            "top_k": top_k,
            "model": self._name,
            "exact": True,
            "threshold": threshold,
        }
        try:
            return self._client.predict(data, **options).json
        except ImageError as error:
            raise InvalidImage(error.detail) from error
        except ServiceError as error:
            raise NotReady(error.detail) from error
