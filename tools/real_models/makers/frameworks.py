"""Exports of PaddleClas, MMDeploy and MLflow with the files that they write beside a model, in that form."""

import json
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
import onnx
from onnx import ModelProto, helper
from PIL import Image

from tools.real_models.makers import ort_networks as ort
from tools.real_models.makers.case import CLASSES, Answer, Array, Case, Maker, labels, run

_SHORT, _SIDE = 256, 224
_MEAN, _STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
Resize = Callable[[Image.Image, tuple[int, int]], Array]


def pillow(image: Image.Image, size: tuple[int, int]) -> Array:
    """Resize by Pillow's bicubic filter."""
    return np.asarray(image.resize(size, Image.Resampling.BICUBIC))


def opencv(image: Image.Image, size: tuple[int, int]) -> Array:
    """Resize by OpenCV's bilinear filter, which does not average when an image becomes smaller."""
    return np.asarray(cv2.resize(np.asarray(image), size, interpolation=cv2.INTER_LINEAR))


def _cropped(image: Image.Image, resize: Resize) -> Array:
    """Short side 256, and the middle of 224 x 224 pixels."""
    factor = _SHORT / min(image.size)
    width, height = (round(length * factor) for length in image.size)
    left, top = (width - _SIDE) // 2, (height - _SIDE) // 2
    return resize(image, (width, height))[top : top + _SIDE, left : left + _SIDE]


def _network(case: Case, resize: Resize, output: str) -> tuple[ModelProto, Answer]:
    """A network with softmax inside, and its answer to images that are resized in one way."""

    def prepare(image: Image.Image) -> Array:
        return ort.first(_cropped(image, resize))

    network = ort.network(case.photographs, prepare)
    path = case.folder / "network.onnx"
    onnx.save(network, path)
    node = helper.make_node("Softmax", ["logits"], [output], axis=1)
    whole = ort.extended(network, [node], [ort.tensor(output, ["batch", CLASSES])])
    return whole, ort.runtime_answer(path, prepare)


def _lines(values: Any, indent: int) -> str:
    return "".join(f"\n{' ' * indent}- {value}" for value in values)


def _paddle_yaml(*, names: bool, how: str) -> str:
    """`inference.yml` as PaddleX and PaddleClas write it."""
    given = f"label_list:{_lines(labels(), 4)}" if names else "class_id_map_file: null"
    return f"""Global:
  model_name: PP-LCNet_x1_0
Hpi:
  backend_configs:
    paddle_infer:
      trt_dynamic_shapes: &id001
        x:
        - [1, 3, {_SIDE}, {_SIDE}]
        - [8, 3, {_SIDE}, {_SIDE}]
    tensorrt:
      dynamic_shapes: *id001
PostProcess:
  Topk:
    topk: 5
    {given}
PreProcess:
  transform_ops:
  - ResizeImage:
      resize_short: {_SHORT}{how}
  - CropImage:
      size: {_SIDE}
  - NormalizeImage:
      channel_num: 3
      mean:{_lines(_MEAN, 6)}
      order: ''
      scale: 0.00392156862745098
      std:{_lines(_STD, 6)}
  - ToCHWImage: null
"""


def _paddle(what: str, resize: Resize, *, names: bool = True) -> Maker:
    def make(case: Case) -> None:
        model, answer = _network(case, resize, "softmax_0.tmp_0")
        onnx.save(model, case.path("inference.onnx"))
        how = "\n      interpolation: bicubic\n      backend: pil" if resize is pillow else ""
        case.path("inference.yml").write_text(_paddle_yaml(names=names, how=how))
        case.save(what, answer, names=labels() if names else None)

    return make


def _transforms(resize: Resize) -> list[dict[str, Any]]:
    backend = {"backend": "pillow", "interpolation": "bicubic"} if resize is pillow else {}
    numbers = {"mean": [255 * x for x in _MEAN], "std": [255 * x for x in _STD], "to_rgb": True}
    return [
        {"type": "LoadImageFromFile", "channel_type": "color"},
        {"type": "Resize", "size": [_SHORT, -1], "keep_ratio": True, **backend},
        {"type": "CenterCrop", "crop_size": _SIDE},
        {"type": "Normalize", **numbers},
        {"type": "ImageToTensor", "keys": ["img"]},
        {"type": "Collect", "keys": ["img"], "meta_keys": ["ori_shape", "img_shape"]},
    ]


def _pipeline(resize: Resize) -> dict[str, Any]:
    """`pipeline.json` of MMDeploy for MMPretrain."""
    task = {"type": "Task"}
    preprocess = {"module": "Transform", "name": "Preprocess", "input": ["img"], "output": ["prep_output"]}
    network = {"module": "Net", "name": "resnet", "is_batched": True, "input_map": {"img": "input"}}
    places = {"input": ["prep_output"], "output": ["infer_output"], "output_map": {}}
    ending = {"module": "mmpretrain", "name": "postprocess", "component": "LinearClsHead"}
    ends = {"params": {"topk": 5}, "input": ["prep_output", "infer_output"], "output": ["post_output"]}
    tasks = [
        {**task, **preprocess, "transforms": _transforms(resize)},
        {**task, **network, **places},
        {**task, **ending, **ends},
    ]
    return {"pipeline": {"input": ["img"], "output": ["post_output"], "tasks": tasks}}


def _deploy() -> dict[str, Any]:
    model: dict[str, Any] = {"name": "resnet", "net": "end2end.onnx", "weights": "", "backend": "onnxruntime"}
    model |= {"precision": "FP32", "batch_size": 1, "dynamic_shape": True}
    return {"version": "1.3.1", "task": "Classifier", "models": [model], "customs": []}


def _mmdeploy(what: str, resize: Resize) -> Maker:
    def make(case: Case) -> None:
        model, answer = _network(case, resize, "output")
        onnx.save(model, case.path("end2end.onnx"))
        files = {
            "pipeline.json": _pipeline(resize),
            "deploy.json": _deploy(),
            "detail.json": {"version": "1.3.1"},
        }
        for name, content in files.items():
            case.path(name).write_text(json.dumps(content, indent=4))
        case.save(what, answer)

    return make


CASES: dict[str, Maker] = {
    "paddle_pillow": _paddle("PaddleX inference.yml, Pillow's bicubic filter, names", pillow),
    "paddle_opencv": _paddle("PaddleX inference.yml, OpenCV's bilinear filter, names", opencv),
    "paddle_nameless": _paddle("PaddleClas inference.yml without names", pillow, names=False),
    "mmdeploy_pillow": _mmdeploy("MMDeploy folder, Pillow's bicubic filter", pillow),
    "mmdeploy_opencv": _mmdeploy("MMDeploy folder, OpenCV's bilinear filter", opencv),
}

if __name__ == "__main__":
    run("forms of frameworks", ("onnx", "onnxruntime", "opencv-python-headless"), CASES)
