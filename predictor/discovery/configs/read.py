"""Whatever somebody uploads or writes into a model's metadata about its images -> `DeclaredPreprocessing`."""

import contextlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from functools import partial
from typing import Any, Literal

from predictor.discovery.configs import apps, huggingface, keras, native, pipelines, timm, torchvision
from predictor.discovery.configs.apps import read_silent, silent_file
from predictor.discovery.configs.declared import EMPTY, DeclaredPreprocessing
from predictor.discovery.configs.metadata import read_openvino, read_ultralytics, read_windows
from predictor.errors import InvalidModel
from predictor.model import label_formats, strict_json, strict_text

PREPROCESSING = "predictor.preprocessing"
"""The metadata key of this service's own JSON."""

BESIDE = "the file that came with the model"

_METADATA = "the model's metadata"
# Other keys whose value is a configuration as it would lie beside the model.
_VAGUE = "preprocessing"
_FILES = ("preprocessor_config.json", "preprocessor_config", "pretrained_cfg", _VAGUE)

Size = tuple[int | None, int | None]
_Read = Callable[[dict[str, Any], Size], DeclaredPreprocessing]
_Reader = Callable[[], DeclaredPreprocessing | None]
Role = Literal["labels", "preprocessing", "both"]

# A field of YAML, at the start of a line.
_FIELD = re.compile(r"^[A-Za-z_][\w.-]*\s*:(?:\s|$)", re.MULTILINE)
# Files of a bundle that are for people and for other programs, whatever stands in them.
_PROSE = re.compile(r"(readme|licen[cs]e|notice|changelog|requirements|\.).*|.*\.(md|rst|py|ipynb|html)")
_ABOUT_CLASSES = re.compile(r".*(label|class|names|synset|categor|id2|2id|index_to|idx_to).*")
_ABOUT_IMAGES = re.compile(r".*(preprocess|image_processor).*")
_LISTS = ("txt", "json", "csv", "tsv", "yaml", "yml")


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
    if (declared := _from_words(text)) is not None:
        return declared
    value = _parsed(text)
    if isinstance(value, str):
        return _from_name(value)
    if not isinstance(value, dict):
        raise ValueError("A JSON object is expected.")  # noqa: TRY004 - one error for every bad form
    output, value = value.get("output"), _inner(value)
    for looks, read in _TOOLS:
        if looks(value):
            return _of_tool(read, value, wanted, output)
    if "id2label" in value or "model_type" in value:
        raise ValueError(
            "A model's config.json holds no preprocessing; give preprocessor_config.json instead."
        )
    if silent_file(value) is not None:
        return read_silent(value)
    return native.read(value, source)


def _of_tool(read: _Read, value: dict[str, Any], wanted: Size, output: Any) -> DeclaredPreprocessing:
    """What a tool's object declares, and the output that somebody named in it, which no tool does."""
    if not isinstance(output, str):
        return read(value, wanted)
    return replace(read({key: one for key, one in value.items() if key != "output"}, wanted), output=output)


def _from_words(text: str) -> DeclaredPreprocessing | None:
    """What a mode of Keras, a name of torchvision's weights or its printed preset says; None if none."""
    return keras.from_text(text) or torchvision.from_text(text)


def _parsed(text: str) -> Any:
    """The value of JSON, or of a YAML file that has fields."""
    try:
        return strict_json.loads(text)
    except ValueError:
        if not _FIELD.search(text) or text.lstrip()[:1] in ("{", "[", '"'):
            raise
    return strict_text.load_yaml(text)


def _from_name(name: str) -> DeclaredPreprocessing:
    if (declared := _from_words(name)) is not None:
        return declared
    raise ValueError(
        f"{strict_json.shown(name)} is not supported; use a name such as tf, caffe, torch or IMAGENET1K_V1."
    )


def _inner(value: dict[str, Any]) -> dict[str, Any]:
    """The image processor in the configuration of a processor of images and texts, or the value itself."""
    inner = value.get("image_processor")
    return inner if isinstance(inner, dict) else value


def _of(read: Callable[[dict[str, Any]], DeclaredPreprocessing]) -> _Read:
    """A reader that does not care what size the graph has."""
    return lambda value, _wanted: read(value)


# How each tool's object is known, and what reads it.
_TOOLS: tuple[tuple[Callable[[dict[str, Any]], bool], _Read], ...] = (
    (timm.is_timm, timm.read),
    (huggingface.is_preprocessor, _of(huggingface.read)),
    (keras.is_keras, _of(keras.read)),
    (torchvision.is_preset, _of(torchvision.read)),
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


def role(name: str, text: str) -> Role | None:
    """What a file of a bundle is for, from its name and what stands in it.

    Args:
        name: the file's name, perhaps with folders before it.
        text: what stands in it.

    Returns:
        Whether it has the labels, says how images are prepared, or does both; None if it is not recognised,
        or says nothing about either, as MMDeploy's `deploy.json`, MLflow's `MLmodel` and the file
        `cvexport.manifest` of Custom Vision.
    """
    file = name.replace("\\", "/").rpartition("/")[2].lower()
    if _PROSE.fullmatch(file):
        return None
    value: Any = None
    with contextlib.suppress(ValueError):
        value = _parsed(text)
    images, labels = _says_images(file, text, value), _says_labels(file, text, value)
    if images and labels:
        return "both"
    return "preprocessing" if images else "labels" if labels else None


def _says_images(file: str, text: str, value: Any) -> bool:
    if isinstance(value, dict):
        inner = _inner(value)
        own = file.endswith(".json") and bool(value) and value.keys() <= set(native.FIELDS)
        return own or any(looks(inner) for looks, _ in _TOOLS) or bool(_ABOUT_IMAGES.fullmatch(file))
    try:
        return _from_words(text) is not None or bool(_ABOUT_IMAGES.fullmatch(file))
    except ValueError:
        return True


def _says_labels(file: str, text: str, value: Any) -> bool:
    """Whether a file has a part for names, or the name and form of a list of names."""
    if isinstance(value, dict) and label_formats.inside(value):
        return True
    stem, dot, kind = file.rpartition(".")
    if kind in _LISTS or not dot:
        return bool(_ABOUT_CLASSES.fullmatch(stem or kind))
    return kind == "names" or (kind == "pbtxt" and "item" in text)


@contextlib.contextmanager
def as_invalid_model(what: str) -> Iterator[None]:
    """Turn a ValueError into InvalidModel; its sentence then says what cannot be used."""
    try:
        yield
    except ValueError as error:
        raise InvalidModel(f"{what} cannot be used: {error}") from error
