"""Whatever somebody uploads or writes into a model's metadata about its images -> `DeclaredPreprocessing`."""

import contextlib
import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from predictor.discovery.configs import apps, compose, frameworks, huggingface, native, pipelines, presets
from predictor.discovery.configs.apps import read_silent, refusal, silent_file
from predictor.discovery.configs.declared import EMPTY, DeclaredPreprocessing
from predictor.discovery.configs.metadata import read_openvino, read_ultralytics, read_windows
from predictor.errors import InvalidModel
from predictor.model import strict_text

PREPROCESSING = "predictor.preprocessing"
"""The metadata key of this service's own JSON."""

BESIDE = "the file that came with the model"

_METADATA = "the model's metadata"
# Other keys whose value is a configuration as it would lie beside the model.
_VAGUE = "preprocessing"
_FILES = ("preprocessor_config.json", "preprocessor_config", "pretrained_cfg", _VAGUE)

_NAMED = (
    "Send the tool's own file, what print(transform) shows of torchvision's transforms, a name such as tf, "
    'caffe, torch or IMAGENET1K_V1, or JSON such as {"size": 224, "resize_to": 256, "scale": 0.00392157, '
    '"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]}.'
)

Size = tuple[int | None, int | None]
_LONGEST_PRINTED = 10_000
# A field of YAML, at the start of a line.
_FIELD = re.compile(r"^[A-Za-z_][\w.-]*\s*:(?:\s|$)", re.MULTILINE)
_Read = Callable[[Mapping[str, Any], Size], DeclaredPreprocessing]
_Reader = Callable[[], DeclaredPreprocessing | None]


def from_text(text: str, wanted: Size, source: str = BESIDE) -> DeclaredPreprocessing:
    """Read a file about the preprocessing, whichever tool's form it has.

    Args:
        text: the file.
        wanted: height and width that the graph's input has, None where they are free.
        source: where the text was, for this service's own form.

    Returns:
        What is declared; without values, but with a warning, from a file that says nothing about images.

    Raises:
        ValueError: the form is not known, or a field is unknown or wrong; the sentence names it.
    """
    if (declared := from_words(text, wanted)) is not None:
        return declared
    value = parsed(text)
    if isinstance(value, str):
        return _from_name(value, wanted)
    if not isinstance(value, dict):
        raise ValueError("A JSON object is expected.")  # noqa: TRY004 - one error for every bad form
    output, value = value.get("output"), inner(value)
    for looks, read in _TOOLS:
        if looks(value):
            return _of_tool(read, value, wanted, output)
    if (why := refusal(value)) is not None:
        raise ValueError(why)
    if silent_file(value) is not None:
        return read_silent(value)
    return native.read(value, source)


def _of_tool(read: _Read, value: Mapping[str, Any], wanted: Size, output: Any) -> DeclaredPreprocessing:
    """What a tool's object declares, and the output that somebody named in it, which no tool does."""
    if not isinstance(output, str):
        return read(value, wanted)
    return replace(read({key: one for key, one in value.items() if key != "output"}, wanted), output=output)


def from_words(text: str, wanted: Size = (None, None)) -> DeclaredPreprocessing | None:
    """What a Keras mode, a name of torchvision's weights or printed transforms say; None for any other.

    Raises:
        ValueError: it is one of these, but cannot be used.
    """
    return frameworks.keras_from_text(text) or presets.from_text(text, wanted) or compose.from_text(text)


def parsed(text: str) -> Any:
    """The value of JSON, of a dict that Python prints, or of a YAML file that has fields.

    Raises:
        ValueError: the text is in no form that is known; the sentence says what to send.
    """
    try:
        return strict_text.load_json(text)
    except ValueError as error:
        damaged = isinstance(error.__cause__, json.JSONDecodeError)
        if damaged and (printed := _printed(text)) is not None:
            return printed
        if text.lstrip()[:1] in ("{", "[", '"'):
            raise
        if not _FIELD.search(text):
            raise ValueError(_neither(text)) from error
    return strict_text.load_yaml(text)


def _printed(text: str) -> Any:
    """The value of a dict as Python prints it, with lists in place of tuples; None for any other text."""
    if not text.lstrip().startswith("{") or len(text) > _LONGEST_PRINTED:
        return None
    try:
        # JSON knows no tuples, and no keys but texts.
        return strict_text.load_json(json.dumps(strict_text.load_python(text.strip()), allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        return None


def _neither(text: str) -> str:
    """What to send in place of a text that is neither JSON nor YAML."""
    what = "It" if len(text.split()) != 1 else strict_text.shown(text.strip())
    return f"{what} is neither JSON nor YAML, nor torchvision's transforms as they are printed. {_NAMED}"


def _from_name(name: str, wanted: Size) -> DeclaredPreprocessing:
    if (declared := from_words(name, wanted)) is not None:
        return declared
    raise ValueError(f"{strict_text.shown(name)} is not supported. {_NAMED}")


def inner(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """The image processor in the configuration of a processor of images and texts, or the value itself."""
    within = value.get("image_processor")
    return within if isinstance(within, dict) else value


def is_of_a_tool(value: Mapping[str, Any]) -> bool:
    """Whether an object looks like what a tool says about images."""
    return any(looks(inner(value)) for looks, _ in _TOOLS)


def _of(read: Callable[[Mapping[str, Any]], DeclaredPreprocessing]) -> _Read:
    """A reader that does not care what size the graph has."""
    return lambda value, _wanted: read(value)


# How each tool's object is known, and what reads it.
_TOOLS: tuple[tuple[Callable[[Mapping[str, Any]], bool], _Read], ...] = (
    (frameworks.is_timm, frameworks.read_timm),
    (huggingface.is_preprocessor, _of(huggingface.read)),
    (frameworks.is_keras, _of(frameworks.read_keras)),
    (presets.is_preset, _of(presets.read)),
    (pipelines.is_paddle, _of(pipelines.read_paddle)),
    (pipelines.is_mmdeploy, _of(pipelines.read_mmdeploy)),
    (apps.is_lobe, _of(apps.read_lobe)),
    (apps.is_teachable_machine, _of(apps.read_teachable_machine)),
    (apps.is_custom_vision, apps.read_custom_vision),
    (apps.is_ultralytics, _of(apps.read_yaml_of_ultralytics)),
)


def from_metadata(metadata: Mapping[str, str], wanted: Size) -> DeclaredPreprocessing:
    """Read what a model's metadata say about its images; what cannot be read of other tools is a warning.

    Raises:
        InvalidModel: this service's own JSON in them cannot be used; the sentence names the field.
    """
    if PREPROCESSING in metadata:
        with as_invalid_model(f"The metadata {PREPROCESSING}"):
            return from_text(metadata[PREPROCESSING], wanted, _METADATA)
    warnings = list[str]()
    for what, read in _of_other_tools(metadata, wanted):
        try:
            declared = read()
        except ValueError as error:
            warnings.append(f"{what} is passed over, because it cannot be used: {error}")
        else:
            if declared is not None:
                return replace(declared, warnings=(*warnings, *declared.warnings), foreign=True)
    return replace(EMPTY, warnings=tuple(warnings))


def _of_other_tools(metadata: Mapping[str, str], wanted: Size) -> Iterator[tuple[str, _Reader]]:
    """Each part of the metadata that may be another tool's configuration: what it is, and how to read it."""
    for key in _FILES:
        if key in metadata and (key != _VAGUE or metadata[key].lstrip().startswith("{")):
            yield f"The metadata {key}", partial(from_text, metadata[key], wanted, _METADATA)
    for tool, read in (
        ("OpenVINO", read_openvino),
        ("Ultralytics", read_ultralytics),
        ("ONNX's image properties", read_windows),
    ):
        yield f"The preprocessing in the metadata of {tool}", partial(read, metadata)


@contextlib.contextmanager
def as_invalid_model(what: str) -> Iterator[None]:
    """Turn a ValueError into InvalidModel; its sentence then says what cannot be used."""
    try:
        yield
    except ValueError as error:
        raise InvalidModel(f"{what} cannot be used: {error}") from error
