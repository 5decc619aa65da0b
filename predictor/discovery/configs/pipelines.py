"""Lists of steps: `inference.yml` of PaddleClas and PaddleX, and `pipeline.json` of MMDeploy.

Both tools resize with OpenCV unless the step says otherwise. Its bilinear filter looks at four pixels,
whatever the factor: `linear` here. Where its other filters are asked for, Pillow's stand in for them.
"""

import re
from collections.abc import Mapping
from typing import Any

from predictor.discovery.configs.declared import IMAGENET, SCALE, DeclaredPreprocessing, Record
from predictor.model.strict_text import shown

_OPENCV = {
    "bilinear": "linear",
    "nearest": "nearest",
    "bicubic": "bicubic",
    "area": "box",
    "lanczos": "lanczos",
}
_PILLOW = {name: name for name in ("nearest", "bilinear", "bicubic", "box", "hamming", "lanczos")}
_BACKENDS = {"cv2": _OPENCV, "pil": _PILLOW, "pillow": _PILLOW}
_OTHER_FILTER = "OpenCV's {} filter does not average the pixels between; Pillow's {} filter is used instead."
_FRACTION = re.compile(r"\s*(\d{1,9}(?:\.\d{0,9})?)\s*/\s*(\d{1,9}(?:\.\d{0,9})?)\s*")
_PADDLE, _MMDEPLOY = "PreProcess.transform_ops", "Preprocess.transforms"
_RESIZE = ("interpolation", "backend")


class _Steps:
    """The fields of `Preprocessing` that steps add to, one after the other."""

    def __init__(self, values: Mapping[str, Any]) -> None:
        self.values = dict(values)
        self.warnings = list[str]()
        self.resized = False

    def resize(self, record: Record, **values: Any) -> None:
        """A step that resizes."""
        if self.resized:
            raise ValueError("The images are resized twice, which is not supported.")
        filters = _BACKENDS[record.text("backend", "cv2", _BACKENDS)]
        name = record.text("interpolation", "bilinear", filters)
        if filters is _OPENCV and name != "bilinear":
            self.warnings.append(_OTHER_FILTER.format(name, filters[name]))
        self.resized = True
        self.values |= values | {"interpolation": filters[name]}

    def crop(self, size: tuple[int, int]) -> None:
        """A step that cuts out the middle."""
        if not self.resized:
            raise ValueError("The images are cropped before they are resized, which is not supported.")
        self.values["size"] = size

    def declared(self, source: str) -> DeclaredPreprocessing:
        """What all steps together declare."""
        if not self.resized:
            raise ValueError("No step resizes the images, which have any size.")
        if "size" not in self.values:
            if self.values["resize"] != "stretch":
                raise ValueError("No step crops the images, so that they have no common size.")
            self.values["size"] = self.values["resize_to"]
        return DeclaredPreprocessing(source, self.values, warnings=tuple(self.warnings))


def is_paddle(value: Mapping[str, Any]) -> bool:
    """Whether an object looks like an `inference.yml` that says how images are prepared."""
    inner = value.get("PreProcess")
    return isinstance(inner, dict) and isinstance(inner.get("transform_ops"), list)


def read_paddle(value: Mapping[str, Any]) -> DeclaredPreprocessing:
    """Read `PreProcess.transform_ops`.

    The steps and their defaults are those of `deploy/python/preprocess.py` in PaddleClas 2.6: the short side
    is rounded, an odd margin is rounded down.

    Raises:
        ValueError: a step or a field is unknown, wrong, or asks for what this service does not do.
    """
    steps = _Steps({"channels": "RGB", "scale": 1.0, "mean": (0.0,), "std": (1.0,), "rounding": "down"})
    for number, step in enumerate(value["PreProcess"]["transform_ops"]):
        name, fields = next(iter(step.items())) if isinstance(step, dict) and len(step) == 1 else (None, None)
        if name not in _PADDLE_STEPS or not isinstance(fields, dict | None):
            raise ValueError(f"{_PADDLE}: step {number}, {shown(name)}, is not supported.")
        _PADDLE_STEPS[name](steps, fields or {}, f"{_PADDLE}.{name}")
    return steps.declared("PaddleClas' inference.yml")


def _paddle_decode(steps: _Steps, fields: Mapping[str, Any], within: str) -> None:
    record = Record(fields, ("to_rgb", "to_np", "channel_first", "img_mode", "backend"), within)
    mode = record.text("img_mode", "rgb" if record.flag("to_rgb", True) else "bgr", ("rgb", "bgr"))
    steps.values["channels"] = mode.upper()


def _paddle_resize(steps: _Steps, fields: Mapping[str, Any], within: str) -> None:
    record = Record(fields, ("size", "resize_short", "return_numpy", *_RESIZE), within)
    if "resize_short" in record:
        short = record.side("resize_short")
        steps.resize(record, resize="crop", resize_to=(short, short))
    elif "size" in record:
        # Width and height.
        sides = record.sides("size")
        steps.resize(record, resize="stretch", resize_to=(sides[-1], sides[0]))
    else:
        raise record.wrong("resize_short", "is missing")


def _paddle_crop(steps: _Steps, fields: Mapping[str, Any], within: str) -> None:
    # Width and height.
    sides = Record(fields, ("size",), within).sides("size") if fields.get("size") is not None else ()
    if not sides:
        raise ValueError(f"{within}.size is missing.")
    steps.crop((sides[-1], sides[0]))


def _paddle_normalise(steps: _Steps, fields: Mapping[str, Any], within: str) -> None:
    fields = dict(fields)
    # PaddleClas computes what stands there as Python, which people use for 1.0/255.0.
    match = _FRACTION.fullmatch(str(fields.get("scale")))
    if match and float(match[2]):
        fields["scale"] = float(match[1]) / float(match[2])
    known = ("scale", "mean", "std", "order", "channel_num", "output_fp16")
    record = Record(fields, known, within)
    if record.get("channel_num", 3) not in (1, 3):
        raise record.wrong("channel_num", "must be 3")
    mean, std = record.numbers("mean", IMAGENET[0]), record.numbers("std", IMAGENET[1])
    steps.values |= {"scale": record.number("scale", SCALE), "mean": mean, "std": std}


def _nothing(steps: _Steps, fields: Mapping[str, Any], within: str) -> None:
    """A step that only changes how the tensor lies in memory, or what comes along with it."""


_PADDLE_STEPS = {
    "DecodeImage": _paddle_decode,
    "ResizeImage": _paddle_resize,
    "CropImage": _paddle_crop,
    "NormalizeImage": _paddle_normalise,
    "ToCHWImage": _nothing,
    "KeepKeys": _nothing,
}


def is_mmdeploy(value: Mapping[str, Any]) -> bool:
    """Whether an object looks like MMDeploy's `pipeline.json`."""
    inner = value.get("pipeline")
    return isinstance(inner, dict) and isinstance(inner.get("tasks"), list)


def read_mmdeploy(value: Mapping[str, Any]) -> DeclaredPreprocessing:
    """Read the transforms of the task that prepares the images.

    The steps are those of MMPretrain 1.2, as `get_preprocess` of MMDeploy 1.3 writes them: OpenCV loads blue
    first, `Normalize` has pixels from 0 to 255, the long side is rounded down.

    Raises:
        ValueError: a step or a field is unknown, wrong, or asks for what this service does not do.
    """
    tasks = [task for task in value["pipeline"]["tasks"] if isinstance(task, dict)]
    lists = [task["transforms"] for task in tasks if isinstance(task.get("transforms"), list)]
    if len(lists) != 1:
        raise ValueError("pipeline.tasks must have one task with transforms.")
    steps = _Steps({"channels": "BGR", "scale": 1.0, "mean": (0.0,), "std": (1.0,)})
    for number, step in enumerate(lists[0]):
        name = step.get("type") if isinstance(step, dict) else None
        if not isinstance(name, str) or name not in _MM_STEPS:
            raise ValueError(f"{_MMDEPLOY}: step {number}, {shown(name)}, is not supported.")
        fields = {key: one for key, one in step.items() if key != "type"}
        _MM_STEPS[name](steps, fields, f"{_MMDEPLOY}.{name}")
    return steps.declared("MMDeploy's pipeline.json")


def _mm_resize(steps: _Steps, fields: Mapping[str, Any], within: str) -> None:
    record = Record(fields, ("size", "scale", "keep_ratio", *_RESIZE), within)
    name = "size" if "size" in record else "scale"
    size = record.get(name)
    if isinstance(size, list) and len(size) == 2 and size[1] == -1:
        steps.resize(record, resize="crop", resize_to=record.as_side(name, size[0]))
    elif name not in record:
        raise record.wrong(name, "is missing")
    elif record.flag("keep_ratio", False):
        raise record.wrong("keep_ratio", "must not be true with a width and a height")
    else:
        # Width and height.
        sides = record.sides(name)
        steps.resize(record, resize="stretch", resize_to=(sides[-1], sides[0]))


def _mm_resize_edge(steps: _Steps, fields: Mapping[str, Any], within: str) -> None:
    record = Record(fields, ("scale", "edge", *_RESIZE), within)
    record.text("edge", "short", ("short",))
    steps.resize(record, resize="crop", resize_to=record.side("scale"))


def _mm_crop(steps: _Steps, fields: Mapping[str, Any], within: str) -> None:
    record = Record(fields, ("crop_size", "efficientnet_style", "crop_padding", *_RESIZE), within)
    if record.flag("efficientnet_style", False):
        raise record.wrong("efficientnet_style", "must not be true: it is not supported")
    if "crop_size" not in record:
        raise record.wrong("crop_size", "is missing")
    sides = record.sides("crop_size")
    steps.crop((sides[0], sides[-1]))


def _mm_normalise(steps: _Steps, fields: Mapping[str, Any], within: str) -> None:
    record = Record(fields, ("mean", "std", "to_rgb"), within)
    steps.values |= {
        "mean": record.numbers("mean", (0.0,)),
        "std": record.numbers("std", (1.0,)),
        "channels": "RGB" if record.flag("to_rgb", True) else "BGR",
    }


_MM_STEPS = {
    "Resize": _mm_resize,
    "ResizeEdge": _mm_resize_edge,
    "CenterCrop": _mm_crop,
    "Normalize": _mm_normalise,
    "LoadImageFromFile": _nothing,
    "ImageToTensor": _nothing,
    "DefaultFormatBundle": _nothing,
    "PackInputs": _nothing,
    "Collect": _nothing,
}
