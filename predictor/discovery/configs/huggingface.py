"""`preprocessor_config.json` of Hugging Face transformers.

The names, the defaults of fields that are left out and the order of the steps are those of the image
processors of transformers 4.57. All of them cut out the middle with an odd margin rounded down.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from predictor.discovery.configs import declared
from predictor.discovery.configs.declared import SCALE, DeclaredPreprocessing, Record, Triple
from predictor.image.resize import Interpolation
from predictor.model import strict_text
from predictor.model.strict_text import shown

# Pillow's numbers of its filters.
_FILTERS: tuple[Interpolation, ...] = ("nearest", "lanczos", "bilinear", "bicubic", "box", "hamming")
_NEAREST, _BILINEAR, _BICUBIC = 0, 2, 3
# From this size on, ConvNext's processor takes the whole image.
_CONVNEXT_WHOLE = 384
_TYPES = ("image_processor_type", "feature_extractor_type")
_USED = {
    *_TYPES,
    *("do_resize", "size", "resample", "crop_pct", "do_center_crop", "crop_size", "do_rescale"),
    *("rescale_factor", "rescale_offset", "do_normalize", "image_mean", "image_std", "include_top"),
    *("do_flip_channel_order", "do_pad", "pad_size", "size_divisor"),
}
# They concern other things than the values of the tensor, or repeat what the processor's type says.
_IGNORED = {
    *("_processor_class", "processor_class", "_valid_processor_keys", "auto_map", "data_format"),
    *("default_to_square", "device", "disable_grouping", "do_convert_rgb", "do_reduce_labels"),
    *("input_data_format", "reduce_labels", "return_tensors"),
}
_NAMES = {
    "interpolation": "resample",
    "scale": "rescale_factor",
    "mean": "image_mean",
    "std": "image_std",
    "resize_to": "size",
    "channels": "do_flip_channel_order",
}


@dataclass(frozen=True)
class _Processor:
    """What an image processor does where its configuration is silent.

    `square` says whether a bare number as size is a square, not a short side; `crop` is the side of the
    part that is cut out, if any; `family` is None where pixels are not normalised.
    """

    size: int
    square: bool
    resample: int
    family: tuple[Triple, Triple] | None
    crop: int | None = None
    crop_pct: float | None = None


_CLIP = _Processor(224, False, _BICUBIC, declared.CLIP, crop=224)
_BEIT = _Processor(256, True, _BICUBIC, declared.HALF, crop=224)
_MOBILENET = _Processor(256, False, _BILINEAR, declared.HALF, crop=224)
_PROCESSORS = {
    "Beit": _BEIT,
    "Bit": _CLIP,
    "Blip": _Processor(384, True, _BICUBIC, declared.CLIP),
    "CLIP": _CLIP,
    "ChineseCLIP": _CLIP,
    "ConvNext": _Processor(384, False, _BILINEAR, declared.HALF, crop_pct=0.875),
    "DINOv3ViT": _Processor(224, True, _BILINEAR, declared.IMAGENET),
    "DeiT": _BEIT,
    "EfficientFormer": _Processor(224, True, _BICUBIC, declared.IMAGENET, crop=224),
    "EfficientNet": _Processor(346, True, _NEAREST, declared.HALF),
    "Levit": _Processor(224, False, _BICUBIC, declared.IMAGENET, crop=224),
    "MobileNetV1": _MOBILENET,
    "MobileNetV2": _MOBILENET,
    "MobileViT": _Processor(224, False, _BILINEAR, None, crop=256),
    "PoolFormer": _Processor(224, False, _BICUBIC, declared.IMAGENET, crop=224, crop_pct=0.9),
    "Pvt": _Processor(224, True, _BILINEAR, declared.IMAGENET),
    "Segformer": _Processor(512, True, _BILINEAR, declared.IMAGENET),
    "Siglip": _Processor(224, True, _BICUBIC, declared.HALF),
    "ViT": _Processor(224, True, _BILINEAR, declared.HALF),
    "ViTHybrid": _CLIP,
}
_MARKS = {*_TYPES, "do_resize", "do_rescale", "do_normalize", "do_center_crop", "image_mean", "image_std"}


def is_preprocessor(value: Mapping[str, Any]) -> bool:
    """Whether an object looks like a `preprocessor_config.json`."""
    return bool(_MARKS & value.keys())


def is_multi_label(text: str | None) -> bool:
    """Whether a text is transformers' `config.json` of a network whose classes do not exclude each other."""
    if text is None or '"problem_type"' not in text:
        return False
    try:
        value = strict_text.load_json(text)
    except ValueError:
        return False
    return isinstance(value, dict) and value.get("problem_type") == "multi_label_classification"


def read(value: Mapping[str, Any]) -> DeclaredPreprocessing:
    """Read a `preprocessor_config.json`.

    Raises:
        ValueError: a field is unknown, wrong, or asks for what this service does not do.
    """
    kind = _kind(value)
    record = Record(value, _USED | _IGNORED)
    processor = _PROCESSORS[kind or "ViT"]
    _refuse(record, kind)
    values = {
        **_geometry(record, kind, processor),
        **_normalisation(record, kind, processor),
        "interpolation": _interpolation(record, processor),
        "channels": "BGR" if record.flag("do_flip_channel_order", kind == "MobileViT") else "RGB",
        "rounding": "down",
    }
    names = _NAMES | {"size": "crop_size" if values["cropped"] else "size"}
    del values["cropped"]
    source = "preprocessor_config.json" + (f" of {kind}ImageProcessor" if kind else "")
    return DeclaredPreprocessing(source, values, names)


def _kind(value: Mapping[str, Any]) -> str:
    """The processor's name without what all have in common; empty if the configuration has none."""
    name = next((field for field in _TYPES if value.get(field) is not None), None)
    if name is None:
        return ""
    kind = (
        str(value[name]).removesuffix("Fast").removesuffix("ImageProcessor").removesuffix("FeatureExtractor")
    )
    if kind not in _PROCESSORS:
        raise ValueError(f"{name} {shown(value[name])} is not supported.")
    return kind


def _refuse(record: Record, kind: str) -> None:
    if not record.flag("do_resize", True):
        raise record.wrong("do_resize", "must be true, because images have any size")
    if record.flag("do_pad", False):
        raise record.wrong("do_pad", "must not be true: padding is not supported")
    for name in ("pad_size", "size_divisor"):
        if name in record:
            raise record.wrong(name, "is not supported")
    needed = (
        () if kind else ("size", *(("image_mean", "image_std") if record.flag("do_normalize", True) else ()))
    )
    for name in needed:
        if name not in record:
            raise record.wrong(name, "is missing, and image_processor_type as well")


def _interpolation(record: Record, processor: _Processor) -> Interpolation:
    number = record.get("resample", processor.resample)
    if type(number) is not int or not 0 <= number < len(_FILTERS):
        raise record.wrong("resample", "must be a whole number from 0 to 5, as Pillow numbers its filters")
    return _FILTERS[number]


def _geometry(record: Record, kind: str, processor: _Processor) -> dict[str, Any]:
    short, area = _size(record, "size", processor.size, square=processor.square)
    if kind == "ConvNext":
        return _convnext(record, short, processor)
    cropped = record.flag("do_center_crop", processor.crop is not None)
    if "crop_pct" in record or (kind == "PoolFormer" and processor.crop_pct):
        part = record.part("crop_pct", processor.crop_pct or 1.0)
        short, area = _enlarged(short, area, part)
    elif kind == "Levit" and short:
        short = int(256 / 224 * short)
    if not cropped:
        if area is None:
            raise record.wrong("do_center_crop", "must be true, or size must have height and width")
        return {"size": area, "resize": "stretch", "cropped": False}
    side, pair = _size(record, "crop_size", processor.crop or processor.size, square=True)
    cut = pair or (side, side)
    if area is not None:
        return {"size": cut, "resize": "stretch", "resize_to": area, "cropped": True}
    return {"size": cut, "resize": "crop", "resize_to": short, "cropped": True}


def _enlarged(
    short: int | None, area: tuple[int, int] | None, part: float
) -> tuple[int | None, tuple[int, int] | None]:
    """The size before the cut; as PoolFormer's processor does it, a square counts as a short side."""
    if area is not None and area[0] != area[1]:
        return None, (int(area[0] / part), int(area[1] / part))
    return int((short or (area or (0, 0))[0]) / part), None


def _convnext(record: Record, short: int | None, processor: _Processor) -> dict[str, Any]:
    if short is None:
        raise record.wrong("size", "must have shortest_edge for this image_processor_type")
    if short >= _CONVNEXT_WHOLE:
        return {"size": (short, short), "resize": "stretch", "cropped": False}
    resize_to = int(short / record.part("crop_pct", processor.crop_pct or 1.0))
    return {"size": (short, short), "resize": "crop", "resize_to": resize_to, "cropped": False}


def _size(
    record: Record, name: str, default: int, *, square: bool
) -> tuple[int | None, tuple[int, int] | None]:
    """A short side, or height and width."""
    value = record.get(name, default)
    if isinstance(value, dict):
        inner = Record(value, ("height", "width", "shortest_edge"), name)
        if "shortest_edge" not in inner:
            return None, (inner.side("height"), inner.side("width"))
        if "height" in inner or "width" in inner:
            raise inner.wrong("shortest_edge", "contradicts height and width")
        return inner.side("shortest_edge"), None
    if isinstance(value, list) and len(value) == 2:
        return None, (record.as_side(name, value[0]), record.as_side(name, value[1]))
    side = record.as_side(name, value)
    return (None, (side, side)) if square else (side, None)


def _normalisation(record: Record, kind: str, processor: _Processor) -> dict[str, Any]:
    scale = record.number("rescale_factor", SCALE) if record.flag("do_rescale", True) else 1.0
    shift = 1.0 if record.flag("rescale_offset", False) and record.flag("do_rescale", True) else 0.0
    family = processor.family or declared.HALF
    mean, std = record.numbers("image_mean", family[0]), record.numbers("image_std", family[1])
    # EfficientNet's processor divides by the standard deviation once more.
    again = std if record.flag("include_top", kind == "EfficientNet") else (1.0,)
    if not record.flag("do_normalize", processor.family is not None):
        mean, std = (0.0,), (1.0,)
    again = again * len(std) if len(again) == 1 else again
    std = std * len(again) if len(std) == 1 else std
    return {
        "scale": scale,
        "mean": tuple(one + shift for one in mean),
        "std": tuple(one * other for one, other in zip(std, again, strict=True)),
    }
