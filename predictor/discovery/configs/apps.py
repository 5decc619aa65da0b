"""What programs with a window write beside a model: Lobe, Teachable Machine, Azure Custom Vision.

Files of other tools that come along with a model but say nothing about its images are known here as well.
"""

import re
from collections.abc import Mapping
from typing import Any

from predictor.discovery.configs.declared import OWN, SCALE, DeclaredPreprocessing, Record
from predictor.discovery.configs.metadata import read_ultralytics, read_windows

Size = tuple[int | None, int | None]

# A network in Keras's `Sequential` in another; only a second one of a session has a number.
_TEACHABLE_INPUT = re.compile(r"sequential_\d+_input(:0)?")
_CUSTOM_VISION = "CustomVision."
_OF_KERAS = (
    "An object of Keras, as in preprocessor.json of KerasHub, is not supported. Give our own JSON in its "
    'place, with the numbers of its image converter: {"size": image_size, "resize_to": image_size, '
    '"interpolation": "linear", "scale": 1, "mean": -offset / scale, "std": 1 / scale}.'
)
_SILENT = "{} does not say how images are prepared: it is not used for that."


def is_lobe(value: Mapping[str, Any]) -> bool:
    """Whether an object looks like Lobe's `signature.json`."""
    inputs = value.get("inputs")
    return isinstance(inputs, dict) and isinstance(inputs.get("Image"), dict)


def read_lobe(value: Mapping[str, Any]) -> DeclaredPreprocessing:
    """Read the input `Image`.

    The steps are those of `image_utils.py` in lobe-python 0.6: the image just covers the input, with the
    long side rounded, by Pillow's default filter; an odd margin is rounded down; pixels are from 0 to 1.

    Raises:
        ValueError: the shape is not one of images.
    """
    shape = value["inputs"]["Image"].get("shape")
    if not isinstance(shape, list) or len(shape) != 4:
        raise ValueError("inputs.Image.shape must be a list of four lengths.")
    record = Record({"shape": shape[1:3]}, ("shape",), "inputs.Image")
    height, width = record.sides("shape")
    values = {
        "size": (height, width),
        "resize": "crop",
        "resize_to": (height, width),
        "interpolation": "bicubic",
        "channels": "RGB",
        "scale": SCALE,
        "mean": (0.0,),
        "std": (1.0,),
        "rounding": "down",
    }
    return DeclaredPreprocessing("Lobe's signature.json", values, {"size": "inputs.Image.shape"})


def is_teachable_machine(value: Mapping[str, Any]) -> bool:
    """Whether an object looks like the `metadata.json` of an image project of Teachable Machine."""
    return "imageSize" in value and ("tmVersion" in value or "labels" in value)


def read_teachable_machine(value: Mapping[str, Any]) -> DeclaredPreprocessing:
    """Read `imageSize`.

    Raises:
        ValueError: `imageSize` is no length.
    """
    record = Record({name: value[name] for name in ("imageSize", "grayscale") if name in value}, value)
    grey = record.flag("grayscale", False)
    values = _teachable_values(record.side("imageSize"), "L" if grey else "RGB")
    return DeclaredPreprocessing("Teachable Machine's metadata.json", values, {"size": "imageSize"})


def of_teachable_machine(input_name: str, labels_text: str | None, side: int) -> DeclaredPreprocessing | None:
    """How Teachable Machine prepares images, if a model and its labels look like its own Keras export.

    That export has no file with settings: `labels.txt` numbers its lines, and the converted model keeps the
    names of its networks.

    Args:
        input_name: what the graph calls its images.
        labels_text: the labels that came with it.
        side: rows and columns of its images.
    """
    lines = (labels_text or "").split("\n")
    numbered = [line.split(" ")[0] == str(number) for number, line in enumerate(lines) if line.strip()]
    if not (_TEACHABLE_INPUT.fullmatch(input_name) and numbered and all(numbered)):
        return None
    return DeclaredPreprocessing(
        "Teachable Machine's labels.txt", _teachable_values(side, "RGB"), foreign=True
    )


def _teachable_values(side: int, channels: str) -> dict[str, Any]:
    """The steps of the Python program that Teachable Machine shows for a Keras model.

    These are `ImageOps.fit` with the Lanczos filter, and pixels from -1 to 1.
    """
    return {
        "size": (side, side),
        "resize": "crop",
        "resize_to": (side, side),
        "interpolation": "lanczos",
        "channels": channels,
        "scale": 1 / 127.5,
        "mean": (1.0,),
        "std": (1.0,),
        "rounding": "none",
    }


def is_custom_vision(value: Mapping[str, Any]) -> bool:
    """Whether an object has image properties, as `metadata_properties.json` of Custom Vision."""
    return any(name.lower().startswith("image.") for name in value)


def read_custom_vision(value: Mapping[str, Any], wanted: Size) -> DeclaredPreprocessing:
    """Read the image properties, which stand in the ONNX file as well, and the size where the graph has none.

    Raises:
        ValueError: a property has a value that is not known here.
    """
    texts = {name: one for name, one in value.items() if isinstance(one, str)}
    declared = read_windows(texts)
    if declared is None:
        raise ValueError("No image property is known.")
    sides = [texts.get(f"{_CUSTOM_VISION}Preprocess.Target{side}", "") for side in ("Height", "Width")]
    size = {}
    if wanted == (None, None) and all(side.isascii() and side.isdecimal() for side in sides):
        record = Record({"Target": [int(side[:9]) for side in sides]}, ("Target",), "CustomVision.Preprocess")
        size = {"size": record.sides("Target")}
    return DeclaredPreprocessing(
        "Custom Vision's metadata_properties.json",
        {**declared.values, **size},
        declared.names,
        warnings=declared.warnings,
    )


def is_ultralytics(value: Mapping[str, Any]) -> bool:
    """Whether an object looks like the `metadata.yaml` that Ultralytics writes beside an exported model."""
    return "task" in value and "imgsz" in value


def read_yaml_of_ultralytics(value: Mapping[str, Any]) -> DeclaredPreprocessing:
    """Read `metadata.yaml`, whose fields stand in an ONNX file's metadata as texts.

    Raises:
        ValueError: the model is not for classification, or its size is none.
    """
    texts = {name: str(value[name]) for name in ("task", "imgsz", "channels") if name in value}
    declared = read_ultralytics(texts)
    if declared is None:
        raise ValueError("task and imgsz are missing.")
    return DeclaredPreprocessing("metadata.yaml of Ultralytics", declared.values, declared.names)


def refusal(value: Mapping[str, Any]) -> str | None:
    """Why a file of a known tool does not say how to prepare images. Returns None for any other file."""
    if "id2label" in value or "model_type" in value:
        return "A model's config.json holds no preprocessing; give preprocessor_config.json instead."
    if "class_name" in value and isinstance(value.get("config"), dict):
        return _OF_KERAS
    if "transform" in value and "__version__" in value:
        return f"This is the JSON of albumentations; give the service's own in its place. {OWN}."
    return None


def silent_file(value: Mapping[str, Any]) -> str | None:
    """The name of a known file that says nothing about the images; None if this is none of them."""
    if "names" in value and {"nc", "train", "val", "path"} & value.keys():
        return "data.yaml of Ultralytics"
    if "flavors" in value and ("mlflow_version" in value or "artifact_path" in value):
        return "MLmodel of MLflow"
    if isinstance(value.get("models"), list) and {"task", "customs", "version"} & value.keys():
        return "deploy.json of MMDeploy"
    if "ModelFileName" in value and ("DomainType" in value or "ExporterVersion" in value):
        return "cvexport.manifest of Custom Vision"
    return None


def read_silent(value: Mapping[str, Any]) -> DeclaredPreprocessing:
    """Nothing, with a warning that says so."""
    return DeclaredPreprocessing("nothing", {}, warnings=(_SILENT.format(silent_file(value)),))
