"""Labels as Python prints them: lists, arrays and dicts, with what stands around."""

import contextlib
import re

from predictor.model.label_lines import unquoted

_PRINTED_ENTRY = re.compile(r"""\s*(\d{1,9})\s*:\s*('(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")\s*""")
_PRINTED_START = re.compile(r"\{?\s*\d{1,9}\s*:\s*['\"]")
# The name of a variable, or the length that fastai prints, before what Python prints of a list or a dict.
_ASSIGNED = re.compile(r"(?:\w{1,100}\s*=|\(#\d{1,9}\))\s*(?=[\[({])")
_TUPLE = re.compile(r"\(\s*['\"]")
_QUOTED = r"""(?:'(?:[^'\\\n]|\\.)*+'|"(?:[^"\\\n]|\\.)*+")"""
# What NumPy, pandas, dicts and Hugging Face's ClassLabel print around a list.
_AROUND = re.compile(
    r"(?:\w{1,100}\s*=\s*)?[A-Za-z][\w.]{0,99}\(\s*(?:names\s*=\s*)?"
    r"(\[\s*(?:['\"]|np\.)[^\[\]]*\])\s*(?:,[^\[\](){}]{0,200})?\)"
)
_NUMPY_TEXT = re.compile(rf"np\.str_\(({_QUOTED})\)")
_WITHOUT_COMMAS = re.compile(rf"\[\s*(?:{_QUOTED}\s+)+{_QUOTED}\s*\]")


def bare(text: str) -> str:
    """A value without the name of its variable or type; a tuple or an array becomes a list."""
    if assigned := _ASSIGNED.match(text):
        text = text[assigned.end() :]
    if around := _AROUND.fullmatch(text):
        text = around[1]
    text = _NUMPY_TEXT.sub(r"\1", text)
    if _WITHOUT_COMMAS.fullmatch(text):
        return f"[{', '.join(re.findall(_QUOTED, text))}]"
    return f"[{text[1:-1]}]" if _TUPLE.match(text) and text.endswith(")") else text


def entries(text: str) -> dict[int, str] | None:
    """The entries of a dict from numbers to texts, perhaps without its braces; None if the text is none.

    Raises:
        ValueError: it is one, but is damaged or has a number twice.
    """
    if not _PRINTED_START.match(text):
        return None
    if text[0] == "{":
        return _printed(text)
    with contextlib.suppress(ValueError):
        return _printed(f"{{{text}}}")
    return None


def _printed(text: str) -> dict[int, str] | None:
    """A dict from numbers to texts as Python prints it; None if it is none."""
    if not text.endswith("}"):
        return None
    found, place = dict[int, str](), 1
    while match := _PRINTED_ENTRY.match(text, place):
        number = int(match[1])
        if number in found:
            raise ValueError(f"Label {number} is defined twice.")
        found[number] = match[2]
        place = match.end() + 1
        if text[match.end()] == "}":
            break
        if text[match.end()] != ",":
            raise ValueError(f"The text after label {number} cannot be parsed.")
    if text[place - 1 :].strip(" \n\r\t,") not in ("}", ""):
        raise ValueError("The text is not a list of numbers and names.")
    return dict(zip(found, unquoted(list(found.values())), strict=True))
