"""I2 and I7: parsers that nobody asked for, and pixels that are not what they seem."""

import io
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from predictor.config import Settings
from tests.image.mutants import encoded
from tests.live.attack_images.conftest import Target

pytestmark = pytest.mark.live
Image.init()
ALLOWED = set(Settings().formats)
# MPO is JPEG with more behind it.
WRITTEN = sorted(set(Image.SAVE) - ALLOWED - {"MPO"})
# Beginnings of formats that Pillow reads but does not write, and of some that it does not know.
BEGINNINGS = {
    "BUFR": b"BUFR" + bytes(100),
    "GRIB": b"GRIB\0\0\0\1" + bytes(100),
    "HDF5": b"\x89HDF\r\n\x1a\n" + bytes(100),
    "WMF": b"\xd7\xcd\xc6\x9a\0\0\0\0\0\0\x08\0\x08\0\x60\0" + bytes(100),
    "PSD": b"8BPS\0\1" + bytes(6) + b"\0\3" + b"\0\0\0\x08\0\0\0\x08\0\x08\0\3" + bytes(64),
    "FITS": b"SIMPLE  =                    T" + b" " * 50 + b"BITPIX  =                    8" + b" " * 2_770,
    "FLI": b"\x8a\0\0\0\x11\xaf\1\0\x08\0\x08\0\x08\0\3\0" + bytes(200),
    "SUN": b"\x59\xa6\x6a\x95\0\0\0\x08\0\0\0\x08\0\0\0\x18" + bytes(300),
    "CUR": b"\0\0\2\0\1\0\x08\x08\0\0\1\0\x20\0\x30\0\0\0\x16\0\0\0" + bytes(100),
    "DCX": b"\xb1\x68\xde\x3a\x0c\0\0\0" + bytes(200),
    "GBR": b"\0\0\0\x1c\0\0\0\2\0\0\0\x08\0\0\0\x08\0\0\0\1GIMP\0\0\0\x0a" + bytes(100),
    "XPM": b'/* XPM */\nstatic char *x[] = {"1 1 1 1", "a c #fff", "a"};\n',
    "XVTHUMB": b"P7 332\n#XVVERSION\n#END_OF_COMMENTS\n8 8 255\n" + bytes(64),
    "FTEX": b"FTEX" + bytes(100),
    "PCD": bytes(2048) + b"PCD_" + bytes(2048),
    "PIXAR": b"\x80\xe8\0\0" + bytes(1_100),
    "MCIDAS": b"\0\0\0\0\0\0\0\4" + bytes(300),
    "IPTC": b"\x1c\3\x3c\0\2\1\0" + bytes(100),
    "MPEG": b"\0\0\1\xb3\0\x80\x08\x13" + bytes(100),
    "SVG": b"<svg xmlns='http://www.w3.org/2000/svg'><image href='file:///etc/passwd'/></svg>",
    "MVG": b"push graphic-context\nviewbox 0 0 8 8\nimage over 0,0 0,0 'https://127.0.0.1/'\n",
    "PostScript": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n%%EndComments\n(/etc/passwd) (r) file\n",
    "HTML": b"<html><body><img src='http://127.0.0.1/'></body></html>",
    "ELF": b"\x7fELF\2\1\1" + bytes(100),
}


def written(kind: str) -> bytes:
    """A file of one of Pillow's writers, of the first kind of pixels that it takes."""
    for mode in ("RGB", "P", "L", "1", "F"):
        out = io.BytesIO()
        try:
            Image.new(mode, (64, 64)).save(out, kind)
        except (OSError, ValueError, KeyError):
            continue
        return out.getvalue()
    raise AssertionError(f"Pillow writes no {kind}")


@pytest.mark.promise("I2")
@pytest.mark.parametrize("kind", sorted({*WRITTEN, *BEGINNINGS}))
def test_unwanted_parser(target: Target, ghostscript: Path, kind: str) -> None:
    """A format that is not allowed is refused by its bytes, whatever its content type says."""
    data = BEGINNINGS.get(kind) or written(kind)

    for claimed in ("image/png", "image/jpeg", "application/octet-stream"):
        answer = target.send(data, claimed)
        assert (answer.status, answer.said) == (415, "unsupported_image")
    assert not (ghostscript / "was-run").exists()


def _turned(photo: Image.Image, value: int, kind: str) -> bytes:
    """The photograph stored in another orientation, which its EXIF block tells."""
    back = {
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[value]
    exif = Image.Exif()
    exif[0x0112] = value
    return encoded(photo.transpose(back), kind, exif=exif, quality=95)


def _deep(photo: Image.Image, kind: str = "PNG") -> bytes:
    return encoded(Image.fromarray(np.asarray(photo.convert("L")).astype(np.uint16) * 257), kind)


def _hidden(photo: Image.Image, mode: str, kind: str = "PNG") -> bytes:
    """The photograph in a wide margin without alpha, under which another colour is hidden."""
    framed = Image.new("RGBA", (photo.width + 60, photo.height + 60), (255, 0, 255, 0))
    framed.paste(photo.convert("RGBA"), (30, 30))
    return encoded(framed.convert(mode), kind)


def _framed(photo: Image.Image) -> Image.Image:
    framed = Image.new("RGB", (photo.width + 60, photo.height + 60), "white")
    framed.paste(photo, (30, 30))
    return framed


def _palette(photo: Image.Image) -> tuple[Image.Image, bytes]:
    """The photograph in 255 colours and a transparent one."""
    few = photo.quantize(255)
    index = np.asarray(few).copy()
    index[:20] = 255
    image = Image.fromarray(index)
    image.putpalette([*(few.getpalette() or [])[: 255 * 3], 255, 0, 255])
    shown = np.asarray(few.convert("RGB")).copy()
    shown[:20] = 255
    return Image.fromarray(shown), encoded(image, "PNG", transparency=255)


Pair = tuple[Image.Image, bytes]
PAIRS: dict[str, Callable[[Image.Image], Pair]] = {
    **{
        f"EXIF {value} in {kind}": lambda photo, value=value, kind=kind: (photo, _turned(photo, value, kind))  # type: ignore[misc]
        for value in range(2, 9)
        for kind in ("JPEG", "WEBP", "PNG", "AVIF", "TIFF")
    },
    "AVIF": lambda photo: (photo, encoded(photo, "AVIF", quality=90)),
    "TIFF with LZW": lambda photo: (photo, encoded(photo, "TIFF", compression="tiff_lzw")),
    "TIFF with JPEG": lambda photo: (photo, encoded(photo, "TIFF", compression="jpeg", quality=95)),
    "TIFF, CMYK": lambda photo: (photo, encoded(photo.convert("CMYK"), "TIFF")),
    "TIFF, grey of 16 bits": lambda photo: (photo.convert("L").convert("RGB"), _deep(photo, "TIFF")),
    "AVIF with alpha": lambda photo: (_framed(photo), _hidden(photo, "RGBA", "AVIF")),
    "TIFF with alpha": lambda photo: (_framed(photo), _hidden(photo, "RGBA", "TIFF")),
    "CMYK": lambda photo: (photo, encoded(photo.convert("CMYK"), "JPEG", quality=95)),
    "grey of 16 bits": lambda photo: (photo.convert("L").convert("RGB"), _deep(photo)),
    "RGBA": lambda photo: (_framed(photo), _hidden(photo, "RGBA")),
    "LA": lambda photo: (_framed(photo.convert("L").convert("RGB")), _hidden(photo, "LA")),
    "palette with alpha": _palette,
    "1 bit": lambda photo: (photo.convert("1").convert("RGB"), encoded(photo.convert("1"), "PNG")),
    "1 bit GIF": lambda photo: (photo.convert("1").convert("RGB"), encoded(photo.convert("1"), "GIF")),
    "grey JPEG": lambda photo: (
        photo.convert("L").convert("RGB"),
        encoded(photo.convert("L"), "JPEG", quality=95),
    ),
}


@pytest.mark.promise("I7")
@pytest.mark.parametrize("name", PAIRS)
def test_pixels(target: Target, cat: Path, name: str) -> None:
    """However an image is stored, it gets the class of the same image, upright and in RGB."""
    photo = Image.open(cat).convert("RGB")
    # The part of which the model is sure: of the whole, small changes tip the balance between two cats.
    upright, stored = PAIRS[name](photo.crop((photo.width // 3, photo.height // 3, *photo.size)))

    expected, got = target.send(encoded(upright, "PNG")), target.send(stored)

    assert (expected.status, got.status) == (200, 200)
    assert got.said == expected.said
