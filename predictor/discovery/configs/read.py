"""Whatever somebody uploads or writes into a model's metadata about its images -> `DeclaredPreprocessing`."""

import contextlib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from predictor.discovery.configs import huggingface, keras, native, timm, torchvision
from predictor.discovery.configs.declared import DeclaredPreprocessing
from predictor.discovery.configs.metadata import read_openvino, read_ultralytics, read_windows
from predictor.errors import InvalidModel
from predictor.model import label_formats, strict_json, strict_yaml

PREPROCESSING = "predictor.preprocessing"
"""The metadata key of this service's own JSON."""

BESIDE = "the file that came with the model"

_METADATA = "the model's metadata"
# Other keys whose value is a configuration as it would lie beside the model.
_VAGUE = "preprocessing"
_FILES = ("preprocessor_config.json", "preprocessor_config", "pretrained_cfg", _VAGUE)

Size = tuple[int | None, int | None]
Role = Literal["labels", "preprocessing", "both"]

# Files of a bundle that are for people and for other programs, whatever stands in them.
_PROSE = re.compile(r"(readme|license|licence|notice|changelog|requirements|\.).*|.*\.(md|rst|py|ipynb|html)")
_ABOUT_CLASSES = re.compile(r".*(label|class|names|synset|categor|id2|2id|index_to).*")
_ABOUT_IMAGES = re.compile(r".*(preprocess|image_processor).*")


def from_text(text: str, wanted: Size, source: str = BESIDE) -> DeclaredPreprocessing:
    """Read a file about the preprocessing, whichever tool's form it has.

    Args:
        text: the file.
        wanted: height and width that the graph's input has, None where they are free.
        source: where the text was, for this service's own form.

    Raises:
        ValueError: the form is not known, or a field is unknown or wrong; the sentence names it.
    """
    for known in (keras.from_text, torchvision.from_text):
        if (declared := known(text)) is not None:
            return declared
    value = strict_json.loads(text)
    if isinstance(value, str):
        return _from_name(value)
    if not isinstance(value, dict):
        raise ValueError("A JSON object is expected.")  # noqa: TRY004 - one error for every bad form
    return _from_object(value, wanted, source)


def _from_name(name: str) -> DeclaredPreprocessing:
    for known in (keras.from_text, torchvision.from_text):
        if (declared := known(name)) is not None:
            return declared
    raise ValueError(
        f"{strict_json.shown(name)} is not supported; use a name such as tf, caffe, torch or IMAGENET1K_V1."
    )


def _from_object(value: dict[str, Any], wanted: Size, source: str) -> DeclaredPreprocessing:
    inner = value.get("image_processor")
    if isinstance(inner, dict):
        value = inner
    if timm.is_timm(value):
        return timm.read(value, wanted)
    if huggingface.is_preprocessor(value):
        return huggingface.read(value)
    if keras.is_keras(value):
        return keras.read(value)
    if torchvision.is_preset(value):
        return torchvision.read(value)
    if "id2label" in value or "model_type" in value:
        raise ValueError(
            "A model's config.json holds no preprocessing; give preprocessor_config.json instead."
        )
    return native.read(value, source)


def from_metadata(metadata: Mapping[str, str], wanted: Size) -> DeclaredPreprocessing | None:
    """Read what a model's metadata say about its pictures; None if they say nothing.

    Raises:
        InvalidModel: they say it in a way that cannot be used; the sentence names the field.
    """
    for key in (PREPROCESSING, *_FILES):
        if key in metadata and (key != _VAGUE or metadata[key].lstrip().startswith("{")):
            with as_invalid_model(f"The metadata {key}"):
                return from_text(metadata[key], wanted, _METADATA)
    with as_invalid_model("The model's metadata"):
        return read_openvino(metadata) or read_ultralytics(metadata) or read_windows(metadata)


def role(name: str, text: str) -> Role | None:
    """What a file of a bundle is for, from its name and what stands in it.

    Args:
        name: the file's name, perhaps with folders before it.
        text: what stands in it.

    Returns:
        Whether it has the labels, says how images are prepared, or does both; None if it is not recognised,
        or says nothing about either, as MMDeploy's `deploy.json`.
    """
    file = name.replace("\\", "/").rpartition("/")[2].lower()
    if _PROSE.fullmatch(file):
        return None
    value = _value(text)
    labels = _has_labels(file, text, value)
    images = _has_preprocessing(file, text, value)
    if labels and images:
        return "both"
    return "labels" if labels else "preprocessing" if images else None


def _value(text: str) -> Any:
    """The JSON or YAML that stands in a file; None if it is neither."""
    for loads in (strict_json.loads, strict_yaml.loads):
        with contextlib.suppress(ValueError):
            return loads(text)
    return None


def _has_labels(file: str, text: str, value: Any) -> bool:
    stem, _, kind = file.rpartition(".")
    if kind == "pbtxt":
        return "item" in text
    if isinstance(value, dict) and label_formats.inside(value):
        return True
    return kind == "names" or bool(_ABOUT_CLASSES.fullmatch(stem or kind))


def _has_preprocessing(file: str, text: str, value: Any) -> bool:
    if isinstance(value, dict):
        known = (timm.is_timm, huggingface.is_preprocessor, keras.is_keras, torchvision.is_preset)
        if "image_processor" in value or any(looks(value) for looks in known):
            return True
        if value and value.keys() <= set(native.FIELDS):
            return True
    return "ImageClassification(" in text or bool(_ABOUT_IMAGES.fullmatch(file))


@contextlib.contextmanager
def as_invalid_model(what: str) -> Iterator[None]:
    """Turn a ValueError into InvalidModel; its sentence then says what cannot be used."""
    try:
        yield
    except ValueError as error:
        raise InvalidModel(f"{what} cannot be used: {error}") from error
