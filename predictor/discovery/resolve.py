"""What was said about a model's images, what its graph shows, and stated defaults -> `Preprocessing`."""

import math
from dataclasses import dataclass, field, replace
from typing import Any

from predictor.discovery.configs.declared import EMPTY, DeclaredPreprocessing
from predictor.discovery.configs.read import BESIDE, as_invalid_model
from predictor.discovery.normalisation import Normalisation, normalisation
from predictor.discovery.signature import InputLayout
from predictor.image.preprocess import DEPTHS, Preprocessing
from predictor.model.spec import Structure
from predictor.model.strict_text import shown

_SIDE = 224
_CROP_PCT = 0.875
# Networks for smaller images were trained on images of that size, as those of CIFAR and MNIST.
_LEAST_CROPPED = 128
_NAMES = {EMPTY.source: "What is assumed of the preprocessing", BESIDE: "The preprocessing"}


@dataclass
class _Draft:
    """A preprocessing as it grows, with a reason for each choice that nobody made in words."""

    values: dict[str, Any]
    reasons: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)

    def assume(self, what: str, sentence: str) -> None:
        self.reasons[what] = sentence
        self.warnings.append(sentence)


@dataclass(frozen=True)
class Resolved:
    """A preprocessing, the reasons for what nobody said in words, and warnings."""

    preprocessing: Preprocessing
    reasons: dict[str, str]
    warnings: tuple[str, ...]


def resolve(declared: DeclaredPreprocessing, layout: InputLayout, structure: Structure) -> Resolved:
    """Put together what was said and what was seen, and fill in the rest by stated defaults.

    Raises:
        InvalidModel: what was said is wrong, or contradicts the graph; the sentence names the field.
    """
    draft = _Draft(dict(declared.values), warnings=list(declared.warnings))
    what = _NAMES.get(declared.source, f"The preprocessing of {declared.source}")
    with as_invalid_model(what):
        _form(draft, declared, layout)
        _size(draft, declared, layout)
        _normalise(draft, declared, _in_order(draft, declared, layout, structure))
        _resize(draft, keras=layout.layout == "NHWC" or structure.tensorflow)
        try:
            preprocessing = Preprocessing(**draft.values)
        except ValueError as error:
            raise ValueError(_renamed(str(error), declared)) from error
    return Resolved(preprocessing, draft.reasons, tuple(draft.warnings))


def _form(draft: _Draft, declared: DeclaredPreprocessing, layout: InputLayout) -> None:
    """Layout, element type and channels, which the graph prescribes."""
    for name, fixed in (("layout", layout.layout), ("dtype", layout.dtype)):
        if draft.values.setdefault(name, fixed) != fixed:
            stated = shown(draft.values[name])
            raise ValueError(f"{declared.name(name)} is {stated}, but the model's input is {fixed}.")
    if not declared.exact or "layout" not in declared.values:
        draft.reasons["layout"] = layout.reason
    usual = "L" if layout.depth == 1 else "RGB"
    if "channels" not in draft.values and layout.depth == 3:
        draft.reasons["channels"] = "The order of channels is not declared: RGB is assumed."
    channels = draft.values.setdefault("channels", usual)
    if not declared.exact and channels == "RGB" and layout.depth == 1:
        # Other tools speak of colours even where the network is for grey images.
        draft.values["channels"] = channels = "L"
    if layout.depth == 4 and channels != "RGBA":
        raise ValueError(
            f"{declared.name('channels')} must be RGBA for the model's input of 4 channels. Give "
            '{"channels": "RGBA"} in the preprocessing if they are red, green, blue and opacity; nothing '
            "else of an image has four."
        )
    if _depth(channels, layout.depth) != layout.depth:
        raise ValueError(
            f"{declared.name('channels')} is {channels}, but the model's input has {layout.depth} channels."
        )


def _depth(channels: object, unknown: int) -> int:
    """How many channels these are; `channels` may be anything that JSON can hold."""
    return DEPTHS[channels] if isinstance(channels, str) and channels in DEPTHS else unknown


def _in_order(
    draft: _Draft, declared: DeclaredPreprocessing, layout: InputLayout, structure: Structure
) -> Normalisation:
    """The normalisation, in the order of the input; a graph that reverses the channels itself gets red first.

    Other tools give their numbers in the order in which the network gets the channels.
    """
    if declared.exact or draft.values["channels"] != "BGR" or not structure.backwards:
        return normalisation(declared, layout, structure)
    factor, offset = (numbers and numbers[::-1] for numbers in (structure.factor, structure.offset))
    found = normalisation(declared, layout, replace(structure, factor=factor, offset=offset))
    draft.values["channels"] = "RGB"
    draft.reasons["channels"] = f"The graph itself makes BGR of RGB, as {declared.source} asks."
    return replace(found, mean=found.mean[::-1], std=found.std[::-1])


def _size(draft: _Draft, declared: DeclaredPreprocessing, layout: InputLayout) -> None:
    fixed = layout.height, layout.width
    height, width = draft.values.pop("size", None) or (layout.height or _SIDE, layout.width or _SIDE)
    for stated, needed in zip((height, width), fixed, strict=True):
        if needed is not None and stated != needed:
            raise ValueError(
                f"{declared.name('size')} asks for {height} x {width}, but the model's input is "
                f"{fixed[0] or 'any'} x {fixed[1] or 'any'} (height x width)."
            )
    if None in fixed and "size" not in declared.values:
        draft.assume("size", f"The model takes any size: {height} x {width} is assumed.")
    elif "size" not in declared.values:
        draft.reasons["size"] = "Read from the shape of the model's input."
    draft.values |= {"height": height, "width": width}


def _normalise(draft: _Draft, declared: DeclaredPreprocessing, found: Normalisation) -> None:
    depth = _depth(draft.values["channels"], 3)
    for name, numbers in (("mean", found.mean), ("std", found.std)):
        draft.values[name] = numbers * depth if len(numbers) == 1 else numbers
        if len(draft.values[name]) != depth:
            raise ValueError(f"{declared.name(name)} must have {depth} number{'s' if depth > 1 else ''}.")
    draft.values["scale"] = found.scale
    if found.reason:
        draft.reasons["normalisation"] = found.reason
    if found.warning:
        draft.warnings.append(found.warning)


def _resize(draft: _Draft, *, keras: bool) -> None:
    values = draft.values
    part = values.pop("crop_pct", None)
    # The tools of TensorFlow stretch images; in most of what was made with it channels come last.
    stretched = keras or max(values["height"], values["width"]) < _LEAST_CROPPED
    if "resize" not in values and "resize_to" not in values and part is None:
        values |= {"resize": "stretch"} if stretched else {"resize": "crop"}
        values.setdefault("interpolation", "bilinear")
        part = None if stretched else _CROP_PCT
        draft.assume("resize", f"The resizing is not declared: {_told(values, part)}.")
    resize = values.setdefault("resize", "crop")
    if "resize_to" not in values and (part is not None or resize != "stretch"):
        values["resize_to"] = _before_cut(values, part or (_CROP_PCT if resize == "crop" else 1.0))
    if "interpolation" not in values:
        values["interpolation"] = "bilinear"
        draft.assume("interpolation", "The resize filter is not declared: bilinear is assumed.")


def _before_cut(values: dict[str, Any], part: float) -> int | tuple[int, int]:
    height, width = values["height"], values["width"]
    sides = math.floor(height / part), math.floor(width / part)
    return sides[0] if height == width and values["resize"] != "stretch" else sides


def _told(values: dict[str, Any], part: float | None) -> str:
    size = f"{values['height']} x {values['width']}"
    if part is None:
        return f"images are stretched to {size}"
    short = math.floor(min(values["height"], values["width"]) / part)
    return f"the short side becomes {short} pixels and the centre, {size}, is cropped"


def _renamed(sentence: str, declared: DeclaredPreprocessing) -> str:
    """A sentence about one of our fields, with the name that its source gives it."""
    name, _, rest = sentence.partition(" ")
    field_name = "size" if name in ("height", "width") else name
    return (
        f"{declared.name(field_name)} {rest}"
        if field_name in declared.names or field_name == "size"
        else sentence
    )
