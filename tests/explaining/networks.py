"""Small networks whose features are known, as text of ONNX."""

import json
from typing import Any

import numpy as np
from onnx import helper, numpy_helper, parser

SIDE = 56
"""Height and width of their images."""

CHANNELS, CLASSES = 4, 3

POOLED = {
    "global": "pooled = GlobalAveragePool(features)",
    "axes of the node": "pooled = ReduceMean<axes = [-2, -1], keepdims = 1>(features)",
    "whole window": "pooled = AveragePool<kernel_shape = [7, 7]>(features)",
}
"""Averages over all places."""

LINEAR = {
    "Gemm": "flat = Flatten(pooled) logits = Gemm<transB = 1>(flat, weight, bias)",
    "Gemm by channel": "flat = Flatten(pooled) logits = Gemm(flat, weight_t, bias)",
    "MatMul": "flat = Flatten(pooled) product = MatMul(flat, weight_t) logits = Add(product, bias)",
    "dropout": "flat = Flatten(pooled) same = Identity(flat) kept = Dropout(same) "
    "logits = Gemm<transB = 1>(kept, weight, bias)",
    "convolution": "map = Conv(pooled, weight_4, bias) logits = Flatten(map)",
}
"""Linear layers behind them."""

OTHER = {
    "layer between": "flat = Flatten(pooled) hidden = Relu(flat) "
    "logits = Gemm<transB = 1>(hidden, weight, bias)",
    "largest": "most = GlobalMaxPool(features) flat = Flatten(most) "
    "logits = Gemm<transB = 1>(flat, weight, bias)",
    "two layers": "flat = Flatten(pooled) hidden = Gemm<transB = 1>(flat, square, bias_4) "
    "logits = Gemm<transB = 1>(hidden, weight, bias)",
    "a part of the window": "part = AveragePool<kernel_shape = [4, 4], strides = [3, 3]>(features) "
    "long = Flatten(part) logits = MatMul(long, weight_long)",
}
"""Ends of which there is no map."""


def network(
    tail: str = f"{POOLED['global']} {LINEAR['Gemm']}",
    activation: str = "Softmax<axis = 1>",
    *,
    batch: int | None = None,
    seed: int = 0,
    shuffled: bool = False,
    cue: bool = False,
) -> bytes:
    """A classifier of images of 56 x 56 pixels with features of 7 x 7 places.

    Args:
        tail: from `features` to `logits`.
        activation: of the logits.
        batch: how many images it takes at a time; any number by default.
        seed: of its weights.
        shuffled: whether those of the last layer stand in another order.
        cue: whether class 1 is red anywhere, and nothing else counts.
    """
    weights = _weights(np.random.default_rng(seed), shuffled=shuffled, cue=cue)
    facts = {
        "predictor.labels": json.dumps(["grass", "red square", "7"]),
        "predictor.activation": "none" if activation != "Identity" else "softmax",
    }
    return _model(tail, activation, batch, weights, facts)


def cues() -> bytes:
    """A classifier of independent classes: class 1 is red anywhere, 2 is blue, and 0 never applies."""
    weights = _weights(np.random.default_rng(0), shuffled=False, cue=True)
    weights["kernel"][1] = np.array([-1.0, -1.0, 1.0])[:, None, None] / 64
    weights["weight"][2, 1] = weights["weight"][1, 0]
    weights["bias"] = np.array([-4.0, -4.0, -4.0])
    labels = json.dumps(["grass", "red square", "blue square"])
    facts = {"predictor.labels": labels, "predictor.activation": "sigmoid"}
    return _model(f"{POOLED['global']} {LINEAR['Gemm']}", "Identity", None, weights, facts)


def _model(
    tail: str, activation: str, batch: int | None, weights: dict[str, Any], facts: dict[str, str]
) -> bytes:
    free = "N" if batch is None else batch
    model = parser.parse_model(
        f"""<ir_version: 8, opset_import: ["" : 17]>
        g (float[{free},3,{SIDE},{SIDE}] image) => (float[{free},{CLASSES}] scores) {{
            found = Conv<strides = [8, 8], kernel_shape = [8, 8]>(image, kernel, shift)
            features = Relu(found)
            {tail}
            scores = {activation}(logits)
        }}"""
    )
    model.graph.initializer.extend(
        numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()
    )
    helper.set_model_props(model, {**facts, "predictor.preprocessing": json.dumps(PREPROCESSING)})
    return bytes(model.SerializeToString())


PREPROCESSING = {
    "size": [SIDE, SIDE], "resize": "crop", "resize_to": SIDE, "interpolation": "bilinear", "channels": "RGB",
    "layout": "NCHW", "dtype": "float32", "scale": 1 / 255, "mean": [0.0] * 3, "std": [1.0] * 3,
}  # fmt: skip
"""How an image becomes their input."""


def _weights(random: np.random.Generator, *, shuffled: bool, cue: bool) -> dict[str, Any]:
    kernel = random.normal(size=(CHANNELS, 3, 8, 8)) / 8
    weight = random.normal(size=(CLASSES, CHANNELS))
    if cue:
        # The first feature is how much redder a place is than half of it; it alone speaks, for class 1.
        kernel = np.zeros((CHANNELS, 3, 8, 8))
        kernel[0] = np.array([1.0, -1.0, -1.0])[:, None, None] / 64
        weight = np.zeros((CLASSES, CHANNELS))
        weight[1, 0] = 400.0
    if shuffled:
        weight = random.permuted(weight, axis=1)
    return {
        "kernel": kernel, "shift": np.zeros(CHANNELS), "weight": weight, "weight_t": weight.T,
        "bias": np.array([0.5, 0.0, -0.5]), "weight_4": weight[:, :, None, None],
        "square": random.normal(size=(CHANNELS, CHANNELS)), "bias_4": np.zeros(CHANNELS),
        "weight_long": random.normal(size=(4 * CHANNELS, CLASSES)),
    }  # fmt: skip
