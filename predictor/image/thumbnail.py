"""A small copy of a picture, to be shown on a page."""

import io

from predictor.image.decode import Limits, decode

_SIDE = 640


def thumbnail(data: bytes, limits: Limits) -> bytes:
    """A JPEG of at most 640 pixels a side, upright.

    Raises:
        ImageError: the picture cannot be opened within the limits.
    """
    image = decode(data, limits, shortest=_SIDE)
    image.thumbnail((_SIDE, _SIDE))
    out = io.BytesIO()
    image.save(out, "JPEG", quality=80)
    return out.getvalue()
