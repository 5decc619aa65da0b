"""The two methods of an explanation: masks with a linear fit, and class activation maps.

Masks say which parts of an image change a confidence when they are hidden. Each hides about half of a grid of
7 x 7 cells. Hidden parts show the image blurred, since grey ones would be an object of their own to the
network; edges are smooth for the same reason (Petsiuk and others, RISE, arXiv:1806.07421). The confidences
under all masks are fitted by ridge regression to which cells were shown (Ribeiro and others, LIME,
arXiv:1602.04938).

A class activation map says what each place of the last features adds to the score of a class. Where a network
ends in an average over all places and a linear layer, its score is a sum over these places, and the map is
that sum taken apart (Zhou and others, arXiv:1512.04150). For such networks it is what Grad-CAM gives, up to a
factor. It takes one run of the network with its features as one more output.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from predictor.image.preprocess import Layout, to_tensor
from predictor.inference.job import Array, Runner
from predictor.inference.loader import LoadedModel
from predictor.model.final_layers import FinalLayers
from predictor.model.session import Session, Stop, load_with

CELLS = 7
"""Cells along each axis."""
_SHOWN = 0.5
_LAMBDA = 1.0
# Standard deviation of the blur, in parts of the shorter side: 11 pixels of 224.
_BLUR = 11 / 224
_WHOLE = ("uint8", "int8")

# More places than any network has after its last layer are the image itself.
_MOST_PLACES = 4096
# Quantised networks round the averages and the scores.
_TOLERANCE = 0.1

Watch = Callable[[str, Stop], AbstractContextManager[None]]
"""Watches a run of the model `name/version`, which can be stopped."""


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


@dataclass(frozen=True)
class Features:
    """A model that gives its last features beside its scores.

    Attributes:
        runner: gives for each image, in one row, its scores and then its features, channels first.
        shape: of the features: channels, height and width.
        weights: of the linear layer, of shape [scores, channels]; None where the averages are the scores.
    """

    runner: Runner
    shape: tuple[int, int, int]
    weights: npt.NDArray[np.float64] | None

    def split(self, row: Array) -> tuple[Array, npt.NDArray[np.float64]]:
        """The scores of an image, and its features of `shape`."""
        channels, height, width = self.shape
        count = channels * height * width
        return row[:-count], row[-count:].reshape(self.shape).astype(np.float64)

    def class_map(self, features: npt.NDArray[np.float64], index: int) -> npt.NDArray[np.float64]:
        """What each place adds to the score of a class, of shape [height, width].

        Together with the bias of the linear layer they make the score before an activation. A single score is
        that of the second of two classes, and what speaks for that speaks against the first.
        """
        channels, height, width = self.shape
        rows = np.eye(channels) if self.weights is None else self.weights
        row = rows[index] if len(rows) > 1 else (2 * index - 1) * rows[0]
        return np.tensordot(row, features, 1) / (height * width)


class Network:
    """A session with the tensors of its final layers as outputs.

    Args:
        model: what is loaded a second time.
        layers: its final layers.
        watch: watches the runs.

    Raises:
        InvalidModel: the runtime cannot load it.
    """

    def __init__(self, model: LoadedModel, layers: FinalLayers, watch: Watch) -> None:
        self._model = model
        self._layers = layers
        self._watch = watch
        self._session: Session = load_with(model.version.path, layers.missing)

    def features(self) -> Features | None:
        """The model with its features; None if these do not make its scores, as two images show."""
        (even, even_logits, weights), (other, other_logits, _) = map(self._tried, self._images())
        step = other.mean(axis=(1, 2)) - even.mean(axis=(1, 2))
        expected = step if weights is None else weights @ step
        seen = other_logits - even_logits
        if (
            expected.shape != seen.shape
            or not np.abs(expected - seen).max() <= _TOLERANCE * np.abs(seen).max()
        ):
            return None
        shape = _three(even.shape)
        if shape[1] * shape[2] > _MOST_PLACES:
            return None
        seconds = self._model.runner.seconds_per_image
        runner = Runner(self._rows, max_batch=1, seconds=seconds, observe=lambda _: None)
        return Features(runner, shape, weights)

    def _images(self) -> Iterator[Array]:
        """An even image and one of noise, which differ in all features, each as a batch."""
        form = self._model.spec.preprocessing
        noise = np.random.default_rng(0).integers(0, 256, (form.height, form.width, 3), np.uint8)
        for pixels in (np.full_like(noise, 127), noise):
            yield to_tensor(Image.fromarray(pixels), form)[np.newaxis]

    def _tried(self, batch: Array) -> tuple[Array, Array, npt.NDArray[np.float64] | None]:
        """The features, the scores before an activation and the weights of the linear layer."""
        logits, features, *weights = self._run(batch, self._layers.outputs)
        table = weights[0].astype(np.float64) if weights else None
        if table is not None:
            table = table.reshape(table.shape[:2])
            table = table.T if self._layers.by_channel else table
        return (
            self._channels_first(features)[0].astype(np.float64),
            logits[0].ravel().astype(np.float64),
            table,
        )

    def _rows(self, batch: Array) -> Array:
        scores, features = self._run(batch, (self._model.spec.scores.name, self._layers.features))
        rows = (scores[: len(batch)], self._channels_first(features)[: len(batch)])
        return np.concatenate([one.reshape(len(batch), -1) for one in rows], axis=1)

    def _run(self, batch: Array, outputs: Sequence[str]) -> list[Array]:
        """Run images; where the graph wants more of them, the last is repeated."""
        fixed, stop = self._model.spec.batch, Stop()
        if fixed is not None:
            batch = batch[np.minimum(np.arange(fixed), len(batch) - 1)]
        with self._watch(self._model.version.key, stop):
            return self._session.run_to(batch, self._model.spec.image.name, outputs, stop)

    def _channels_first(self, features: Array) -> Array:
        return np.moveaxis(features, -1, 1) if self._layers.last else features


def _three(shape: tuple[int, ...]) -> tuple[int, int, int]:
    channels, height, width = shape
    return channels, height, width
