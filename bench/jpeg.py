"""What decoding JPEGs at a fraction of their size changes, for several networks and image sizes.

    python -m bench.jpeg FOLDER rows.jsonl --megapixels 0.2 --megapixels 12
    python -m bench.jpeg FOLDER rows.jsonl --megapixels 24 --images 0 50

FOLDER holds JPEGs of about 0.2 megapixels. The figures are added to the file of rows, so that a long
measurement can be made in parts; the table is made of all rows.
"""

import io
import itertools
import json
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import click
import numpy as np
import numpy.typing as npt
import onnx
from PIL import Image

from bench.jpeg_table import DENOMINATORS, Row, document
from predictor.config import BUNDLED_MODEL
from predictor.evaluation.predictors import LocalModel, opened
from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import to_tensor
from predictor.image.resize import Scaled
from predictor.model.device import Device
from predictor.model.scores import rank
from predictor.model.session import load

EXPORTS = Path(__file__).parent.parent / "tests" / "data" / "exports"
RESULTS = Path(__file__).parent / "results" / "jpeg.md"
# The bundled network at its own size and at smaller ones, and networks with random weights.
_SIZES = (224, 192, 160, 128, 96, 64)
_RANDOM = ("hf_vit", "hf_multi_label", "timm_vit", "torchvision_preset", "keras_caffe")
_FREE_SIZE, _FREE_SIZES = "timm_free_size", (64, 32)
_NATIVE = 0.25
# The tile of noise begins nowhere in a block of pixels where it began in another.
_NOISE, _TILE, _QUALITY = 4.0, 1021, 92
_LIMITS = Limits(max_bytes=100_000_000)
Array = npt.NDArray[np.float64]


def _networks(more: Sequence[Path], folder: Path) -> list[LocalModel]:
    found = [_resized(opened(BUNDLED_MODEL, None, None), BUNDLED_MODEL, size, folder) for size in _SIZES]
    found += [replace(opened(path, None, None), title=path.stem) for path in more]
    found += [_export(name, folder) for name in _RANDOM]
    free = _export(_FREE_SIZE, folder)
    return found + [_at(free, size) for size in _FREE_SIZES]


def _at(model: LocalModel, size: int) -> LocalModel:
    form = model.spec.preprocessing
    wanted = replace(form, height=size, width=size, resize_to=round(size / 0.875))
    title = f"{model.title.split()[0].removesuffix('.onnx')} {size}"
    return replace(model, title=title, spec=replace(model.spec, preprocessing=wanted))


def _resized(model: LocalModel, path: Path, size: int, folder: Path) -> LocalModel:
    """The same network and weights for images of another size."""
    changed = onnx.load(path)
    for axis in changed.graph.input[0].type.tensor_type.shape.dim[1:3]:
        axis.dim_value = size
    del changed.graph.value_info[:]
    onnx.save(changed, folder / f"{size}.onnx")
    return replace(_at(model, size), session=load(folder / f"{size}.onnx", Device("cpu")))


def _export(name: str, folder: Path) -> LocalModel:
    known, paths = dict[str, Any](), dict[str, Path]()
    for described in EXPORTS.glob("*.json"):
        known |= json.loads(described.read_text())
    for kind, text in known[name]["companions"].items():
        paths[kind] = folder / f"{name}.{kind}"
        paths[kind].write_text(text)
    model = opened(EXPORTS / f"{name}.onnx", paths.get("labels"), paths.get("preprocessing"))
    return replace(model, title=f"{name} {model.spec.preprocessing.height}")


def enlarged(path: Path, megapixels: float) -> bytes:
    """An image of so many megapixels, as a JPEG; the file as it is where that is its own size."""
    if megapixels <= _NATIVE:
        return path.read_bytes()
    image = Image.open(path).convert("RGB")
    factor = (megapixels * 1e6 / (image.width * image.height)) ** 0.5
    size = round(image.width * factor), round(image.height * factor)
    out = io.BytesIO()
    _noisy(image.resize(size, Image.Resampling.LANCZOS)).save(out, "JPEG", quality=_QUALITY)
    return out.getvalue()


def _noisy(image: Image.Image) -> Image.Image:
    tile = (_NOISE * np.random.default_rng(1).standard_normal((_TILE, _TILE, 3))).round().astype(np.int16)
    noise = np.tile(tile, (image.height // _TILE + 1, image.width // _TILE + 1, 1))
    pixels = noise[: image.height, : image.width] + np.asarray(image)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def measured(path: Path, megapixels: float, models: Sequence[LocalModel]) -> Iterator[Row]:
    """All scales and networks for one image."""
    data, expected, short = enlarged(path, megapixels), list[Array](), 0
    for denominator in DENOMINATORS:
        start = time.perf_counter()
        image = decode_scaled(data, _LIMITS, short // denominator)
        milliseconds = 1000 * (time.perf_counter() - start)
        answers = [_confidences(model, image) for model in models]
        if not expected:
            short, expected, answers = (
                min(image.size),
                answers,
                [_other_rounding(one, image) for one in models],
            )
        for model, found, right in zip(models, answers, expected, strict=True):
            target = min(model.spec.preprocessing.resized((1000, 1000)))
            yield Row(
                path.name, megapixels, model.title, denominator, short, target,
                float(np.abs(found - right).max()), bool(found.argmax() != right.argmax()), milliseconds,
            )  # fmt: skip


def _other_rounding(model: LocalModel, image: Scaled) -> Array:
    """The answer where rows are resized before columns, which changes the rounding alone."""
    axes = (0, 2, 1) if model.spec.preprocessing.layout == "NCHW" else (1, 0, 2)
    turned = image.pixels.transpose(Image.Transpose.TRANSPOSE)
    return _answer(model, to_tensor(turned, model.spec.preprocessing).transpose(axes))


def _confidences(model: LocalModel, image: Scaled) -> Array:
    return _answer(model, to_tensor(image, model.spec.preprocessing))


def _answer(model: LocalModel, tensor: npt.NDArray[Any]) -> Array:
    scores = model.run(tensor)
    ranked = rank(scores, model.spec.activation, len(model.spec.labels))
    return np.array([confidence for _, confidence in sorted(ranked)])


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.argument("kept", metavar="ROWS", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--megapixels", type=float, multiple=True, help="Sizes to measure; none: only write the table.")
@click.option("--images", nargs=2, default=(0, 100), help="The first image, and the one after the last.")
@click.option("--model", type=click.Path(exists=True, path_type=Path), multiple=True, help="A network more.")
def main(
    folder: Path, kept: Path, megapixels: list[float], images: tuple[int, int], model: list[Path]
) -> None:
    """Measure the images of FOLDER, add the figures to ROWS, and write bench/results/jpeg.md."""
    paths = sorted(path for path in folder.iterdir() if path.suffix.lower() in {".jpg", ".jpeg"})
    with tempfile.TemporaryDirectory() as scratch, kept.open("a") as out:
        models = _networks(model, Path(scratch)) if megapixels else []
        for size, path in itertools.product(megapixels, paths[slice(*images)]):
            out.writelines(json.dumps(asdict(row)) + "\n" for row in measured(path, size, models))
    rows = [Row(**json.loads(line)) for line in kept.read_text().splitlines()]
    RESULTS.write_text(document(rows))


if __name__ == "__main__":
    main()
