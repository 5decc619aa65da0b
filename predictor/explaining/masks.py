"""Which parts of an image change a confidence when they are hidden: many masks, and a linear fit.

Each mask hides about half of a grid of 7 x 7 cells. Hidden parts show the image blurred, since grey ones
would be an object of their own to the network; edges are smooth for the same reason (Petsiuk and others,
RISE, arXiv:1806.07421). The confidences under all masks are fitted by ridge regression to which cells were
shown (Ribeiro and others, LIME, arXiv:1602.04938). Pure: arrays in, values out.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.image.preprocess import Layout

Array = npt.NDArray[Any]

CELLS = 7
"""Cells along each axis."""
_SHOWN = 0.5
_LAMBDA = 1.0
# Standard deviation of the blur, in parts of the shorter side: 11 pixels of 224.
_BLUR = 11 / 224
_WHOLE = ("uint8", "int8")


def patterns(count: int, seed: int) -> npt.NDArray[np.float64]:
    """Which cells each mask shows, 1 or 0, of shape [count, 49]; the same for the same seed."""
    shown = np.random.default_rng(seed).random((count, CELLS * CELLS)) < _SHOWN
    return shown.astype(np.float64)


class Masker:
    """Hides parts of an image.

    Args:
        tensor: the model's input for the image, without a batch axis.
        layout: of its axes.
    """

    def __init__(self, tensor: Array, layout: Layout) -> None:
        self._dtype = tensor.dtype
        self._axes = (1, 2, 0) if layout == "NCHW" else (0, 1, 2)
        self._back = np.argsort(self._axes)
        image = tensor.transpose(self._axes).astype(np.float32)
        height, width = image.shape[:2]
        down, across = _blur(height, width), _blur(width, height)
        self._blurred = np.einsum("ab,bcd,ec->aed", down, image, across, optimize=True)
        self._sharp = image - self._blurred
        self._down, self._across = _smooth(height), np.ascontiguousarray(_smooth(width).T)

    def hidden(self, pattern: Array) -> Array:
        """The input with the cells that a pattern, of shape [49], does not show blurred."""
        cells = pattern.reshape(CELLS, CELLS).astype(np.float32)
        # A product of matrices would take threads of its own, beside those that compute.
        rows = np.einsum("ab,bc->ac", self._down, cells)
        return self.mixed(np.einsum("ab,bc->ac", rows, self._across))

    def mixed(self, mask: Array) -> Array:
        """The input where a mask of shape [height, width] is 1, and the blurred one where it is 0."""
        values = self._blurred + mask[:, :, np.newaxis] * self._sharp
        values = np.rint(values) if self._dtype.name in _WHOLE else values
        return np.ascontiguousarray(values.transpose(self._back).astype(self._dtype))


def _smooth(length: int) -> npt.NDArray[np.float32]:
    """The weight of each cell at each pixel along an axis, of shape [length, 7]: linear between centres."""
    places = np.clip((np.arange(length) + 0.5) * CELLS / length - 0.5, 0, CELLS - 1)
    distance = np.abs(places[:, np.newaxis] - np.arange(CELLS))
    return np.asarray(np.maximum(0, 1 - distance), np.float32)


def _blur(length: int, other: int) -> npt.NDArray[np.float32]:
    """A Gaussian filter along an axis as a matrix; what lies outside of the image has no weight."""
    places = np.arange(length)
    steps = (places[:, np.newaxis] - places) / (_BLUR * min(length, other))
    weights = np.exp(-0.5 * steps**2)
    return np.asarray(weights / weights.sum(axis=1, keepdims=True), np.float32)


@dataclass(frozen=True)
class Fit:
    """What a linear fit says.

    Attributes:
        grid: how much each cell adds to the confidence when it is shown, of shape [7, 7].
        fidelity: R2, the share of the variance of the confidences that the fit foretells for masks that it
            was not made of; 0 if it foretells nothing.
    """

    grid: npt.NDArray[np.float64]
    fidelity: float


def fit(shown: Array, confidences: Array) -> Fit:
    """Ridge regression of confidences on which cells were shown.

    Args:
        shown: as `patterns` gives it.
        confidences: of one class, of shape [count].
    """
    cells, values = shown - shown.mean(axis=0), confidences - confidences.mean()
    solver = np.linalg.solve(cells.T @ cells + _LAMBDA * np.eye(cells.shape[1]), cells.T)
    weights = solver @ values
    return Fit(weights.reshape(CELLS, CELLS), _foretold(cells @ weights, values, cells, solver))


def _foretold(fitted: Array, values: Array, cells: Array, solver: Array) -> float:
    """R2 of leaving out one mask at a time, which needs no further fit (Allen's PRESS).

    The R2 of the masks that the fit was made of is 0.19 for noise: it has 49 weights for 256 numbers.
    """
    variance = float((values**2).sum())
    # A confidence that is the same under all masks has nothing to explain; what rounding leaves is nothing
    # either.
    if variance <= len(values) * 1e-18:
        return 0.0
    influence = np.einsum("ij,ji->i", cells, solver) + 1 / len(values)
    errors = (values - fitted) / (1 - influence)
    return max(0.0, 1 - float((errors**2).sum()) / variance)
