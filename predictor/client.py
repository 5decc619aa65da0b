"""The Python client: the service's API in a call each. It needs `requests`, and nothing of the service.

from predictor.client import Client

client = Client("http://127.0.0.1:8080")
print(client.predict("cat.jpg").label)
"""

import base64
import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from numbers import Integral
from pathlib import Path
from typing import Any, cast

from predictor.client_answers import Changed, Deleted, Explanation, Model, Uploaded
from predictor.client_http import Form, Part, Transport, of_model, text_of
from predictor.client_images import encoded
from predictor.client_quality import QualityCalls
from predictor.client_types import (
    OF_ONE_IMAGE,
    DeadlineExceeded,
    Result,
    Score,
    ServiceError,
    Unavailable,
    Unreachable,
    UnreadableImage,
)

__all__ = ["Client", "Result", "Score", "ServiceError"]

Image = Any
"""What `Client.predict` takes; Pillow and numpy need not be installed where neither's image is given."""


class Client(QualityCalls):
    """A service, by its URL.

    Calls may come from several threads. A call that predicts or only reads is tried again if the connection
    breaks or the service asks for it (`Retry-After`), until its time is over; a call that changes something
    is tried again only where the service refused it before it began.

    Args:
        url: where the service is, for example "http://127.0.0.1:8080".
        token: a bearer token, if the service needs one.
        timeout: seconds for each call, retries included; uploads and evaluations have `long_timeout`.
        long_timeout: seconds for an upload or an evaluation.
        connections: most connections that are kept.
    """

    def __init__(
        self,
        url: str,
        token: str | None = None,
        *,
        timeout: float = 60.0,
        long_timeout: float = 3600.0,
        connections: int = 32,
    ) -> None:
        self._transport = Transport(url, token, connections)
        self._timeout = timeout
        self._long_timeout = long_timeout

    def close(self) -> None:
        """Close the connections."""
        self._transport.close()

    def __enter__(self) -> "Client":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def predict(self, image: Image, *, timeout: float | None = None, **options: Any) -> Result:
        """Say what is on an image.

        Args:
            image: the path of a file; a URL, which the service downloads, or a `data:` URL; the bytes of a
                file; a `PIL.Image.Image`; or a numpy array of uint8, of shape [height, width],
                [height, width, 3] in RGB or [height, width, 4] in RGBA.
            timeout: seconds for this call.
            options: those of `POST /predict`: top_k, threshold, model, version, fresh, exact, debug.

        Raises:
            ServiceError: there is no answer; the class says what kind of reason.
            OSError: the file cannot be read.
            TypeError: the image has another type.
        """
        return Result.of(self._ask("/predict", image, timeout, options))

    def explain(self, image: Image, *, timeout: float | None = None, **options: Any) -> Explanation:
        """Say which parts of an image speak for a class, as `POST /explain` does; raises as `predict` does.

        Args:
            image: as in `predict`.
            timeout: seconds for this call.
            options: those of `POST /explain`: method, overlay, model, version, exact; `class_` for `class`: a
                label, or an index as an int.
        """
        named = {name.rstrip("_"): value for name, value in options.items()}
        body = {}
        if isinstance(named.get("class"), Integral):
            # As text it would mean a class that is called so.
            body["class"] = int(named.pop("class"))
        return cast("Explanation", self._ask("/explain", image, timeout, named, **body))

    def predict_many(
        self, images: Iterable[Image], *, concurrency: int = 8, **options: Any
    ) -> Iterator[Result | ServiceError]:
        """Predict images, several at the same time; what came of them, in their order.

        Images are taken as answers are read, so any number of them needs little memory. An image that cannot
        be predicted, or whose file cannot be read, gives its error in its place.

        Args:
            images: as in `predict`.
            concurrency: how many are under way at the same time.
            options: as in `predict`.

        Raises:
            ServiceError: the service answers for no image: it cannot be reached, wants another token, or has
                no such model.
        """
        rest = iter(images)
        with ThreadPoolExecutor(concurrency, "predict") as pool:

            def begun(count: int | None) -> list[Future[Result]]:
                some = itertools.islice(rest, count)
                return [pool.submit(self.predict, image, **options) for image in some]

            waiting = deque(begun(concurrency))
            try:
                while waiting:
                    yield _outcome(waiting.popleft())
                    waiting += begun(1)
            finally:
                pool.shutdown(wait=False, cancel_futures=True)

    def upload(
        self,
        model: str | Path | None = None,
        *files: str | Path,
        source: str | None = None,
        labels: str | Path | None = None,
        preprocessing: str | Path | None = None,
        **fields: str,
    ) -> Uploaded:
        """Upload a model; once this returns, every worker serves it. The files are read as they are sent.

        Args:
            model: an .onnx file, a ZIP file, or a folder, all of whose files are sent; None with `source`.
            files: what else belongs to the model.
            source: where the service fetches the model instead, such as "hf:org/name@revision".
            labels: names of the classes, in any supported form.
            preprocessing: the preprocessing, in any supported form.
            fields: `name` of the model on the service; `file`, which .onnx file of several is meant;
                `force="true"`, to make it live although it gets too few golden images right.

        Returns:
            The service's answer: `name`, `version`, `digest`, `report` and others.

        Raises:
            InvalidModel: the model cannot be served; the sentence says why, and what to do.
            ServiceError: any other reason.
            OSError: a file cannot be read.
        """
        parts = [] if model is None else _parts(Path(model))
        fields |= {} if source is None else {"source": source}
        parts += [Part("files", Path(one), Path(one).name) for one in files]
        for field, one in (("labels", labels), ("preprocessing", preprocessing)):
            parts += [] if one is None else [Part(field, Path(one), Path(one).name)]
        form = Form(fields, parts)
        return cast("Uploaded", self._transport.call("POST", "/upload", self._long_timeout, form=form))

    def models(self) -> list[Model]:
        """All models with their versions, as `GET /models` gives them."""
        found: list[Model] = self._read("/models")["models"]
        return found

    def model(self, name: str = "default") -> Model:
        """One model with its versions, as `GET /models/<name>` gives it."""
        return cast("Model", self._read(of_model(name)))

    def activate(self, version: int, name: str = "default", *, force: bool = False) -> Changed:
        """Have every worker serve a version; `force` although it gets too few golden images right."""
        sent = {"version": version} | ({"force": True} if force else {})
        return cast("Changed", self._change("POST", f"{of_model(name)}/activate", json=sent))

    def rollback(self, name: str = "default") -> Changed:
        """Have every worker serve the version that was live before."""
        return cast("Changed", self._change("POST", f"{of_model(name)}/rollback"))

    def delete(self, name: str, version: int | None = None) -> Deleted:
        """Delete a version that is not live; without a version, the name with all its versions."""
        path = of_model(name) + ("" if version is None else f"/versions/{version}")
        return cast("Deleted", self._change("DELETE", path))

    def check(self) -> None:
        """Raise the error that a prediction would meet now whatever the image is, without a second try."""
        self._read("/readyz")

    def ready(self) -> bool:
        """Whether a prediction would succeed now."""
        try:
            self.check()
        except (Unavailable, Unreachable, DeadlineExceeded):
            return False
        return True

    def _ask(
        self, path: str, image: Image, timeout: float | None, options: Mapping[str, Any], **body: int
    ) -> dict[str, Any]:
        given = {name: _text(value) for name, value in options.items() if value is not None}
        seconds = self._timeout if timeout is None else timeout
        if isinstance(image, str) and image.lower().startswith(("http://", "https://", "data:")):
            sent: dict[str, Any] = {"json": {"image_url": image, **body}}
        elif body:
            sent = {"json": {"image": base64.b64encode(encoded(image)).decode(), **body}}
        else:
            sent = {"data": encoded(image), "headers": {"Content-Type": "application/octet-stream"}}
        return self._transport.call("POST", path, seconds, again=True, params=given, **sent)


def _parts(model: Path) -> list[Part]:
    """A model's file, or all files of its folder."""
    if not model.is_dir():
        return [Part("model", model, model.name)]
    inside = sorted(one for one in model.rglob("*") if one.is_file())
    return [Part("files", one, one.relative_to(model).as_posix()) for one in inside]


def _outcome(future: Future[Result]) -> Result | ServiceError:
    """What came of one image; an error that all images would have is raised."""
    try:
        return future.result()
    except OF_ONE_IMAGE as error:
        return error
    except OSError as error:
        return UnreadableImage(f"The image cannot be read: {error.strerror or error}.")


def _text(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else text_of(str(value))
