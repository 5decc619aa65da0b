"""torchvision's `Compose`: the transforms of an image, as they print themselves or as a program has them.

The steps and their defaults are those of torchvision 0.29. timm prints its transforms in the same form.
"""

import itertools
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from predictor.discovery.configs.declared import OWN, SCALE, DeclaredPreprocessing, Record
from predictor.model import strict_text

_START = re.compile(r"\s*(?:\w{1,100}\s*=\s*)?(?=(?:\w{1,100}\.){0,5}Compose\s*\()")
_CALL = re.compile(r"[\s,]*(?:\w{1,100}\.){0,5}(\w{1,100})\s*\(")
# A function or a method as Python prints it, or the name of one.
_FUNCTION = re.compile(
    r"[\s,]*(?:<(?:bound method|(?:built-in )?function) (?:[\w<>]{1,100}\.){0,9}<?(\w{1,100})>?"
    r"(?: (?:at|of) [^\n,]{1,300})?>|(?:\w{1,100}\.){0,5}(\w{1,100}))[ \t\r]*(?=[,\n]|$)"
)
# Images are converted to RGB anyway.
_TO_RGB = re.compile(
    r"(?:convert|to|2|ensure|maybe|as|image|img|pil|rgba|_)*rgb(?:image|img|_)*", re.IGNORECASE
)
_COMMENT = re.compile(r"#[^\n]*")
_KEYWORD = re.compile(r"\s*([A-Za-z_]\w*)\s*=(.*)", re.DOTALL)
_TENSOR = re.compile(r"(?:torch\.)?tensor\((.*)\)", re.DOTALL)
_RANDOM = re.compile(r"Random\w*|ColorJitter|AutoAugment|RandAugment|TrivialAugment\w*|AugMix")
_LONGEST, _LONGEST_VALUE = 10_000, 300
_BRACKETS = {"(": 1, "[": 1, ")": -1, "]": -1}
_FILTERS = ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")
_NAMES = {
    "resize_to": "Resize.size",
    "interpolation": "Resize.interpolation",
    "channels": "Grayscale",
    "mean": "Normalize.mean",
    "std": "Normalize.std",
}
_NO_RESIZE = "Compose has no Resize: images are stretched to the size of the model's input."
_NO_CROP = "Compose has no CenterCrop: the middle is cut out of images that are not square."
_UNREADABLE = (
    "Compose cannot be read as torchvision's. Send what print(transform) shows there; transforms of other "
    f"libraries, such as albumentations, need JSON in their place. {OWN}."
)
_OF_ALBUMENTATIONS = re.compile(r"\bToTensorV2\b|\bA\.[A-Z]")
_MUST_BE_GREY = (
    "must be 1. If all images are grey, leave this step out: their red, green and blue are equal then. Else "
    "export the model with a first layer that makes its images grey"
)


@dataclass
class _Draft:
    """What the steps do to an image, as far as they were read.

    Attributes:
        values: fields of `Preprocessing`.
        resized: one number for the short side, or height and width; empty before `Resize`.
        cut: height and width, or one number for a square; empty before `CenterCrop`.
    """

    values: dict[str, Any] = field(default_factory=lambda: {"channels": "RGB", "scale": 1.0})
    resized: tuple[int, ...] = ()
    cut: tuple[int, ...] = ()


def from_text(text: str) -> DeclaredPreprocessing | None:
    """Read a printed `Compose`; None if the text does not begin with one.

    Raises:
        ValueError: a step or an argument is unknown, wrong, or asks for what this service does not do.
    """
    code = _COMMENT.sub("", text[: _LONGEST + 1])
    start = _START.match(code)
    if start is None:
        return None
    calls = [*_calls(code[start.end() :])] if len(text) <= _LONGEST else []
    if len(calls) != 1 or _OF_ALBUMENTATIONS.search(code):
        raise ValueError(_UNREADABLE)
    draft = _Draft()
    for name, arguments in _calls(_unwrapped(calls[0][1] or "")):
        if arguments is None:
            if not _TO_RGB.fullmatch(name):
                raise ValueError(f"Compose has the function {name}, which is not supported.")
            continue
        if name not in _STEPS:
            raise ValueError(f"Compose has {name}, which {_why_not(name)}.")
        known, take = _STEPS[name]
        take(draft, Record(_given(arguments, known), known, name))
    return _declared(draft)


def _why_not(name: str) -> str:
    return (
        "is for training: give the transforms of validation"
        if _RANDOM.fullmatch(name)
        else "is not supported"
    )


def _declared(draft: _Draft) -> DeclaredPreprocessing:
    """What all steps together declare."""
    values: dict[str, Any] = {"mean": (0.0,), "std": (1.0,), **draft.values}
    warning = ""
    if not draft.resized:
        values |= {"resize": "stretch", "interpolation": "bilinear"}
        warning = _NO_RESIZE
    elif len(draft.resized) == 1:
        values |= {"resize": "crop", "resize_to": draft.resized[0]}
        warning = "" if draft.cut else _NO_CROP
    else:
        values |= {"resize": "stretch", "resize_to": _pair(draft.resized)}
    if size := draft.cut or draft.resized:
        values["size"] = _pair(size)
    names = {**_NAMES, "size": "CenterCrop.size" if draft.cut else "Resize.size"}
    warnings = (warning,) if warning else ()
    return DeclaredPreprocessing("torchvision's Compose", values, names, warnings=warnings)


def _resize(draft: _Draft, record: Record) -> None:
    if draft.resized:
        raise ValueError("Compose resizes images twice, which is not supported.")
    if "max_size" in record:
        raise record.wrong("max_size", "is not supported")
    if record.get("antialias") is False:
        raise record.wrong("antialias", "must be True, because images are resized with it")
    name = record.text("interpolation", "bilinear").rpartition(".")[2].lower()
    if name not in _FILTERS:
        raise record.wrong("interpolation", f"must be one of {', '.join(_FILTERS)}")
    draft.resized = _sides(record)
    draft.values["interpolation"] = name


def _crop(draft: _Draft, record: Record) -> None:
    if draft.cut or not draft.resized:
        raise ValueError("Compose must crop images once, after Resize.")
    draft.cut = _sides(record)


def _grey(draft: _Draft, record: Record) -> None:
    if record.get("num_output_channels", 1) != 1:
        raise record.wrong("num_output_channels", _MUST_BE_GREY)
    draft.values["channels"] = "L"


def _scale(draft: _Draft, _record: Record) -> None:
    draft.values["scale"] = SCALE


def _to_dtype(draft: _Draft, record: Record) -> None:
    if record.flag("scale", default=False):
        draft.values["scale"] = SCALE


def _normalise(draft: _Draft, record: Record) -> None:
    if "mean" in draft.values:
        raise ValueError("Compose normalises images twice, which is not supported.")
    for name in ("mean", "std"):
        if name not in record:
            raise record.wrong(name, "is missing")
        draft.values[name] = record.numbers(name, ())


def _nothing(_draft: _Draft, _record: Record) -> None:
    """A step that changes no value of the tensor."""


_Step = tuple[tuple[str, ...], Callable[[_Draft, Record], None]]
# Each step with its arguments in their order, and what reads them.
_STEPS: dict[str, _Step] = {
    "Resize": (("size", "interpolation", "max_size", "antialias"), _resize),
    "CenterCrop": (("size",), _crop),
    "Grayscale": (("num_output_channels",), _grey),
    "Normalize": (("mean", "std", "inplace"), _normalise),
    "ToDtype": (("dtype", "scale"), _to_dtype),
    **dict.fromkeys(("ToTensor", "MaybeToTensor", "ConvertImageDtype"), (("dtype",), _scale)),
    **dict.fromkeys(("ToImage", "PILToTensor", "MaybePILToTensor", "ToPureTensor", "RGB"), ((), _nothing)),
}


def _calls(text: str) -> Iterator[tuple[str, str | None]]:
    """The calls in a text, one after the other: the name of each, and what stands in its brackets.

    A function that is not called has None in place of that.
    """
    place = 0
    while call := _CALL.match(text, place) or _FUNCTION.match(text, place):
        place, depth = call.end(), 1
        if call.re is _FUNCTION:
            yield call[call.lastindex or 0], None
            continue
        while depth and place < len(text):
            depth += _BRACKETS.get(text[place], 0)
            place += 1
        if depth:
            raise ValueError(_UNREADABLE)
        yield call[1], text[call.end() : place - 1]
    if text[place:].strip(" \t\r\n,"):
        raise ValueError(_UNREADABLE)


def _unwrapped(arguments: str) -> str:
    """The steps of a `Compose`, without the brackets of the list that a program has around them."""
    steps = arguments.strip().removeprefix("transforms=").strip().removesuffix(",").strip()
    return steps[1:-1] if steps.startswith("[") and steps.endswith("]") else steps


def _given(arguments: str, known: tuple[str, ...]) -> dict[str, Any]:
    """The arguments of a step by their names; those without one have the names of their places."""
    found = dict[str, Any]()
    for place, part in enumerate(_parts(arguments)):
        named = _KEYWORD.fullmatch(part)
        name, value = (named[1], named[2]) if named else (known[place] if place < len(known) else "", part)
        if not name or name in found:
            raise ValueError(_UNREADABLE)
        found[name] = _value(value.strip())
    return found


def _parts(text: str) -> list[str]:
    """What stands between the commas that are in no brackets."""
    ends, depth = [-1], 0
    for place, sign in enumerate(text):
        depth += _BRACKETS.get(sign, 0)
        if sign == "," and depth == 0:
            ends.append(place)
    parts = [text[start + 1 : end] for start, end in itertools.pairwise([*ends, len(text)])]
    return [part for part in parts if part.strip()]


def _value(text: str) -> Any:
    """A value of Python, a list in place of a tuple; any other words, as the name of a filter, as a text."""
    tensor = _TENSOR.fullmatch(text)
    try:
        value = strict_text.load_python((tensor[1] if tensor else text)[:_LONGEST_VALUE])
    except ValueError:
        return text[:_LONGEST_VALUE]
    return list(value) if isinstance(value, tuple) else value


def _pair(sides: tuple[int, ...]) -> tuple[int, int]:
    return sides[0], sides[-1]


def _sides(record: Record) -> tuple[int, ...]:
    if "size" not in record:
        raise record.wrong("size", "is missing")
    return record.sides("size")
