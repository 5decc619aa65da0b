"""One class of a model: its name, identifier and synonyms, read from an entry of a labels file."""

import difflib
import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from predictor.errors import InvalidModel
from predictor.model.strict_text import shown, some

LONGEST = 200
"""Characters of a name that are kept."""

NAMES = ("name", "label", "display_name", "class_name")
"""Fields of an object that hold what people read, the surest first."""

AMBIGUOUS = -1
"""In the place of the index of a class: several classes have that name."""

# So many labels of so many characters are compared with one that no class has; more would take seconds.
_LOOKED_AT, _COMPARED = 5000, 60
_CUTOFF = 0.7
_SHOWN = 3
_REPEATED = (
    "The same label is given to several classes: {}. An evaluation cannot tell these classes apart by that "
    "label. If they are not the same, give them different labels, or an id each."
)
_CUT = "Labels of more than {} characters are cut to that length: {}."
_MAX_CHARACTERS = 10_000
# Between digits, and before one, it may be a sign.
_HYPHEN = re.compile(r"(?<=[^\W\d_])-(?=[^\W\d_])")
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


def plain(name: str) -> str:
    """A name as it is compared: case, underlines, spaces and hyphens between letters make no difference."""
    words = name.replace("_", " ").casefold()
    return " ".join((_HYPHEN.sub(" ", words) if "-" in words else words).split())


def meant(given: str, labels: Sequence[Label]) -> int | None:
    """The index of the class whose label a misspelt one resembles most; None if none does."""
    wanted = plain(given[:_COMPARED])[:_COMPARED]
    # One character may become three by `casefold`.
    names = ((plain(one.name), index) for index, one in enumerate(labels[:_LOOKED_AT]))
    near = {name: index for name, index in names if len(name) <= _COMPARED}
    # "cat" means the tiger cat rather than the crate.
    holding = [name for name in near if f" {wanted} " in f" {name} "]
    if holding and wanted and not wanted.isdecimal():
        return near[min(holding, key=len)]
    if wanted.isdecimal() or not (match := difflib.get_close_matches(wanted, near, n=1, cutoff=_CUTOFF)):
        return None
    return near[match[0]]


def named(labels: Sequence[Label]) -> dict[str, int]:
    """The index of the class that each plain name means; `AMBIGUOUS` for a name of several classes.

    An identifier is surer than a name, and a name surer than a synonym.
    """
    found: dict[str, int] = {}
    _add(found, ((label.id, index) for index, label in enumerate(labels)))
    _add(found, ((label.name, index) for index, label in enumerate(labels)))
    _add(found, ((one, index) for index, label in enumerate(labels) for one in label.synonyms))
    return found


def _add(found: dict[str, int], more: Iterable[tuple[str | None, int]]) -> None:
    fresh: dict[str, int] = {}
    for name, index in more:
        if name is not None and (said := plain(name)) not in found:
            fresh[said] = index if fresh.get(said, index) == index else AMBIGUOUS
    found |= fresh


def repeated(labels: Sequence[Label]) -> tuple[str, ...]:
    """A warning if several classes have the same label, and not each of them has an own id or synonym."""
    classes = defaultdict[str, list[int]](list)
    for index, label in enumerate(labels):
        classes[plain(label.name)].append(index)
    known = set(named(labels).values())
    same = [found for found in classes.values() if len(found) > 1 and not known.issuperset(found)]
    if not same:
        return ()
    listed = [
        f"{shown(labels[found[0]].name)} (classes {some(list(map(str, found)), _SHOWN)})" for found in same
    ]
    return (_REPEATED.format(some(listed, _SHOWN)),)


def cut(labels: Sequence[Label]) -> tuple[str, ...]:
    """A warning if names were too long to be kept whole."""
    classes = [
        str(index) for index, one in enumerate(labels) if len(one.name) == LONGEST and one.name[-1] == "…"
    ]
    return (_CUT.format(LONGEST, f"classes {some(classes, _SHOWN)}"),) if classes else ()


def read_entry(index: int, entry: object) -> Label:
    """The class that an entry of a labels file describes.

    Args:
        index: of the class, for the sentence of a refusal.
        entry: a name, a list of an identifier and a name, or an object with a name.

    Raises:
        InvalidModel: the entry is none of these, or a text in it cannot be shown.
    """
    if isinstance(entry, str):
        return Label(_name(index, entry))
    if isinstance(entry, list):
        return _from_list(index, entry)
    name = next((entry[key] for key in NAMES if key in entry), None) if isinstance(entry, dict) else None
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
