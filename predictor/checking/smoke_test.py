"""Run a model on images that are made up, and judge what it answers."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

from predictor.checking.report import Best, Refused
from predictor.image.preprocess import to_tensor
from predictor.model.label_lines import MAX_CLASSES
from predictor.model.labels import background
from predictor.model.scores import flat
from predictor.model.spec import ModelSpec

_Array = npt.NDArray[Any]
Run = Callable[[_Array], _Array]
"""Images, shape [batch, ...] -> their class scores."""

_SEED = 20_240_229
# Runs of images together; the first finds memory for the second.
_BATCH_RUNS = 2
TOLERANCE = 0.02
"""How much two scores may differ, as a share of the spread of the image's scores.

Kernels may sum in another order for another batch or device, in half precision most of all.
"""
_CLASSES = 5
# Of a model that gives the same score for every class.
_LEAST_SPREAD = 1e-6


@dataclass(frozen=True)
class Timing:
    """The best time of the runs with one size of batch."""

    batch: int
    seconds: float


@dataclass(frozen=True)
class SmokeTestResult:
    """What came of the runs.

    Attributes:
        scores: those of the images alone, shape [images, classes].
        single: the time for one image, or for the graph's fixed batch.
        batched: the time for the largest batch that was tried; the same if the batch is fixed.
        warnings: sentences for the uploader.
    """

    scores: _Array
    single: Timing
    batched: Timing
    warnings: tuple[str, ...]


def smoke_test(run: Run, spec: ModelSpec) -> SmokeTestResult:
    """Run zeros, ones, noise and an image, alone and, if the batch axis is free, all together.

    Args:
        run: runs the model.
        spec: how to feed it and what it answers.

    Raises:
        Refused: an answer is not one finite score for each class of each image.
    """
    samples = _samples(spec)
    size = 1 if spec.batch is None else spec.batch
    singles = [_timed(run, spec, [sample] * size, what) for what, sample in samples.items()]
    all_ = list(samples.values()) if spec.batch is None else []
    batches = [_timed(run, spec, all_, "a batch of images") for _ in range(_BATCH_RUNS) if all_]
    alone = Timing(size, min(seconds for _, seconds in singles))
    together = Timing(len(all_), min(seconds for _, seconds in batches)) if batches else alone
    scores = np.concatenate([scores[:1] for scores, _ in singles])
    return SmokeTestResult(
        scores, alone, together, tuple(_warnings(scores, [scores for scores, _ in batches]))
    )


def photograph() -> Image.Image:
    """An image with the smooth areas, edges and grain of a photograph, always the same, 320 x 240 pixels."""
    y, x = np.mgrid[0:240, 0:320]
    sky = np.stack([90 + y / 3, 140 + y / 4, 230 - y / 5], axis=-1)
    ground = np.stack([60 + 20 * np.sin(x / 7), 110 + 25 * np.sin((x + y) / 11), 40 + y / 8], axis=-1)
    pixels = np.where((y > 140 + 15 * np.sin(x / 40))[..., np.newaxis], ground, sky)
    pixels[(x - 200) ** 2 + (y - 120) ** 2 < 55**2] = (200, 120, 50)
    pixels += np.random.default_rng(_SEED).normal(0, 6, pixels.shape)
    return Image.fromarray(pixels.clip(0, 255).astype(np.uint8))


def _samples(spec: ModelSpec) -> dict[str, _Array]:
    shape, dtype = spec.preprocessing.shape, np.dtype(spec.preprocessing.dtype)
    image = to_tensor(photograph(), spec.preprocessing)
    return {
        "zeros": np.zeros(shape, dtype),
        "ones": np.ones(shape, dtype),
        "noise": _noise(shape, dtype),
        "a photograph": image,
    }


def _noise(shape: tuple[int, ...], dtype: np.dtype[Any]) -> _Array:
    generator = np.random.default_rng(_SEED)
    if dtype.kind == "f":
        return generator.standard_normal(shape).astype(dtype)
    range_ = np.iinfo(dtype)
    return np.asarray(generator.integers(range_.min, range_.max, shape, dtype, endpoint=True))


def _timed(run: Run, spec: ModelSpec, images: list[_Array], what: str) -> tuple[_Array, float]:
    batch = np.stack(images)
    started = time.perf_counter()
    scores = run(batch)
    seconds = time.perf_counter() - started
    _check_scores(scores, len(batch), spec)
    if not np.isfinite(scores).all():
        raise Refused("not_finite", f"The model's scores for {what} are not all finite numbers.")
    return flat(scores), seconds


def _check_scores(scores: _Array, batch: int, spec: ModelSpec) -> None:
    if scores.dtype.kind not in "fiu":
        raise Refused("class_scores", "The model must give a number for each class.")
    alone = scores.ndim == len(spec.scores.shape) == 1
    if not alone and (scores.ndim < 2 or sum(length != 1 for length in scores.shape[1:]) > 1):
        raise Refused("class_scores", "The model's output must have two axes, images and class scores.")
    (count, classes), labels = flat(scores).shape, len(spec.labels)
    if count != batch:
        sentence = (
            f"The model must give a row of scores for each image; images: {batch}, rows of scores: {count}."
        )
        raise Refused("class_scores", sentence)
    if classes > MAX_CLASSES:
        raise Refused("class_count", f"A model may have at most {MAX_CLASSES} classes.")
    # One score tells two classes apart, and a single label may be the name of the second.
    fitting = {1} if spec.binary else {labels or classes, 1 if labels <= 2 else labels}
    if classes not in fitting:
        sentence = f"The model has {classes} class scores, but {labels} labels came with it."
        raise Refused("class_count", sentence + background(spec.labels, classes))


def _warnings(alone: _Array, together: list[_Array]) -> list[str]:
    """Compare the answers for single images with each other and with those for all of them together.

    Args:
        alone: the scores of each image, shape [images, classes].
        together: the same from runs with all images.
    """
    warnings = []
    if (alone == alone[0]).all():
        warnings.append("The model gives the same scores for different images.")
    if not all(_close(alone, scores) for scores in together):
        warnings.append("The model's scores for an image depend on the other images in the batch.")
    return warnings


def _close(one: _Array, other: _Array) -> bool:
    one, other = one.astype(np.float64), other.astype(np.float64)
    spread = max(float(np.ptp(one)), _LEAST_SPREAD)
    return bool(np.abs(one - other).max() <= TOLERANCE * spread)


def best(scores: npt.NDArray[Any]) -> tuple[Best, ...]:
    """The best classes of each image.

    Args:
        scores: shape [images, classes], all finite. A single score has the spread of those of all images.
    """
    numbers = scores.astype(np.float64)
    of_all = _range(numbers) if numbers.shape[1] == 1 else None
    return tuple(_best(row, _range(row) if of_all is None else of_all) for row in numbers)


def differences(cpu: Sequence[Best], gpu: Sequence[Best]) -> list[str]:
    """Sentences for the uploader about answers that differ by more than rounding explains.

    Args:
        cpu: the best classes of each trial image on the CPU.
        gpu: the same on the GPU.
    """
    if [len(one.scores) for one in cpu] != [len(one.scores) for one in gpu]:
        return ["The GPU gives a different number of scores than the CPU."]
    pairs = list(zip(cpu, gpu, strict=True))
    if others := sum(_other_class(*pair) for pair in pairs):
        return [f"The GPU predicts a different class than the CPU for {others} of {len(pairs)} test images."]
    largest = max((_difference(*pair) for pair in pairs), default=0.0)
    if largest > TOLERANCE:
        return [f"The scores on the GPU differ from those on the CPU by up to {largest:.0%} of their range."]
    return []


def _range(numbers: npt.NDArray[np.float64]) -> float:
    # Halves, since the highest less the lowest can be more than there are numbers for.
    return min(float(numbers.max() / 2 - numbers.min() / 2), float(np.finfo(np.float64).max / 2)) * 2


def _best(row: npt.NDArray[np.float64], spread: float) -> Best:
    order = np.argsort(-row, kind="stable")[:_CLASSES]
    return Best(tuple(map(int, order)), tuple(map(float, row[order])), spread)


def _other_class(cpu: Best, gpu: Best) -> bool:
    """Whether the best class is another one, and not one of two that are as good as equal."""
    gap = cpu.scores[0] / 2 - (cpu.scores[1] / 2 if len(cpu.scores) > 1 else 0.0)
    return cpu.classes[0] != gpu.classes[0] and gap > TOLERANCE * _spread(cpu)


def _difference(cpu: Best, gpu: Best) -> float:
    """The largest difference of two scores of the same rank, as a share of the spread."""
    largest = max((abs(one / 2 - other / 2) for one, other in zip(cpu.scores, gpu.scores, strict=True)))
    return 2 * (largest / _spread(cpu))


def _spread(answer: Best) -> float:
    return max(answer.spread, _LEAST_SPREAD)
