"""What is sent, how often, and what the right answer to it is."""

import base64
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field

LIVE = "live"
"""In place of a label: the live model's for the cat."""
_BOUNDARY = "soak"


@dataclass(frozen=True)
class Request:
    """A request of some kind."""

    method: str
    path: str
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Kind:
    """A kind of request.

    Attributes:
        weight: how often it is sent, compared with the others.
        status: of the right answer.
        labels: of the right answer: `LIVE`, or the code of an error; of a page, none.
        make: makes one.
        inside: whether it is only for this machine, and never goes through a proxy.
    """

    weight: int
    status: int
    labels: tuple[str, ...]
    make: Callable[["Maker"], Request]
    inside: bool = False


class Maker:
    """Makes requests of an image.

    Args:
        picture: a JPEG.
        address: of a server that has the image under any path.
        seed: of the choice.
    """

    def __init__(self, picture: bytes, address: str, seed: int | None = None) -> None:
        self.picture = picture
        self.address = address
        self._chance = random.Random(seed)
        self._kinds = [name for name, kind in KINDS.items() for _ in range(kind.weight)]

    def next(self) -> tuple[str, Request]:
        """A request of a kind drawn by its weight."""
        name = self._chance.choice(self._kinds)
        return name, KINDS[name].make(self)

    def some(self) -> bytes:
        """The image as it is, or a fresh one."""
        return self.picture if self._chance.random() < 0.5 else self.fresh()

    def fresh(self) -> bytes:
        """The image with a comment of its own: other bytes, and so another digest, but the same pixels."""
        return commented(self.picture, self._chance.randbytes(8))

    def url(self) -> str:
        """The address of the image, or of a fresh one."""
        fresh = self._chance.random() < 0.5
        return f"{self.address}/{self._chance.randbytes(8).hex() if fresh else 'cat'}.jpg"


def commented(jpeg: bytes, comment: bytes) -> bytes:
    """A JPEG with a comment."""
    return jpeg[:2] + b"\xff\xfe" + (len(comment) + 2).to_bytes(2, "big") + comment + jpeg[2:]


def _json(value: object) -> Request:
    return Request("POST", "/predict", json.dumps(value).encode(), {"Content-Type": "application/json"})


def _bytes(content: bytes) -> Request:
    return Request("POST", "/predict", content, {"Content-Type": "image/jpeg"})


def _base64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _form(content: bytes) -> Request:
    head = f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="image"; filename="cat.jpg"\r\n\r\n'
    body = head.encode() + content + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return Request("POST", "/predict", body, {"Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"})


def _many(maker: Maker) -> Request:
    pictures = [maker.picture, maker.fresh(), maker.picture[:2000], maker.fresh()]
    return _json({"images": [_base64(picture) for picture in pictures]})


def _page(path: str) -> Callable[[Maker], Request]:
    return lambda _: Request("GET", path)


KINDS: dict[str, Kind] = {
    "body": Kind(10, 200, (LIVE,), lambda maker: _bytes(maker.some())),
    "base64": Kind(4, 200, (LIVE,), lambda maker: _json({"image": _base64(maker.some())})),
    "form": Kind(4, 200, (LIVE,), lambda maker: _form(maker.some())),
    "many": Kind(2, 200, (LIVE, LIVE, "invalid_image", LIVE), _many),
    "address": Kind(4, 200, (LIVE,), lambda maker: _json({"image_url": maker.url()})),
    "cut picture": Kind(2, 422, ("invalid_image",), lambda maker: _bytes(maker.fresh()[:3000])),
    "no picture": Kind(1, 415, ("unsupported_image",), lambda _: _bytes(b"This is no picture." * 50)),
    "page": Kind(2, 200, (), _page("/")),
    "list of models": Kind(1, 200, (), _page("/models")),
    "readyz": Kind(1, 200, (), _page("/readyz")),
    "metrics": Kind(1, 200, (), _page("/metrics"), inside=True),
}
