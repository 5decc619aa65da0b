"""What a graph does to its images before the first layer that learns, measured.

That part of the graph runs on images of one colour: black, greys, white, and one for each channel. What comes
out says by which line each channel is scaled and shifted, whatever operators do that: a resize, a
quantisation, a reversal or a copy of the channels, constants of any form.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from predictor.discovery.graph_prefix import Prefix, cut_prefix
from predictor.discovery.nodes import Array, Nodes
from predictor.errors import PredictorError
from predictor.image.preprocess import Layout
from predictor.model.part import Numbers, Runner

# Which axis has the channels.
_PLACES: dict[Layout, int] = {"NCHW": 1, "NHWC": 3}
_FREE_SIDE = 64
_MOST_PIXELS = 2048 * 2048
_MOST_NUMBERS = 1_000_000
_TYPES = {1: np.float32, 2: np.uint8, 3: np.int8, 6: np.int32, 7: np.int64, 10: np.float16, 11: np.float64}
_BYTES = (np.uint8, np.int8)
# Greys of pixels from 0 to 255 and from 0 to 1. Quantised graphs cut off what their calibration never saw.
_LEVELS = ((96.0, 192.0), (0.375, 0.75))
# Two slopes are the same if they differ by less than this part: integers in between round.
_ROUNDED = 0.05
# The graph counts as leaving its images alone if scale and shift differ by less, for the same reason.
_NONE = 0.02
# Parts of the largest response below which a number does not depend on the image, or on another channel.
_RESPONDS, _MIXED = 1e-3, 0.01


@dataclass(frozen=True)
class PrefixTransform:
    """What a graph does to its images before the first layer that learns.

    Attributes:
        layout: where the channels of the input are; None if that is not seen.
        channels: how many there are, where the first layer shows it.
        factor: what each channel of the input is multiplied with; one number stands for all. None if nothing
            is done, or not by a line.
        offset: what is added then; None in the same cases.
        backwards: whether the first layer gets the channels in reverse.
        unknown: the operators that compute with the image, where it is not known what they make of it.
    """

    layout: Layout | None = None
    channels: int | None = None
    factor: tuple[float, ...] | None = None
    offset: tuple[float, ...] | None = None
    backwards: bool = False
    unknown: tuple[str, ...] = ()


@dataclass(frozen=True)
class _Images:
    """Makes batches of images of one colour, in the form that an input takes."""

    shape: tuple[int | None, ...]
    layout: Layout
    channels: int
    dtype: Any

    def of(self, level: float, channel: int | None = None) -> Numbers:
        """Images of one level, perhaps in one channel only."""
        place = _PLACES[self.layout]
        lengths = [length or _FREE_SIDE for length in self.shape]
        lengths[0], lengths[place] = self.shape[0] or 1, self.channels
        images = np.zeros(lengths, self.dtype)
        chosen = [slice(None)] * 4
        chosen[place] = slice(None) if channel is None else slice(channel, channel + 1)
        images[tuple(chosen)] = level
        return images


def measure_prefix(model: Any, nodes: Nodes, image: Any) -> PrefixTransform:
    """Measure what a graph does to its images.

    Args:
        model: an `onnx.ModelProto`.
        nodes: those of its graph.
        image: the graph's input for images, an `onnx.ValueInfoProto`.
    """
    tensor = image.type.tensor_type
    shape = (
        tuple(one.dim_value or None for one in tensor.shape.dim) if tensor.HasField("shape") else (None,) * 4
    )
    dtype = _TYPES.get(tensor.elem_type)
    prefix = cut_prefix(model, nodes, image) if len(shape) == 4 and dtype is not None else None
    if prefix is None:
        return PrefixTransform()
    if prefix.run is None:
        return PrefixTransform(unknown=prefix.computing)
    found = dict[Layout, PrefixTransform]()
    for layout, channels in _forms(shape):
        images = _Images(shape, layout, channels, dtype)
        if layout not in found and (one := _measured(prefix, prefix.run, images)) is not None:
            found[layout] = one
    # A free side may be taken for channels; an axis that says how many it has is the surer one.
    said = [layout for layout in found if shape[_PLACES[layout]] is not None]
    fitting = said or [*found]
    return found[fitting[0]] if len(fitting) == 1 else PrefixTransform(unknown=prefix.computing)


def _forms(shape: Sequence[int | None]) -> Iterator[tuple[Layout, int]]:
    """The layouts that an input may have, with its channels, the likeliest first."""
    if any(side is not None and side * side > _MOST_PIXELS for side in shape[1:]):
        return
    for channels in (3, 1, 4):
        yield from ((one, channels) for one in _PLACES if shape[_PLACES[one]] in (None, channels))


def _measured(prefix: Prefix, run: Runner, images: _Images) -> PrefixTransform | None:
    """What becomes of images of a form; None if the graph does not take that."""

    def numbers(level: float, channel: int | None = None) -> Array:
        found = run(images.of(level, channel))
        if prefix.depth is not None and found.ndim == 4:
            # Of large images, every so many rows and columns say the same in less memory.
            step = math.isqrt(found.size // _MOST_NUMBERS) + 1
            found = found[:, :, ::step, ::step]
        return found.astype(np.float64)

    def response(level: float, channel: int | None = None) -> Array:
        """What each number rises by for one more in the image, between black and a level."""
        return (numbers(level, channel) - black) / level

    try:
        black = numbers(0)
        if prefix.depth is not None and (black.ndim != 4 or black.shape[1] != prefix.depth):
            return None
        seen = PrefixTransform(images.layout, prefix.depth)
        if images.dtype in _BYTES:
            return seen
        level = _level(response)
        if level is None:
            return replace(seen, unknown=prefix.computing)
        channels = [response(level, channel) for channel in range(images.channels)]
        return _with_line(seen, black, response(level), np.abs(channels))
    except (PredictorError, MemoryError):
        return None


def _level(response: Callable[[float], Array]) -> float | None:
    """Up to which level numbers rise by a line; the lower one where the graph cuts brighter images off."""
    for half, whole in _LEVELS:
        one, other = response(half), response(whole)
        largest = np.abs(other).max(initial=0.0)
        if largest > 0 and np.isfinite(other).all() and np.abs(one - other).max() <= _ROUNDED * largest:
            return whole
    return None


def _with_line(seen: PrefixTransform, black: Array, white: Array, channels: Array) -> PrefixTransform:
    """The same with the line of each channel; with one for all where numbers depend on several channels.

    Args:
        seen: what is known.
        black: the numbers for a black image.
        white: what each of them rises by for one more in all channels.
        channels: what each of them changes by for one more in a channel, shape [channels, ...].
    """
    owner, strongest = channels.argmax(axis=0), channels.max(axis=0)
    active = strongest > _RESPONDS * strongest.max()
    mixed = bool((np.sort(channels, axis=0)[:-1] > _MIXED * strongest).any(axis=0)[active].any())
    parts = [active & (owner == channel) for channel in range(len(channels))]
    if mixed or not all(part.any() for part in parts):
        parts = [active]
    else:
        middle = tuple(length // 2 for length in owner.shape[2:])
        order = owner[(0, slice(None), *middle)].tolist() if seen.channels == 3 else []
        seen = replace(seen, backwards=order == [2, 1, 0])
    lines = [(float(white[part].mean()), float(black[part].mean())) for part in parts]
    if all(abs(factor - 1) < _NONE and abs(offset) < _NONE for factor, offset in lines):
        return seen
    factor, offset = (_once(numbers) for numbers in zip(*lines, strict=True))
    return replace(seen, factor=factor, offset=offset)


def _once(numbers: tuple[float, ...]) -> tuple[float, ...]:
    """The same, once if all are equal."""
    return numbers[:1] if np.allclose(numbers, numbers[0], rtol=1e-6, atol=0) else numbers
