"""Whatever somebody uploads or writes into a model's metadata about its images -> `DeclaredPreprocessing`."""

import contextlib
from collections.abc import Iterator, Mapping
from pathlib import PurePosixPath
from typing import Any, Literal

from predictor.discovery.configs import huggingface, keras, native, timm, torchvision
from predictor.discovery.configs.declared import DeclaredPreprocessing
from predictor.discovery.configs.metadata import read_openvino, read_ultralytics, read_windows
from predictor.errors import InvalidModel
from predictor.model import strict_json

PREPROCESSING = "predictor.preprocessing"
"""The metadata key of this service's own JSON."""

BESIDE = "the file that came with the model"

_METADATA = "the model's metadata"
# Other keys whose value is a configuration as it would lie beside the model.
_VAGUE = "preprocessing"
_FILES = ("preprocessor_config.json", "preprocessor_config", "pretrained_cfg", _VAGUE)

_ROLES: dict[str, Literal["labels", "preprocessing", "both"]] = {
    **dict.fromkeys(("labels.txt", "labels.json", "classes.txt", "class_indices.json"), "labels"),
    **dict.fromkeys(("config.json",), "labels"),
    **dict.fromkeys(("preprocessor_config.json", "preprocessing.json"), "preprocessing"),
    **dict.fromkeys(("signature.json", "inference.yml"), "both"),
}

Size = tuple[int | None, int | None]


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


def role(name: str, text: str) -> Literal["labels", "preprocessing", "both"] | None:
    """What a file that came with a model says; None if it is not known.

    Args:
        name: the uploader's path for it.
        text: what stands in it.
    """
    return _ROLES.get(PurePosixPath(name).name.lower()) if text.strip() else None


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


@contextlib.contextmanager
def as_invalid_model(what: str) -> Iterator[None]:
    """Turn a ValueError into InvalidModel; its sentence then says what cannot be used."""
    try:
        yield
    except ValueError as error:
        raise InvalidModel(f"{what} cannot be used: {error}") from error
