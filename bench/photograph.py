"""A photograph with the noise of a sensor, as a telephone takes it."""

from pathlib import Path

import numpy as np
from PIL import Image

# With this much noise its JPEG takes some two megabytes, as photographs do.
_NOISE, _QUALITY = 14.0, 75


def photograph(picture: Path, path: Path, size: tuple[int, int] = (4000, 3000)) -> Path:
    """Write the same photograph each time.

    Args:
        picture: what is on it.
        path: where to.
        size: width and height in pixels.
    """
    pixels = np.asarray(Image.open(picture).convert("RGB").resize(size), np.float32)
    noise = np.random.default_rng(1).normal(0, _NOISE, pixels.shape)
    Image.fromarray(np.clip(pixels + noise, 0, 255).astype(np.uint8)).save(path, "JPEG", quality=_QUALITY)
    return path
