"""Labels: every accepted format -> the model's classes in order of their index."""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sized
from dataclasses import dataclass, replace

from predictor.errors import InvalidModel
from predictor.model import label_formats
from predictor.model.label import LONGEST, Label, read_entry
from predictor.model.label_lines import MAX_CLASSES
from predictor.model.label_table import NAME_COLUMNS
from predictor.model.strict_text import shown

__all__ = [
    "BESIDE",
    "GRAPH",
    "IN_GRAPH",
    "IN_METADATA",
    "KEY",
    "LONGEST",
    "NONE",
    "Found",
    "Label",
    "background",
    "find",
    "fit",
    "numbered",
    "parse",
    "read",
]

KEY = "predictor.labels"
"""The metadata key under which this service looks first."""

GRAPH = "predictor.graph_labels"
"""The metadata key of the names that were found in the nodes of a graph; they count as another tool's."""

BESIDE = "Read from the file that came with the model."
IN_METADATA = "Read from the model's metadata."
IN_GRAPH = "Read from the model's graph."
NONE = "No labels came with the model: classes are numbered."
_PASSED = "the labels are passed over."
_FROM_ONE = "The labels are numbered from 1: label 1 names the model's first class, whose index is 0."

_MOVED = (
    "The labels that came with the model are those of its graph in another order: the class of index {} is "
    "{} there, and {} here."
)

_BRACKETS = ("[", "{")
_OPENVINO, _OPENVINO_INFO = "model_info labels", "model_info label_info"
# Other keys in use, in any case. Values that are neither JSON nor a dict that Python printed count only if
# they have as many labels as there are classes.
_KEYS = (GRAPH, "config.json", "pretrained_cfg", _OPENVINO_INFO, *label_formats.INSIDE)


@dataclass(frozen=True)
class Found:
    """The labels of a model.

    Attributes:
        labels: in order of their index; empty if none came.
        reason: one sentence saying where they came from.
        warnings: sentences for the uploader.
        foreign: whether another tool wrote them into the model, so that nobody asked for them to be used.
        perhaps: others, one of which is meant if it has as many labels as there are classes.
    """

    labels: tuple[Label, ...]
    reason: str
    warnings: tuple[str, ...] = ()
    foreign: bool = False
    perhaps: tuple["Found", ...] = ()


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

    What other tools wrote into the metadata and cannot be read is passed over with a warning.

    Raises:
        InvalidModel: what came beside the model, or under this service's own key, cannot be read.
    """
    if text is not None:
        found = _found(text, BESIDE)
        return replace(found, warnings=(*found.warnings, *_moved(found.labels, metadata)))
    if KEY in metadata:
        return _found(metadata[KEY], IN_METADATA)
    return _in_metadata(metadata)


def fit(found: Found, scores: int | None) -> Found:
    """The labels for that many scores: without the heading of a file of one column, or numbers if none came.

    A single score tells two classes apart: a low one means the first, a high one the second. A single label
    is the name of the second.

    Raises:
        InvalidModel: there are not as many as there are classes, or too many of both.
    """
    if scores is not None and scores > MAX_CLASSES:
        raise InvalidModel(f"A model may have at most {MAX_CLASSES} classes.")
    classes = 2 if scores == 1 else scores
    found = next((one for one in found.perhaps if len(one.labels) == classes), found)
    if scores == 1:
        return _fit_one(found)
    labels = _without_heading(found.labels, scores) or numbered(scores or 0)
    if scores is not None and len(labels) != scores:
        if found.foreign:
            return _passed_over(found, scores)
        sentence = f"The model has {scores} classes, but {_count(labels)} came with it."
        raise InvalidModel(sentence + background(labels, scores))
    return replace(found, labels=labels)


def _passed_over(found: Found, scores: int) -> Found:
    what = "graph has" if found.reason.startswith(IN_GRAPH) else "metadata have"
    warning = f"The {what} {_count(found.labels)}, but the model has {scores} classes: {_PASSED}"
    return Found(numbered(scores), NONE, (*found.warnings, warning, NONE))


def _count(labels: Sized) -> str:
    return "1 label" if len(labels) == 1 else f"{len(labels)} labels"


def background(labels: tuple[Label, ...], scores: int) -> str:
    """What to do about one label too few or too many, which a class for the background often is.

    Returns:
        A sentence that follows another one, with the blank between them; empty for other numbers.
    """
    if 1 < len(labels) == scores - 1:
        return " If its first class is the background, add the label background before the others."
    if len(labels) == scores + 1:
        first = shown(labels[0].name)
        return f" If the first label, {first}, is a background class that the model lacks, remove it."
    return ""


def _fit_one(found: Found) -> Found:
    labels = _without_heading(_without_heading(found.labels, 2), 1) or numbered(2)
    if len(labels) == 1:
        other = Label(f"not {labels[0].name}"[:LONGEST])
        reason = f"{found.reason} The one label names the class of a high score."
        return replace(found, labels=(other, *labels), reason=reason)
    if len(labels) != 2:
        if found.foreign:
            return _passed_over(found, 2)
        counted = f"{_count(labels)} came with it"
        raise InvalidModel(f"The model gives one score, which separates two classes, but {counted}.")
    return replace(found, labels=labels)


def _without_heading(labels: tuple[Label, ...], wanted: int | None) -> tuple[Label, ...]:
    """The labels without the first, if that is one too many and the name of a column."""
    return labels[1:] if len(labels) - 1 == wanted and labels[0].name.lower() in NAME_COLUMNS else labels


def parse(text: str) -> tuple[Label, ...]:
    """Read labels in any of the forms of `label_formats` and `label_lines`.

    Raises:
        InvalidModel: the text has none of these forms; the message names the first entry that is wrong.
    """
    return _found(text, BESIDE).labels


def _found(text: str, reason: str) -> Found:
    try:
        entries, first = label_formats.entries(text)
    except ValueError as error:
        raise InvalidModel(f"The labels cannot be used: {error}") from error
    if not 1 <= len(entries) <= MAX_CLASSES:
        raise InvalidModel(f"The labels must be a list with an entry for each class, at most {MAX_CLASSES}.")
    labels = tuple(read_entry(index, entry) for index, entry in enumerate(entries))
    return Found(labels, reason, (_FROM_ONE,) if first == 1 else ())


def numbered(classes: int) -> tuple[Label, ...]:
    """Stand-ins for a model that came without labels: `class 0`, `class 1` and so on."""
    return tuple(Label(f"class {index}") for index in range(classes))


def _moved(found: tuple[Label, ...], metadata: Mapping[str, str]) -> tuple[str, ...]:
    """A warning if labels are those of the graph in another order."""
    with contextlib.suppress(InvalidModel, KeyError):
        beside = [label.name for label in found]
        inside = [label.name for label in _found(metadata[GRAPH], IN_GRAPH).labels]
        if beside != inside and sorted(beside) == sorted(inside):
            index = [one == other for one, other in zip(beside, inside, strict=True)].index(False)
            return (_MOVED.format(index, shown(inside[index]), shown(beside[index])),)
    return ()


def _in_metadata(metadata: Mapping[str, str]) -> Found:
    """The labels that another tool wrote into the metadata, if they can be read."""
    warnings = list[str]()
    for key, text in _candidates(metadata).items():
        try:
            found = _found(text, IN_GRAPH if key == GRAPH else IN_METADATA)
        except InvalidModel as error:
            what = "names in the graph" if key == GRAPH else f"metadata {key}"
            warnings.append(f"The {what} are passed over. {error.detail}")
        else:
            return replace(found, warnings=(*warnings, *found.warnings), foreign=True)
    perhaps = (replace(one, warnings=(*warnings, *one.warnings)) for one in _perhaps(metadata))
    return Found((), NONE, (*warnings, NONE), perhaps=tuple(perhaps))


def _perhaps(metadata: Mapping[str, str]) -> Iterator[Found]:
    """What the other values of keys for labels are, read as plain text."""
    for key, text in _of_keys(metadata).items():
        if key in label_formats.INSIDE and text.lstrip()[:1] not in _BRACKETS:
            with contextlib.suppress(InvalidModel):
                yield replace(_found(text, IN_METADATA), foreign=True)


def _of_keys(metadata: Mapping[str, str]) -> dict[str, str]:
    """The values of the keys that are in use, in that order."""
    lower = {key.lower(): text for key, text in metadata.items()} | dict(metadata)
    return {key: lower[key] for key in _KEYS if key in lower}


def _candidates(metadata: Mapping[str, str]) -> dict[str, str]:
    """What looks like labels in the metadata, by their keys, the surest first."""
    bracketed = {key: one for key, one in _of_keys(metadata).items() if one.lstrip()[:1] in _BRACKETS}
    for key in ("config.json", "pretrained_cfg"):
        if not any(f'"{name}"' in bracketed.get(key, "") for name in ("id2label", "label_names")):
            bracketed.pop(key, None)
    words = [word.replace("_", " ") for word in metadata.get(_OPENVINO, "").split()]
    return bracketed | ({_OPENVINO: json.dumps(words)} if words else {})
