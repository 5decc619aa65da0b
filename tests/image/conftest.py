"""Small images made in memory, shared by the tests of the images' room."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from PIL import Image

Encode = Callable[..., bytes]


def _encode(image: Image.Image, kind: str, **options: Any) -> bytes:
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def _png_chunk(name: bytes, body: bytes) -> bytes:
    return struct.pack(">L", len(body)) + name + body + struct.pack(">L", zlib.crc32(name + body))


def _png(width: int, height: int, kind: tuple[int, int], rows: bytes, *extra: tuple[bytes, bytes]) -> bytes:
    """A PNG by hand: `kind` is bit depth and colour type, `rows` each begin with filter byte 0."""
    header = struct.pack(">LLBBBBB", width, height, *kind, 0, 0, 0)
    chunks = ((b"IHDR", header), *extra, (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_png_chunk(*chunk) for chunk in chunks)


@pytest.fixture
def encode() -> Encode:
    """Pillow's encoder: an image, a format and options in, bytes out."""
    return _encode


@pytest.fixture
def make_png() -> Callable[..., bytes]:
    """A PNG written chunk by chunk, without Pillow."""
    return _png


@pytest.fixture(scope="session")
def pixels() -> npt.NDArray[np.uint8]:
    """Random RGB pixels, 40 rows of 56."""
    return np.random.default_rng(7).integers(0, 256, (40, 56, 3), dtype=np.uint8)


@pytest.fixture(scope="session")
def smooth() -> npt.NDArray[np.uint8]:
    """A smooth RGB image, 96 rows of 128, that JPEG keeps within a few levels."""
    y, x = np.mgrid[0:96, 0:128]
    planes = (x * 2, y * 2.5, 128 + 100 * np.sin(x / 20) * np.cos(y / 17))
    picture: npt.NDArray[np.uint8] = np.clip(np.stack(planes, axis=-1), 0, 255).astype(np.uint8)
    return picture
