"""Whether two devices answer alike: never quite, since they sum in different orders and precisions."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.checking.report import Best

TOLERANCE = 0.02
"""How much two scores may differ, as a share of the spread of the picture's scores."""

_CLASSES = 5
# Of a model that gives the same score for every class.
_LEAST_SPREAD = 1e-6


def best(scores: npt.NDArray[Any]) -> tuple[Best, ...]:
    """The best classes of each picture.

    Args:
        scores: shape [pictures, classes], all finite. A single score has the spread of those of all pictures.
    """
    numbers = scores.astype(np.float64)
    of_all = _range(numbers) if numbers.shape[1] == 1 else None
    return tuple(_best(row, _range(row) if of_all is None else of_all) for row in numbers)


def differences(cpu: Sequence[Best], gpu: Sequence[Best]) -> list[str]:
    """Sentences for the uploader about answers that differ by more than rounding explains.

    Args:
        cpu: the best classes of each trial picture on the CPU.
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
