"""The text of files that come with a model: its encoding, JSON and YAML that say one thing only, literals.

No field stands in JSON twice, and no number that no machine computes with. PyYAML splits a text into events;
the value is built from these here, so that no text becomes an object, a date or a number of another base, and
nothing recurses.
"""

import ast
import codecs
import difflib
import json
import math
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml

_MAX_CHARACTERS = 8_000_000
_MAX_DEPTH = 20
_MAX_EVENTS = 300_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER = re.compile(
    r"[-+]?(\d{1,18}|(\d{1,18}\.\d{0,18}|\.\d{1,18})([eE][-+]?\d{1,2})?|\d{1,18}[eE][-+]?\d{1,2})"
)
_WORDS = {"true": True, "True": True, "false": False, "False": False}
_NOTHING = ("", "~", "null", "Null", "NULL")
_POINTER = b"version https://git-lfs"
# The mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_MAX_DIGITS = 100
_CUTOFF = 0.7
_SHOWN = re.compile(r"[\w .,:/()+-]{1,64}")


def load_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
        ValueError: it is not JSON, or a field stands in it twice, or it holds NaN, an infinity or a whole
            number of more than 100 digits; the sentence is fit for the caller.
    """
    try:
        value = json.loads(
            text,
            object_pairs_hook=_once,
            parse_constant=_not_a_number,
            parse_int=_whole,
            parse_float=_finite,
        )
    except json.JSONDecodeError as error:
        raise ValueError(f"The JSON is invalid at line {error.lineno}.") from error
    except RecursionError as error:
        raise ValueError("The JSON is invalid: brackets are nested too deeply.") from error
    return value


def load_python(text: str) -> Any:
    """The value of a literal as Python prints it.

    Raises:
        ValueError: the text is none, or brackets are nested too deeply.
    """
    try:
        return ast.literal_eval(text)
    except (SyntaxError, TypeError, ValueError, MemoryError, RecursionError) as error:
        raise ValueError("The text is not what Python prints of a value.") from error


def shown(name: object) -> str:
    """A name from a file, if it is fit to stand in a sentence."""
    text = str(name)
    return text if _SHOWN.fullmatch(text) else "one whose name cannot be shown"


def some(texts: Sequence[str], most: int) -> str:
    """The first texts as words of a sentence, and how many there are besides: `a, b and 3 more`."""
    first, more = list(texts[:most]), len(texts) - most
    *others, last = [*first, f"{more} more"] if more > 0 else first or [""]
    return f"{', '.join(others)} and {last}" if others else last


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that a misspelt one resembles most, whatever its case and marks; None if none does."""
    spelt = {plain: one for one in known if (plain := plain_name(one))}
    near = difflib.get_close_matches(plain_name(name), spelt, n=1, cutoff=_CUTOFF)
    return spelt[near[0]] if near else None


def plain_name(name: str) -> str:
    """A field's name without its case and its marks, as `topK`, `top-k` and `top_k` have it in common."""
    return re.sub(r"[^a-z0-9]", "", name[:100].lower())


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        seen = set[str]()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))  # type: ignore[func-returns-value]
        raise ValueError(f"The field {shown(twice)} is defined twice.")
    return fields


def _not_a_number(name: str) -> float:
    raise ValueError(f"{name} is not a valid JSON number.")


def _whole(text: str) -> int:
    if len(text) > _MAX_DIGITS:
        raise ValueError(f"A number has more than {_MAX_DIGITS} digits.")
    return int(text)


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError("A number is too large.")
    return value


def decoded(data: bytes) -> str:
    """The text of a file, without its byte order mark: UTF-16 or UTF-32 if the mark says so, else UTF-8.

    Raises:
        ValueError: the bytes are not in that encoding, or those that Git LFS keeps in place of a file.
    """
    if data.startswith(_POINTER):
        raise ValueError("It is a Git LFS pointer: run git lfs pull, then send the file itself.")
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8-sig")
    try:
        return data.decode(encoding)
    except UnicodeDecodeError as error:
        raise ValueError("It must be UTF-8 text, or UTF-16 text with its byte order mark.") from error


def load_yaml(text: str, *, texts: bool = False) -> Any:
    """The value of a YAML text: dicts with texts as keys, lists, texts, numbers, true, false and None.

    Args:
        text: the YAML.
        texts: whether every scalar stays the text that it is, so that a class may be named `no` or `3.10`.

    Raises:
        ValueError: it is not YAML, or it has a tag, a field twice, several documents, more than 20 levels, or
            8 million characters with its aliases written out; the sentence is fit for the caller.
    """
    if len(text) > _MAX_CHARACTERS:
        raise ValueError("The YAML is too long.")
    try:
        return _built(yaml.parse(text, Loader=_LOADER), texts=texts)
    except yaml.MarkedYAMLError as error:
        line = "" if error.problem_mark is None else f" at line {error.problem_mark.line + 1}"
        raise ValueError(f"The YAML is invalid{line}.") from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise ValueError("The YAML is invalid: it has a character that YAML does not allow.") from error


class _Value:
    """The value that a stream of events describes, as it grows.

    Args:
        texts: whether every scalar stays a text.
    """

    def __init__(self, *, texts: bool) -> None:
        self.documents: list[Any] = []
        self._texts = texts
        # Of each level that is open, its anchor, its beginning, and the entries so far: keys and values of a
        # mapping in turn.
        self._levels: list[tuple[str | None, int, list[Any]]] = [(None, 0, self.documents)]
        # What an anchor names, and how much that is.
        self._anchored: dict[str, tuple[Any, int]] = {}
        self._amount = 0

    def take(self, event: Any) -> None:
        """The next event."""
        if getattr(event, "tag", None) not in (None, "!"):
            raise ValueError("The YAML has a tag, which is not supported.")
        if isinstance(event, yaml.CollectionStartEvent):
            if len(self._levels) > _MAX_DEPTH:
                raise ValueError(f"The YAML has more than {_MAX_DEPTH} levels.")
            self._anchored.pop(event.anchor or "", None)
            self._levels.append((event.anchor, self._amount, []))
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, start, entries = self._levels.pop()
            value = _mapping(entries) if isinstance(event, yaml.MappingEndEvent) else entries
            self._add(value, anchor, start)
        elif isinstance(event, yaml.ScalarEvent):
            start, self._amount = self._amount, self._amount + len(event.value)
            scalar = event.value if self._texts or event.style else _scalar(event.value)
            self._add(scalar, event.anchor, start)
        elif isinstance(event, yaml.AliasEvent):
            self._repeat(event.anchor or "")

    def _add(self, value: Any, anchor: str | None, start: int) -> None:
        self._amount += 1
        self._levels[-1][-1].append(value)
        if anchor is not None:
            self._anchored[anchor] = value, self._amount - start

    def _repeat(self, anchor: str) -> None:
        """What an anchor names once more; the whole counts as if it were written out."""
        if anchor not in self._anchored:
            raise ValueError(
                "The YAML has an alias of what is not complete before it, or has an alias itself."
            )
        value, amount = self._anchored[anchor]
        self._amount += amount
        if self._amount > _MAX_CHARACTERS:
            raise ValueError("The YAML is too long with its aliases written out.")
        # What has an alias in it is not repeated, so that levels and size stay in bounds.
        self._levels = [(None, start, entries) for _, start, entries in self._levels]
        self._levels[-1][-1].append(value)


def _built(events: Iterator[Any], *, texts: bool) -> Any:
    """The value that a stream of events describes."""
    value = _Value(texts=texts)
    for number, event in enumerate(events):
        if number > _MAX_EVENTS:
            raise ValueError("The YAML has too many entries.")
        value.take(event)
    if len(value.documents) != 1:
        raise ValueError("The YAML must be one document.")
    return value.documents[0]


def _mapping(entries: list[Any]) -> dict[str, Any]:
    found = dict[str, Any]()
    for key, value in zip(entries[::2], entries[1::2], strict=True):
        if isinstance(key, list | dict):
            raise ValueError("The YAML has a list or a mapping as the name of a field.")  # noqa: TRY004
        name = "null" if key is None else str(key)
        if name in found:
            raise ValueError(f"The field {shown(name)} is defined twice.")
        found[name] = value
    return found


def _scalar(text: str) -> Any:
    if text in _NOTHING:
        return None
    if not _NUMBER.fullmatch(text):
        return _WORDS.get(text, text)
    return float(text) if any(mark in text for mark in ".eE") else int(text)
