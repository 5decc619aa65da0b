"""The text of files that come beside a model: its encoding, and YAML that says one thing only.

PyYAML splits a text into events; the value is built from these here, so that no text becomes an object, a
date or a number of another base, and nothing recurses.
"""

import codecs
import re
from collections.abc import Iterator
from typing import Any

import yaml

from predictor.model.strict_json import shown

_MAX_CHARACTERS = 8_000_000
_MAX_DEPTH = 20
_MAX_EVENTS = 300_000
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_NUMBER = re.compile(
    r"[-+]?(\d{1,18}|(\d{1,18}\.\d{0,18}|\.\d{1,18})([eE][-+]?\d{1,2})?|\d{1,18}[eE][-+]?\d{1,2})"
)
_WORDS = {"true": True, "True": True, "false": False, "False": False}
_NOTHING = ("", "~", "null", "Null", "NULL")


# The mark of UTF-32 begins with that of UTF-16.
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def decoded(data: bytes) -> str:
    """The text of a file, without its byte order mark: UTF-16 or UTF-32 if the mark says so, else UTF-8.

    Raises:
        ValueError: the bytes are not in that encoding.
    """
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
        ValueError: it is not YAML, or it has an anchor, an alias, a tag, a field twice, several documents,
            more than 20 levels or 8 million characters; the sentence is fit for the caller.
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


def _built(events: Iterator[Any], *, texts: bool) -> Any:
    """The value that a stream of events describes."""
    documents: list[Any] = []
    # Of each level that is open, the entries so far; of a mapping, keys and values in turn.
    levels = [documents]
    for number, event in enumerate(events):
        _refuse(event)
        if number > _MAX_EVENTS:
            raise ValueError("The YAML has too many entries.")
        if isinstance(event, yaml.CollectionStartEvent):
            if len(levels) > _MAX_DEPTH:
                raise ValueError(f"The YAML has more than {_MAX_DEPTH} levels.")
            levels.append([])
        elif isinstance(event, yaml.CollectionEndEvent):
            entries = levels.pop()
            levels[-1].append(_mapping(entries) if isinstance(event, yaml.MappingEndEvent) else entries)
        elif isinstance(event, yaml.ScalarEvent):
            levels[-1].append(event.value if texts or event.style else _scalar(event.value))
    if len(documents) != 1:
        raise ValueError("The YAML must be one document.")
    return documents[0]


def _refuse(event: Any) -> None:
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
        raise ValueError("The YAML has an anchor or an alias, which is not supported.")
    if getattr(event, "tag", None) not in (None, "!"):
        raise ValueError("The YAML has a tag, which is not supported.")


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
