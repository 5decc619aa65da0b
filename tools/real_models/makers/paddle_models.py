"""Networks of PaddlePaddle, converted by paddle2onnx."""

from pathlib import Path
from typing import Any

import numpy as np
import paddle
import paddle2onnx
from paddle.vision import models, transforms

from tools.real_models.makers.case import (
    CLASSES,
    Answer,
    Array,
    Case,
    Maker,
    last_layer,
    opened,
    run,
    samples,
    softmax,
)

_MEAN, _STD = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]


def _prepare(image: Any) -> Array:
    """The usual preprocessing with Paddle's own transforms, [3, 224, 224]."""
    steps = [transforms.Resize(256), transforms.CenterCrop(224), transforms.ToTensor()]
    return np.asarray(transforms.Compose([*steps, transforms.Normalize(_MEAN, _STD)])(image).numpy())


def _calm(layer: Any) -> None:
    """Let a convolution pass its input on with little noise, as `torch_networks.calm` does."""
    shape = layer.weight.shape
    own = np.random.default_rng(3).normal(0, 0.2 / np.prod(shape[1:]) ** 0.5, shape)
    for index in range(shape[0]):
        own[index, index % shape[1], shape[2] // 2, shape[3] // 2] += 1
    layer.weight.set_value(own.astype(np.float32))


def _fit(network: Any, last: Any, images: Array) -> None:
    """Set the statistics and the last layer by a batch."""
    seen: list[Array] = []
    for layer in network.sublayers():
        if isinstance(layer, paddle.nn.BatchNorm2D):
            layer._momentum = 0.0  # noqa: SLF001 - Paddle has no other way to take one batch's statistics
        if isinstance(layer, paddle.nn.Conv2D):
            _calm(layer)
    network.train()
    network(paddle.to_tensor(images))
    network.eval()
    hook = last.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0].numpy()))
    network(paddle.to_tensor(images))
    hook.remove()
    weight, bias = last_layer(seen[0].reshape(len(images), -1).astype(np.float64))
    last.weight.set_value(weight)
    last.bias.set_value(bias)


def _answer(network: Any) -> Answer:
    def answer(photograph: Path) -> Array:
        scores = network(paddle.to_tensor(_prepare(opened(photograph))[None])).numpy()[0]
        return softmax(scores.astype(np.float64))

    return answer


def _exported(name: str, *, batch: int | None = None, opset: int = 15, **options: Any) -> Maker:
    def make(case: Case) -> None:
        paddle.seed(3)
        network = getattr(models, name)(num_classes=CLASSES, **options)
        last = [layer for layer in network.sublayers() if isinstance(layer, paddle.nn.Linear)][-1]
        _fit(network, last, np.stack([_prepare(part) for part in samples(case.photographs)]))
        folder = case.folder / "static"
        shape = [batch or -1, 3, 224, 224]
        paddle.jit.save(
            network, str(folder / "inference"), input_spec=[paddle.static.InputSpec(shape, "float32")]
        )
        (program,) = (path for path in folder.iterdir() if path.suffix in (".json", ".pdmodel"))
        paddle2onnx.export(
            str(program),
            str(folder / "inference.pdiparams"),
            str(case.path("inference.onnx")),
            opset_version=opset,
        )
        case.save(f"{name}, paddle2onnx, opset {opset}, batch {batch or 'free'}", _answer(network))

    return make


CASES: dict[str, Maker] = {
    "mobilenet_v3": _exported("mobilenet_v3_small", scale=0.5),
    "mobilenet_v2": _exported("mobilenet_v2", scale=0.25),
    "shufflenet": _exported("shufflenet_v2_x0_25"),
    "resnet18": _exported("resnet18", opset=11),
    "mobilenet_v1": _exported("mobilenet_v1", scale=0.25, batch=1, opset=17),
}

if __name__ == "__main__":
    run("paddle", ("paddlepaddle", "paddle2onnx"), CASES)
