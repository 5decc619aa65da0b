"""Class activation maps: what each place of the last features adds to the score of a class.

Where a network ends in an average over all places and a linear layer, its score is a sum over these places,
and the map is that sum taken apart (Zhou and others, arXiv:1512.04150). For such networks it is what Grad-CAM
gives, up to a factor. It takes one run of the network with its features as one more output.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image

from predictor.image.preprocess import to_tensor
from predictor.inference.job import Array, Runner
from predictor.inference.loader import LoadedModel
from predictor.model.final_layers import FinalLayers
from predictor.model.session import Session, Stop, load_with

# More places than any network has after its last layer are the image itself.
_MOST_PLACES = 4096
# Quantised networks round the averages and the scores.
_TOLERANCE = 0.1

Watch = Callable[[str, Stop], AbstractContextManager[None]]
"""Watches a run of the model `name/version`, which can be stopped."""


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
