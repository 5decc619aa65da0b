"""Labels: every accepted format -> the model's classes in order of their index."""

import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from predictor.errors import InvalidModel
from predictor.model import label_formats
from predictor.model.label_lines import MAX_CLASSES, NAME_COLUMNS

KEY = "predictor.labels"
"""The metadata key under which this service looks first."""

LONGEST = 200
"""Characters of a name that are kept."""

BESIDE = "Read from the file that came with the model."
IN_METADATA = "Read from the model's metadata."
NONE = "No labels came with the model: classes are numbered."

_MAX_CHARACTERS = 10_000
_OPENVINO, _OPENVINO_INFO = "model_info labels", "model_info label_info"
# Other keys in use; their values count only if they are JSON or a dict that Python printed.
_KEYS = (
    "id2label",
    "label_names",
    "class_names",
    "labels",
    "names",
    "classes",
    "config.json",
    "pretrained_cfg",
    _OPENVINO_INFO,
)
# Marks that turn the direction of the text around them; a page would show something else than stands there.
_TURNING = {*map(chr, range(0x202A, 0x202F)), *map(chr, range(0x2066, 0x206A))}


@dataclass(frozen=True)
class Label:
    """One class of a model.

    Attributes:
        name: what people read.
        id: the class's identifier in its data set, such as an ImageNet synset; None if it has none.
        synonyms: other names of the same class.
    """

    name: str
    id: str | None = None
    synonyms: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The form that `parse` reads back."""
        value: dict[str, Any] = {"name": self.name}
        if self.id is not None:
            value["id"] = self.id
        if self.synonyms:
            value["synonyms"] = list(self.synonyms)
        return value


@dataclass(frozen=True)
class Found:
    """The labels of a model, and one sentence saying where they came from."""

    labels: tuple[Label, ...]
    reason: str


def find(text: str | None, metadata: Mapping[str, str], scores: int | None) -> Found:
    """The labels of a model: what came beside it, else what its metadata hold, else numbers.

    Args:
        text: what came beside it, if anything.
        metadata: the model's metadata.
        scores: how many scores it gives; None if that is not known, and then there may be no labels.

    Raises:
        InvalidModel: the labels cannot be read, or there are not as many as there are classes.
    """
    return fit(read(text, metadata), scores)


def read(text: str | None, metadata: Mapping[str, str]) -> Found:
    """The labels that came with a model, which may be none.

    Raises:
        InvalidModel: they cannot be read.
    """
    if text is not None:
        return Found(parse(text), BESIDE)
    if (labels := _in_metadata(metadata)) is not None:
        return Found(labels, IN_METADATA)
    return Found((), NONE)


def fit(found: Found, scores: int | None) -> Found:
    """The labels for that many scores: without the heading of a file of one column, or numbers if none came.

    A single score tells two classes apart: a low one means the first, a high one the second. A single label
    is the name of the second.

    Raises:
        InvalidModel: there are not as many as there are classes, or too many of both.
    """
    if scores is not None and scores > MAX_CLASSES:
        raise InvalidModel(f"A model may have at most {MAX_CLASSES} classes.")
    if scores == 1:
        return _fit_one(found)
    labels = _without_heading(found.labels, scores) or numbered(scores or 0)
    if scores is not None and len(labels) != scores:
        raise InvalidModel(f"The model has {scores} classes, but {len(labels)} labels came with it.")
    return Found(labels, found.reason)


def _fit_one(found: Found) -> Found:
    labels = _without_heading(_without_heading(found.labels, 2), 1) or numbered(2)
    if len(labels) == 1:
        other = Label(f"not {labels[0].name}"[:LONGEST])
        return Found((other, *labels), f"{found.reason} The one label names the class of a high score.")
    if len(labels) != 2:
        counted = f"{len(labels)} labels came with it"
        raise InvalidModel(f"The model gives one score, which separates two classes, but {counted}.")
    return Found(labels, found.reason)


def _without_heading(labels: tuple[Label, ...], wanted: int | None) -> tuple[Label, ...]:
    """The labels without the first, if that is one too many and the name of a column."""
    return labels[1:] if len(labels) - 1 == wanted and labels[0].name.lower() in NAME_COLUMNS else labels


def parse(text: str) -> tuple[Label, ...]:
    """Read labels in any of the forms of `label_formats` and `label_lines`.

    Raises:
        InvalidModel: the text has none of these forms; the message names the first entry that is wrong.
    """
    try:
        entries = label_formats.entries(text)
    except ValueError as error:
        raise InvalidModel(f"The labels cannot be used: {error}") from error
    if not 1 <= len(entries) <= MAX_CLASSES:
        raise InvalidModel(f"The labels must be a list with an entry for each class, at most {MAX_CLASSES}.")
    return tuple(_label(index, entry) for index, entry in enumerate(entries))


def numbered(classes: int) -> tuple[Label, ...]:
    """Stand-ins for a model that came without labels: `class 0`, `class 1` and so on."""
    return tuple(Label(f"class {index}") for index in range(classes))


def _in_metadata(metadata: Mapping[str, str]) -> tuple[Label, ...] | None:
    if KEY in metadata:
        return parse(metadata[KEY])
    for key in _KEYS:
        if metadata.get(key, "").lstrip()[:1] in ("[", "{") and _has_labels(key, metadata[key]):
            return parse(metadata[key])
    if words := metadata.get(_OPENVINO, "").split():
        return tuple(_label(index, word.replace("_", " ")) for index, word in enumerate(words))
    return None


def _has_labels(key: str, text: str) -> bool:
    """Whether a value that holds other things as well holds labels too."""
    if key not in ("config.json", "pretrained_cfg"):
        return True
    return '"id2label"' in text or '"label_names"' in text


def _label(index: int, entry: object) -> Label:
    if isinstance(entry, str):
        return Label(_name(index, entry))
    if isinstance(entry, list):
        return _from_list(index, entry)
    name = (
        next((entry[key] for key in ("name", "label") if key in entry), None)
        if isinstance(entry, dict)
        else None
    )
    if not isinstance(entry, dict) or not isinstance(name, str):
        raise InvalidModel(f"Label {index} must be a string, or an object with a name.")
    identifier, synonyms = entry.get("id"), entry.get("synonyms", [])
    if not isinstance(identifier, str | None):
        raise InvalidModel(f"The id of label {index} must be a string.")
    if not isinstance(synonyms, list) or not all(isinstance(one, str) for one in synonyms):
        raise InvalidModel(f"The synonyms of label {index} must be a list of strings.")
    others = tuple(_name(index, one) for one in synonyms)
    return Label(_name(index, name), identifier and _name(index, identifier), others)


def _from_list(index: int, entry: list[object]) -> Label:
    """Keras and TorchServe put the identifier first and the name last."""
    texts = [one for one in entry if isinstance(one, str)]
    if not 1 <= len(texts) == len(entry) <= 2:
        raise InvalidModel(f"Label {index} must be a name, or a list of an identifier and a name.")
    return Label(_name(index, texts[-1]), _name(index, texts[0]) if len(texts) == 2 else None)


def _name(index: int, text: str) -> str:
    name = " ".join(text.split())
    if not name:
        raise InvalidModel(f"Label {index} is empty.")
    if len(name) > _MAX_CHARACTERS:
        raise InvalidModel(f"Label {index} has more than {_MAX_CHARACTERS} characters.")
    if not name.isprintable() and any(map(_is_hidden, name)):
        raise InvalidModel(f"Label {index} has a character that cannot be displayed.")
    return name if len(name) <= LONGEST else name[: LONGEST - 1] + "…"


def _is_hidden(character: str) -> bool:
    return character in _TURNING or unicodedata.category(character) in ("Cc", "Cs")
