"""What is wrong with a field of a request, in a sentence of our own, and which field was probably meant.

Here alone is decided which names of a request may stand in an error; no value does.
"""

import re
from collections.abc import Collection, Iterable
from typing import Any

from pydantic import ValidationError
from werkzeug.datastructures import MultiDict

from predictor.model.strict_text import nearest, plain_name

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_.\-\[\]]{0,39}")
# So many unknown fields are searched for one that has a name of ours.
_LOOKED_AT = 20
_BASE64 = ("image", "images")
_URL = ("image_url", "image_urls")
_EITHER = ("image", "image_url")
_MANY = ("images", "image_urls")
# What other services call our fields; the sentence names those of ours that the request may have.
_ELSEWHERE: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("instances", "requests", "examples"), _MANY),
    **dict.fromkeys(("inputs", "input", "inputdata", "messages", "payload", "body", "source"), _EITHER),
    **dict.fromkeys(
        ("data", "content", "b64", "base64", "bytes", "binary", "blob", "file", "photo"), _BASE64
    ),
    **dict.fromkeys(("img", "pic", "picture", "imagedata", "imagebase64", "base64image", "upload"), _BASE64),
    **dict.fromkeys(("url", "uri", "href", "link", "src", "imageuri", "fileurl", "photourl"), _URL),
    **dict.fromkeys(("files", "imgs", "photos", "pictures", "batch"), ("images", "image")),
    **dict.fromkeys(("urls", "uris", "links"), ("image_urls", "image_url")),
    **dict.fromkeys(("k", "n", "topn", "limit", "maxresults", "numresults", "numpredictions"), ("top_k",)),
    **dict.fromkeys(
        ("conf", "minscore", "minconfidence", "confidencethreshold", "scorethreshold"), ("threshold",)
    ),
    **dict.fromkeys(("modelname", "modelid", "modelspec"), ("model",)),
    **dict.fromkeys(("modelversion", "versionid"), ("version",)),
    **dict.fromkeys(("verbose", "explain"), ("debug",)),
}
_WAYS = frozenset(_BASE64 + _URL)
# Where this may stand and an image may not, it is the query of a prediction.
_OPTION = "top_k"
_TOKENS = frozenset({"apikey", "accesstoken", "token", "key", "authorization", "auth"})
# What browsers, jQuery and the forms of web frameworks add by themselves.
_ADDED = frozenset(
    {
        "_", "submit", "button", "commit", "utf8", "_charset_", "_method", "_token", "_csrf", "csrf_token",
        "authenticity_token", "csrfmiddlewaretoken", "__RequestVerificationToken", "MAX_FILE_SIZE",
    }
)  # fmt: skip
# What is wrong with a field, by pydantic's names of errors.
_WRONG = {
    "missing": "is missing",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "bool_parsing": "must be true or false",
    "int_type": "must be a whole number",
    "int_parsing": "must be a whole number",
    "int_from_float": "must be a whole number",
    "int_parsing_size": "is too large",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a number",
    "greater_than": "must be above {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "list_type": "must be a list",
    "dict_type": "must be an object",
    "scalar_type": "must be a string, number or boolean",
    "literal_error": "must be {expected}",
    "too_short": "must have at least {min_length} entry",
    "too_long": "must have at most {max_length} entries",
    "string_pattern_mismatch": (
        "must be 1 to 64 letters, digits, dots, hyphens or underscores, the first a letter or digit"
    ),
}
_BOUNDS = ("gt", "ge", "le", "min_length", "max_length", "expected")


def sentence(error: ValidationError, fields: Collection[str], *, texts: bool) -> str:
    """The sentence on the first field that is wrong.

    Args:
        error: what validation found.
        fields: the names of all fields.
        texts: whether the values are those of a query or form, where a list stands for several.
    """
    errors = error.errors(include_url=False, include_input=texts)
    first = errors[0]
    # The first of the types that a field may have, of which the error names one.
    either = len(first["loc"]) > 1 and first["loc"][-1] == "int" and first["type"].startswith("int_")
    name = ".".join(str(part) for part in (first["loc"][:-1] if either else first["loc"]))
    if first["type"] == "extra_forbidden":
        strangers = [str(one["loc"][0]) for one in errors[:_LOOKED_AT] if one["type"] == first["type"]]
        return next((text for name in strangers if (text := _advice(name, fields))), _refused(name) + ".")
    if texts and isinstance(first["input"], list):
        return f"{shown(name)} is given more than once."
    if either:
        return f"{shown(name)} must be a whole number or a string."
    bounds = {
        name: bound if isinstance(bound, str) else f"{bound:.12g}"
        for name, bound in first.get("ctx", {}).items()
        if name in _BOUNDS
    }
    wrong = _WRONG.get(first["type"], "is not in the documented form").format(**bounds)
    return f"{shown(name) if name else 'The body'} {wrong}."


def shown(name: str) -> str:
    """A field's name as an error may repeat it; what does not look like a name may be anything."""
    if not name:
        return "A field without a name"
    return name if _NAME.fullmatch(name) else "A name in the request"


def unknown(name: str, fields: Collection[str]) -> str:
    """The sentence on a field that a form may not have: which was probably meant, else which there are."""
    return _advice(name, fields) or f"{_refused(name)}; the fields are {', '.join(fields)}."


def chosen(names: Iterable[str]) -> list[str]:
    """The names of a query or form without those that no person chose."""
    return [name for name in names if name not in _ADDED]


def texts(values: MultiDict[str, str]) -> dict[str, Any]:
    """Each field's text, None if it is empty; given twice, it becomes a list, which no field accepts."""
    return {
        name: (given[0] or None) if len(given := values.getlist(name)) == 1 else given
        for name in chosen(values)
    }


def _advice(name: str, fields: Collection[str]) -> str | None:
    """The sentence on an unknown field that was probably meant to be another; None if that is not known."""
    plain = plain_name(name)
    wanted = _ELSEWHERE.get(plain, (name,))
    if plain in _TOKENS:
        return f"{_refused(name)}; send a token in the header Authorization: Bearer TOKEN."
    if _WAYS.intersection(wanted) and _WAYS.isdisjoint(fields) and _OPTION in fields:
        return f"{_refused(name)}; an image belongs in the body, as a field of JSON or of a form."
    if ours := [field for field in wanted if field in fields] or [*filter(None, [nearest(name, fields)])]:
        return f"{_refused(name)}; did you mean {' or '.join(ours)}?"
    return None


def _refused(name: str) -> str:
    return f"{shown(name)} is not a field that is known here"
