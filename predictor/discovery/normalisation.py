"""How pixels are scaled and shifted, by what was said and what the graph does itself."""

from dataclasses import dataclass

from predictor.discovery.configs.declared import HALF, IMAGENET, SCALE, DeclaredPreprocessing
from predictor.discovery.signature import InputLayout
from predictor.model.spec import Structure

_Numbers = tuple[float, ...]

# Beyond this no network's first layer gets values, unless they were left as pixels.
_LARGEST = 5.0
# An image's darkest and brightest values are this far apart at least.
_SMALLEST = 0.5
# Black and white of pixels from 0 to 1 are so far apart, or black is so far below 0.
_SPREAD, _BELOW = 2.0, 0.25
# Means of pixels from 0 to 255 are above this; those of pixels from 0 to 1 never are.
_PIXEL_MEAN = 20.0
# Part of the distance from black to white by which two normalisations may differ and be the same.
_ALIKE = 0.005
# The pixels that graphs expect: our factor, the brightest value, and words.
_PIXELS = ((1.0, 255.0, "0 to 255"), (SCALE, 1.0, "0 to 1"))


@dataclass(frozen=True)
class Normalisation:
    """A value of the tensor is `(pixel * scale - mean) / std`; one number stands for all channels."""

    scale: float
    mean: _Numbers
    std: _Numbers
    reason: str = ""
    warning: str = ""


def normalisation(
    declared: DeclaredPreprocessing, layout: InputLayout, structure: Structure
) -> Normalisation:
    """The scale, mean and std of a model's images; what the graph does itself is not done twice.

    Raises:
        ValueError: what was said cannot be used.
    """
    if "scale" in declared.values:
        stated = Normalisation(declared.values["scale"], declared.values["mean"], declared.values["std"])
        return stated if declared.exact else _remaining(stated, declared, layout, structure)
    if layout.dtype in ("uint8", "int8"):
        reason = f"The input is {layout.dtype}: it takes unscaled pixels."
        return Normalisation(1.0, (0.0,), (1.0,), reason)
    return _by_graph(structure) or _by_default(layout, keras=layout.layout == "NHWC" or structure.tensorflow)


def _remaining(
    stated: Normalisation, declared: DeclaredPreprocessing, layout: InputLayout, structure: Structure
) -> Normalisation:
    """What is left to do of a normalisation that a network was trained with."""
    if layout.dtype in ("uint8", "int8"):
        reason = f"The input is {layout.dtype}: the graph does the normalisation of {declared.source}."
        return Normalisation(1.0, (0.0,), (1.0,), reason)
    if structure.factor is None or structure.offset is None:
        return stated
    wanted = _ends(*_line(stated, declared.name("std")), 255.0)
    for scale, brightest, what in _PIXELS:
        if _alike(wanted, _ends(structure.factor, structure.offset, brightest)):
            reason = f"The graph does the normalisation of {declared.source} itself, on pixels from {what}."
            return Normalisation(scale, (0.0,), (1.0,), reason)
    if _expected(structure) is None:
        return stated
    warning = f"The graph normalises its input differently from {declared.source}; both are applied."
    return Normalisation(stated.scale, stated.mean, stated.std, "", warning)


def _line(stated: Normalisation, name: str) -> tuple[_Numbers, _Numbers]:
    """Factor and offset of each channel."""
    if 0 in stated.std:
        raise ValueError(f"{name} must be above 0.")
    pairs = _pairs(stated.mean, stated.std)
    return tuple(stated.scale / std for _, std in pairs), tuple(-mean / std for mean, std in pairs)


def _ends(factor: _Numbers, offset: _Numbers, brightest: float) -> list[tuple[float, float]]:
    """What becomes of black and white in each channel."""
    return [(shift, brightest * one + shift) for one, shift in _pairs(factor, offset)]


def _pairs(one: _Numbers, other: _Numbers) -> list[tuple[float, float]]:
    channels = max(len(one), len(other))
    wide = (numbers * channels if len(numbers) == 1 else numbers for numbers in (one, other))
    return list(zip(*wide, strict=False))


def _alike(one: list[tuple[float, float]], other: list[tuple[float, float]]) -> bool:
    channels = max(len(one), len(other))
    both = zip(*(ends * channels if len(ends) == 1 else ends for ends in (one, other)), strict=False)
    return all(
        abs(mine - theirs) <= _ALIKE * (abs(black - white) or 1.0)
        for (black, white), others in both
        for mine, theirs in zip((black, white), others, strict=True)
    )


def _by_graph(structure: Structure) -> Normalisation | None:
    expected = _expected(structure)
    if expected is None:
        return None
    scale, what = expected
    return Normalisation(
        scale, (0.0,), (1.0,), f"The graph normalises its input itself, for pixels from {what}."
    )


def _expected(structure: Structure) -> tuple[float, str] | None:
    """Which pixels a graph expects that normalises them itself, by what becomes of black and white."""
    if structure.factor is None or structure.offset is None:
        return None
    for scale, brightest, what in _PIXELS:
        ends = _ends(structure.factor, structure.offset, brightest)
        apart = min(abs(black - white) for black, white in ends)
        if brightest == 1.0 and apart < _SPREAD and max(black for black, _ in ends) > -_BELOW:
            # Pixels of 0 to 1 end up around 0. This line only corrects what was normalised before.
            continue
        if apart >= _SMALLEST and max(abs(end) for pair in ends for end in pair) <= _LARGEST:
            return scale, what
    # Only a mean was subtracted: the range is that in which black and white stay as far apart as pixels.
    if min(map(abs, structure.offset)) > _PIXEL_MEAN:
        scale, _, what = _PIXELS[min(map(abs, structure.factor)) > _PIXEL_MEAN]
        return scale, what
    return None


def _by_default(layout: InputLayout, *, keras: bool) -> Normalisation:
    if layout.depth != 3:
        return _assumed(Normalisation(SCALE, (0.0,), (1.0,)), "values from 0 to 1 are assumed")
    if keras:
        return _assumed(Normalisation(SCALE, *HALF), "values from -1 to 1 are assumed, as is common in Keras")
    return _assumed(
        Normalisation(SCALE, *IMAGENET), "the mean and standard deviation of ImageNet are assumed"
    )


def _assumed(one: Normalisation, what: str) -> Normalisation:
    sentence = f"The normalisation is not declared: {what}."
    return Normalisation(one.scale, one.mean, one.std, sentence, sentence)
