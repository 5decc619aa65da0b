"""What is to be explained, of which image, and what an explanation says."""

import io
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image, PngImagePlugin

from predictor.errors import TooLate
from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import to_tensor
from predictor.image.preview import seen_box
from predictor.image.resize import Box, Size
from predictor.inference.admission import Deadline
from predictor.inference.job import Array
from predictor.inference.loader import LoadedModel
from predictor.inference.prediction import Phases
from predictor.model.label import Label

Method = Literal["auto", "cam", "masks"]

LONGEST = 1024
"""Pixels of the longer side at most."""

FOR, AGAINST = (230, 97, 0), (36, 99, 210)
"""Red, green and blue of what speaks for the class, and against it."""

_FOR, _AGAINST = np.array(FOR, np.float32), np.array(AGAINST, np.float32)
_STRONGEST = 0.75
_DARK, _STRIPE, _PERIOD = 0.35, 0.6, 12


@dataclass(frozen=True)
class Wanted:
    """What is to be explained.

    Attributes:
        index: the class; None for the most confident one.
        method: `cam` for a class activation map, `masks` for a fit to masked images, `auto` for the first
            where the model has one.
        exact: whether JPEGs are decoded whole.
    """

    index: int | None = None
    method: Method = "auto"
    exact: bool = False


@dataclass(frozen=True)
class Explanation:
    """Which parts of an image speak for a class.

    Attributes:
        model: whose answer is explained.
        index: the class.
        confidence: of the class, for the image as it is.
        method: how it was found.
        grid: the map over `box`, of shape [rows, columns]: positive for the class, negative against it.
        runs: of the model.
        fidelity: R2 of a fit to masked images; None for a class activation map.
        size: width and height of the upright image.
        box: what the model saw: left, top, right and bottom in pixels of the image.
        image: the grey image under an overlay.
        phases: the times.
    """

    model: LoadedModel
    index: int
    confidence: float
    method: Literal["cam", "masks"]
    grid: npt.NDArray[np.float64]
    runs: int
    fidelity: float | None
    size: Size
    box: Box
    image: Image.Image
    phases: Phases

    @property
    def label(self) -> Label:
        """The class."""
        return self.model.spec.labels[self.index]

    def text(self) -> str:
        """What it shows, in a sentence."""
        way = (
            "class activation map" if self.fidelity is None else f"{self.runs} masks, R2 {self.fidelity:.2f}"
        )
        of = f"{self.label.name}, confidence {self.confidence:.3f}"
        return f"{of}: orange speaks for it, blue against it ({way})."


@dataclass(frozen=True)
class _Seen:
    """What was made of an image: the model's input, the image under an overlay, the size of the whole."""

    tensor: Array
    grey: Image.Image
    size: Size


class AskedImage:
    """An image on its way, of which `tensor` makes what is needed while it has a core."""

    seen: _Seen

    def __init__(
        self, data: bytes, model: LoadedModel, limits: Limits, deadline: Deadline, *, exact: bool
    ) -> None:
        self.data = data
        self.model = model
        self.phases = Phases()
        self._limits = limits
        self._deadline = deadline
        self._exact = exact

    def tensor(self) -> Array:
        """The model's input."""
        form = self.model.spec.preprocessing
        with self.phases.measure("decode"):
            shortest = 0 if self._exact else form.shortest
            scaled = decode_scaled(self.data, self._limits, shortest, mode=form.mode)
        with self.phases.measure("preprocess"):
            tensor = to_tensor(scaled, form, exact=self._exact)
        # Its many pixels are not kept for an overlay of few.
        self.seen = _Seen(tensor, grey_base(scaled.pixels, scaled.box, scaled.size), scaled.size)
        return tensor

    def check(self) -> None:
        """Raise TooLate if nobody waits any more."""
        if not self._deadline.still_wanted():
            raise TooLate("The explanation would not be ready before its deadline.")

    def explained(
        self,
        index: int,
        found: npt.NDArray[np.float64],
        grid: npt.NDArray[np.float64],
        runs: int,
        fidelity: float | None = None,
    ) -> Explanation:
        """What was found out about a class, of the confidences `found`."""
        return Explanation(
            model=self.model,
            index=index,
            confidence=float(found[index]),
            method="cam" if fidelity is None else "masks",
            grid=grid,
            runs=runs,
            fidelity=fidelity,
            size=self.seen.size,
            box=seen_box(self.seen.size, self.model.spec.preprocessing),
            image=self.seen.grey,
            phases=self.phases,
        )


def grey_base(pixels: Image.Image, box: Box, size: Size) -> Image.Image:
    """The grey image that a heatmap is laid over, small enough to be sent.

    Args:
        pixels: an upright image, which may be a fraction of the size.
        box: where the whole image lies among the pixels.
        size: width and height of the whole image.
    """
    scale = min(1.0, LONGEST / max(size))
    target = (max(1, round(scale * size[0])), max(1, round(scale * size[1])))
    return pixels.resize(target, Image.Resampling.BILINEAR, box, reducing_gap=2.0).convert("L")


def overlay(image: Image.Image, grid: npt.NDArray[np.float64], box: Box, text: str) -> bytes:
    """The PNG.

    Args:
        image: what `base` gave.
        grid: the map, signed; its largest number, up or down, has the full colour.
        box: where the map lies in the image, in parts of its width and height.
        text: what it shows; it becomes the file's description.
    """
    values, seen = _laid(image.size, grid, box)
    grey = np.asarray(image, np.float32)[:, :, np.newaxis]
    colour = np.where(values[:, :, np.newaxis] > 0, _FOR, _AGAINST)
    strength = _STRONGEST * np.abs(values)[:, :, np.newaxis]
    mixed = grey + strength * (colour - grey)
    rows, columns = np.indices(seen.shape)
    hatched = grey * np.where((rows + columns) % _PERIOD < 2, _STRIPE, _DARK)[:, :, np.newaxis]
    found = np.where(seen[:, :, np.newaxis], mixed, hatched)
    out, facts = io.BytesIO(), PngImagePlugin.PngInfo()
    facts.add_itxt("Description", text)
    Image.fromarray(found.clip(0, 255).astype(np.uint8)).save(out, "PNG", pnginfo=facts, compress_level=4)
    return out.getvalue()


def _laid(
    size: Size, grid: npt.NDArray[np.float64], box: Box
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The map at each pixel, -1 to 1, and whether the model saw it."""
    across, seen_across = _axis(size[0], box[0], box[2], grid.shape[1])
    down, seen_down = _axis(size[1], box[1], box[3], grid.shape[0])
    most = float(np.abs(grid).max()) or 1.0
    return down @ (grid / most) @ across.T, seen_down[:, np.newaxis] & seen_across


def _axis(
    length: int, first: float, last: float, cells: int
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.bool_]]:
    """The weight of each cell at each pixel along an axis, and which pixels were seen."""
    places = ((np.arange(length) + 0.5) / length - first) / (last - first)
    centres = np.clip(places * cells - 0.5, 0, cells - 1)
    weights = np.maximum(0, 1 - np.abs(centres[:, np.newaxis] - np.arange(cells)))
    return weights, (places >= 0) & (places < 1)
