"""What a text that lies beside a model is for, from its name and what stands in it."""

import contextlib
import re
from collections.abc import Mapping
from typing import Any, Literal, get_args

from predictor.discovery.configs import native
from predictor.discovery.configs.read import from_text, from_words, is_of_a_tool, parsed
from predictor.errors import InvalidModel
from predictor.model import label_formats, labels

Role = Literal["labels", "preprocessing"]
USES: tuple[Role, ...] = get_args(Role)
"""What a text may be for."""

# Files that are for people and for other programs, whatever stands in them.
_PROSE = re.compile(
    r"(readme|licen[cs]e|notice|changelog|requirements|environment|conda|args\.|hparams\.|\.).*"
    r"|.*\.(md|rst|py|ipynb|html)"
)
# Numbers about classes, not their names.
_FIGURES = re.compile(r".*(weight|count|freq|report|metric|accura|distribut|confusion|stat(s|istics)\b).*")
_ABOUT_CLASSES = re.compile(r".*(label|class|names|synset|categor|id2|2id|index_to|idx_to).*")
_ABOUT_IMAGES = re.compile(r".*(preprocess|image_processor).*")
_LISTS = ("txt", "json", "csv", "tsv", "yaml", "yml")
_NUMBER, _NAME = "(?:idx|index|indices|ids?|ix|i)", "(?:class(?:es)?|labels?|names?)"
# The list of a part of the images or of answers is called as the list of the names is, with a word before it.
_NAMED_LABELS = re.compile(
    r"(?!(?:train|val|valid|validation|test|true|pred\w*|y)[_.-])(?:[^/]*[_. -])?"
    rf"(?:labels?|class(?:es)?|names|categor(?:y|ies)|(?:class|label)[_-]?(?:names?|list|map|mapping|{_NUMBER})"
    rf"|synsets?|synset_words|{_NUMBER}[_-]?(?:to|2)[_-]?{_NAME}|{_NAME}[_-]?(?:to|2)[_-]?{_NUMBER})"
    r"\.(?:txt|json|csv|tsv|ya?ml|pbtxt|names)|[^/]*\.names"
)
_NAMED_IMAGES = re.compile(
    r"(?:[^/]*[_. -])?(?:preprocess(?:or|ing)?|image_processor)(?:[_-]?(?:config|cfg|parameters))?"
    r"\.(?:json|ya?ml|txt)"
)
_OF_TOOLS = re.compile(
    r"(?:config|signature|pipeline|metadata_properties|processor_config)\.json|(?:data|metadata|inference)\.ya?ml"
)
_OF_A_MODEL = re.compile(r'"(?:model_type|architectures?|pretrained_cfg|id2label)"\s*:')
_ABOUT_A_MODEL = re.compile(r"(about|authors?|credits|history|info|log|notes?|todo|version)[^a-z].*")
# The names of files, not of classes.
_FILE = re.compile(r".*\.[A-Za-z]\w{1,4}")
_LONGEST = 200
_MAX_LINES = 25_000


def said(name: str, text: str) -> dict[Role, bool]:
    """What a file of a bundle says, and whether its form shows it or its name alone.

    Args:
        name: the file's name, perhaps with folders before it.
        text: what stands in it.

    Returns:
        Empty if the file is not recognised, or says nothing about labels or images, as MMDeploy's
        `deploy.json`, MLflow's `MLmodel` and the file `cvexport.manifest` of Custom Vision.
    """
    file = _last(name)
    if _PROSE.fullmatch(file):
        return {}
    value: Any = None
    with contextlib.suppress(ValueError):
        value = parsed(text)
    found = {"labels": _says_labels(file, text, value), "preprocessing": _says_images(file, text, value)}
    return {what: form for what in USES if (form := found[what]) is not None}


def named(what: Role, name: str) -> bool:
    """Whether a file's name says what it is for."""
    return _NAMED[what].fullmatch(_last(name)) is not None


def unmistakable(what: Role, name: str, text: str | None) -> bool:
    """Whether no file of another kind is called like this, so that it is used or refused.

    Training programs call their settings `config.json` as well, which says more of a model in other tools.
    """
    file = _last(name)
    tools = file != "config.json" or _OF_A_MODEL.search(text or "") is not None
    return named(what, name) or (tools and _OF_TOOLS.fullmatch(file) is not None)


def unreadable(name: str, text: str) -> str | None:
    """Why the file of a known tool is not even JSON or YAML; None if it is, or the name says nothing."""
    if not _OF_TOOLS.fullmatch(_last(name)):
        return None
    try:
        parsed(text)
    except ValueError as error:
        return str(error)
    return None


def judge(what: Role, text: str, *, sure: bool) -> str | None:
    """Read a file for one of its uses.

    Args:
        what: the use.
        text: the file.
        sure: whether its name says that use.

    Returns:
        Why that is not possible; None if it is.
    """
    try:
        if what == "labels":
            labels.parse(text)
            return None
        from_text(text, (None, None))
        return None if sure else native.unclear(text)
    except InvalidModel as error:
        return error.detail
    except ValueError as error:
        return f"It cannot be used: {error}"


def may_list_names(name: str, text: str) -> bool:
    """Whether a file whose name says nothing may be a list of names: JSON of them alone, or lines of text."""
    file = _last(name)
    if any(pattern.fullmatch(file) for pattern in (_PROSE, _FIGURES, _ABOUT_A_MODEL)):
        return False
    if file.endswith(".json"):
        with contextlib.suppress(ValueError):
            return _is_list(parsed(text))
        return False
    lines = [line.strip() for line in text.strip().split("\n", _MAX_LINES)]
    return (
        file.endswith(".txt")
        and 1 < len({*lines} - {""}) == len(lines)
        and all(len(line) <= _LONGEST for line in lines)
        and not all(map(_FILE.fullmatch, lines))
    )


def _is_list(value: Any) -> bool:
    """Whether a value is a list of texts, or leads from class numbers to texts or back."""
    entries = list(value.values()) if isinstance(value, dict) else value
    if not isinstance(entries, list) or len(entries) < 2:
        return False
    texts = all(isinstance(one, str) for one in entries)
    return texts if isinstance(value, list) else label_formats.are_numbers(list(value) if texts else entries)


def _says_images(file: str, text: str, value: Any) -> bool | None:
    """Whether the form of a file shows that it is about images; None if neither that nor its name does."""
    named = True if _ABOUT_IMAGES.fullmatch(file) else None
    if isinstance(value, dict):
        own = file.endswith(".json") and native.is_own(value, named=bool(named))
        return True if own or is_of_a_tool(value) else named and False
    try:
        return True if from_words(text) is not None else named and False
    except ValueError:
        return True


def _says_labels(file: str, text: str, value: Any) -> bool | None:
    """The same for a part for names, or the name and form of a list of names."""
    if isinstance(value, dict) and label_formats.inside(value):
        return True
    stem, dot, kind = file.rpartition(".")
    if kind in _LISTS or not dot:
        about = _ABOUT_CLASSES.fullmatch(stem or kind) and not _FIGURES.fullmatch(file)
        return False if about or _NAMED_LABELS.fullmatch(file) else None
    return False if kind == "names" or (kind == "pbtxt" and "item" in text) else None


def _last(name: str) -> str:
    return name.replace("\\", "/").rpartition("/")[2].lower()


_NAMED: Mapping[Role, re.Pattern[str]] = {"labels": _NAMED_LABELS, "preprocessing": _NAMED_IMAGES}
