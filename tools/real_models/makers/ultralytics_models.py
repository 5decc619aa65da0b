"""Classifiers of Ultralytics, exported by its own command; its metadata says all."""

from pathlib import Path
from typing import Any

import numpy as np
import torch
import ultralytics
from ultralytics.data.augment import classify_transforms

from tools.real_models.makers import torch_networks as nets
from tools.real_models.makers.case import CLASSES, Answer, Case, Maker, labels, opened, run


def _network(case: Case, name: str, side: int) -> tuple[Any, nets.Prepare]:
    torch.manual_seed(3)
    yolo = ultralytics.YOLO(f"{name}.yaml", task="classify")
    network = ultralytics.nn.tasks.ClassificationModel(f"{name}.yaml", nc=CLASSES, verbose=False)
    network.names = dict(enumerate(labels()))
    prepare = classify_transforms(side)
    nets.fit(nets.calm(network), network.model[-1].linear, nets.batch(case.photographs, prepare))
    network.args, network.task = yolo.model.args, "classify"
    yolo.model = network
    return yolo, prepare


def _answer(network: Any, prepare: nets.Prepare) -> Answer:
    def answer(photograph: Path) -> Any:
        with torch.no_grad():
            found = network(prepare(opened(photograph))[None])
        return np.asarray((found[0] if isinstance(found, tuple) else found)[0].double().numpy())

    return answer


def _exported(name: str, what: str, *, side: int = 224, **options: Any) -> Maker:
    def make(case: Case) -> None:
        yolo, prepare = _network(case, name, side)
        answer = _answer(yolo.model, prepare)
        expected = {path.name: answer(path) for path in case.photographs}
        yolo.model.pt_path = str(case.path(f"{name}.pt"))
        yolo.export(format="onnx", imgsz=side, **options)
        case.save(f"{name} {what}", lambda photograph: expected[photograph.name], names=labels())

    return make


CASES: dict[str, Maker] = {
    "yolov8": _exported("yolov8n-cls", "export"),
    "yolo11": _exported("yolo11n-cls", "export"),
    "yolo11_dynamic": _exported("yolo11n-cls", "export, dynamic", dynamic=True),
    "yolo11_plain": _exported("yolo11n-cls", "export, simplify=False", simplify=False),
    "yolo11_opset": _exported("yolo11n-cls", "export, opset 12", opset=12),
    "yolo11_batch": _exported("yolo11n-cls", "export, batch 4", batch=4),
    "yolo11_small": _exported("yolo11n-cls", "export, imgsz 64", side=64),
    "yolo11_large": _exported("yolo11n-cls", "export, imgsz 320", side=320),
    "yolo26": _exported("yolo26n-cls", "export"),
}

if __name__ == "__main__":
    run("ultralytics", ("ultralytics", "torch", "onnx"), CASES)
