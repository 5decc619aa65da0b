"""This service's own small JSON, which `docs/preprocessing.schema.json` describes."""

import json
from collections.abc import Mapping
from typing import Any

from predictor.discovery.configs.declared import SCALE, DeclaredPreprocessing, Record
from predictor.image.validators import pair
from predictor.model import strict_text
from predictor.model.spec import ACTIVATIONS

_NUMBERS = ("mean", "std")
_TEXTS = ("resize", "interpolation", "channels", "layout", "dtype", "rounding")
_SCORES = ("output", "activation")
_UNSCALED = (
    "The preprocessing has no scale, so that pixels are from 0 to 255, but mean and std look like those of "
    'pixels from 0 to 1. If they are, add "scale": 0.00392156862745098.'
)
FIELDS = ("size", "resize_to", "crop_pct", *_TEXTS, "scale", *_NUMBERS, "fill", *_SCORES)
"""The fields that the JSON may have; none of them must be there."""


def read(value: Mapping[str, Any], source: str) -> DeclaredPreprocessing:
    """Read the JSON. What it leaves out is to be found elsewhere.

    Raises:
        ValueError: a field is unknown or wrong, or contradicts another.
    """
    record = Record(value, FIELDS)
    values: dict[str, Any] = {name: record.get(name) for name in _TEXTS if name in record}
    if "crop_pct" in record:
        if "resize_to" in record:
            raise record.wrong("crop_pct", "contradicts resize_to; give only one of them")
        values["crop_pct"] = record.part("crop_pct", 1.0)
    for name in ("size", "resize_to", "fill"):
        if name in record:
            values[name] = _sides(record, name)
    values |= _normalisation(record)
    return DeclaredPreprocessing(
        source,
        values,
        exact=True,
        output=record.text("output", "") if "output" in record else None,
        activation=_activation(record),
        multi_label=record.get("activation") == "sigmoid" if "activation" in record else None,
        warnings=(_UNSCALED,) if _of_unit_pixels(value) else (),
    )


def is_own(value: Mapping[str, Any], *, named: bool) -> bool:
    """Whether an object that nobody sent as preprocessing is one: it has our fields, and enough of them.

    Args:
        value: the object.
        named: whether its file's name says that it is about images.
    """
    if not value or not value.keys() <= set(FIELDS):
        return False
    numbers = all(isinstance(value.get(name), list) for name in _NUMBERS)
    return named or numbers or (len(value) > 1 and bool({"size", "resize", "resize_to"} & value.keys()))


def unclear(text: str) -> str | None:
    """Why an object of nothing but mean and std cannot be used; None if it can, or is another one."""
    value = _own(text)
    if value is None or not value.keys() <= set(_NUMBERS) or _of_unit_pixels(value):
        return None
    return "It has mean and std, but no scale, and they are not those of pixels from 0 to 1."


def scaled(text: str) -> str | None:
    """Our JSON with the scale of pixels from 0 to 1, if its mean and std are theirs; None if not.

    torchvision's `Normalize` takes such pixels, and its numbers are kept in files without a scale.
    """
    value = _own(text)
    return json.dumps({**value, "scale": SCALE}) if value is not None and _of_unit_pixels(value) else None


def _of_unit_pixels(value: Mapping[str, Any]) -> bool:
    """Whether mean and std look like those of pixels from 0 to 1, and no scale says that they are."""
    if value.get("scale") is not None:
        return False
    means, stds = (one if isinstance(one, list) else [one] for one in map(value.get, _NUMBERS))
    if not (means and stds and all(isinstance(one, int | float) for one in (*means, *stds))):
        return False
    return bool(max(map(abs, means)) <= 1 and 0 < min(stds) <= max(stds) < 1)


def continued(text: str, before: str | None) -> str:
    """A preprocessing that takes another one's place, with what that one said of the scores.

    Only this service's own form speaks of the scores; whatever else `text` is stays as it stands.

    Args:
        text: what somebody said now.
        before: what was said before, if anything was.
    """
    new, old = _own(text), _own(before or "") or {}
    if new is None:
        return text
    # In one order, so that what says the same is the same file.
    return json.dumps({name: old[name] for name in _SCORES if name in old} | new, sort_keys=True)


def _own(text: str) -> dict[str, Any] | None:
    """A JSON object of no fields but ours; None if the text is none."""
    try:
        value = strict_text.load_json(text)
    except ValueError:
        return None
    return value if isinstance(value, dict) and value.keys() <= set(FIELDS) else None


def _sides(record: Record, name: str) -> Any:
    value = record.get(name)
    if name == "fill":
        return tuple(value) if isinstance(value, list) else (value,) * 3
    if name == "size":
        height, width = pair(name, value) if isinstance(value, list) else (value, value)
        return record.as_side(name, height), record.as_side(name, width)
    return pair(name, value) if isinstance(value, list) else value


def _normalisation(record: Record) -> dict[str, Any]:
    """Scale, mean and std: all of them as soon as one is there."""
    if not any(name in record for name in ("scale", *_NUMBERS)):
        return {}
    neutral = {"mean": (0.0,), "std": (1.0,)}
    numbers = {name: record.numbers(name, neutral[name]) for name in _NUMBERS}
    return {"scale": record.get("scale", 1.0), **numbers}


def _activation(record: Record) -> Any:
    if "activation" not in record:
        return None
    return record.text("activation", "", ACTIVATIONS)
