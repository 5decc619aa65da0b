"""A running service, asked over HTTP."""

import json
import time
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlencode

import urllib3

from predictor.errors import InvalidImage, InvalidRequest, NotReady
from predictor.evaluation.pictures import Picture
from predictor.evaluation.runner import TOP, Answer
from predictor.model.labels import Label

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

    Attributes:
        title: what a report is about.
        about: the version that answered last.
    """

    def __init__(self, url: str, name: str, token: str | None) -> None:
        self.title = f"{name} of {url}"
        self.about: dict[str, Any] = {"name": name, "version": None, "digest": None}
        self._url = f"{url.rstrip('/')}/predict"
        self._name = name
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
                answer = self._ask(picture.read(), _ALL)
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
        answer = self._ask(data, TOP)
        seconds = time.perf_counter() - start
        return Answer([(one["index"], one["confidence"]) for one in answer["predictions"]], seconds)

    def predictions(self, data: bytes, top_k: int) -> list[dict[str, Any]]:
        """The classes of an image, as in the API's `predictions`.

        Raises:
            InvalidImage: the service refuses the image.
            NotReady: it does not answer.
        """
        return list(self._ask(data, top_k)["predictions"])

    def _ask(self, data: bytes, top_k: int) -> dict[str, Any]:
        for _ in range(_TRIES):
            status, wait, answer = self._answer(data, top_k)
            if status == 200:
                self.about = answer["model"]
                return answer
            if status != _SERVICE_UNAVAILABLE or wait is None:
                break
            time.sleep(wait)
        problem = str(answer.get("detail", f"The service answered with status {status}."))
        raise InvalidImage(problem) if status in {413, 415, 422} else NotReady(problem)

    def _answer(self, data: bytes, top_k: int) -> tuple[int, float | None, dict[str, Any]]:
        """Status, seconds until it may be tried again, and body."""
        query = urlencode({"top_k": top_k, "model": self._name})
        try:
            response = self._pool.request("POST", f"{self._url}?{query}", body=data, headers=self._headers)
            body = json.loads(response.data)
        except urllib3.exceptions.HTTPError as error:
            raise NotReady("The service cannot be reached; check its URL.") from error
        except ValueError as error:
            raise NotReady("The server at this URL is not an image prediction service.") from error
        after = response.headers.get("Retry-After", "")
        return response.status, float(after) if after.isdecimal() else None, body
