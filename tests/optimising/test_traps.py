"""Wrong ways to quantise are measured to be worse than the right one, and none of them is ever recommended.

What is wrong with the answers is measured by the answers. What is slower is shown by what the runtime
executes, and by the pace that the service measures, on a network on which it is several times slower.
"""

import statistics
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest
from onnx import helper, numpy_helper
from onnxruntime.quantization import QuantFormat, QuantType, quantize_static

from predictor.model.device import Device
from predictor.model.session import load
from predictor.optimising import quantisers
from predictor.optimising.answers import Answers, changes
from predictor.optimising.job import CALIBRATION, JUDGED, ORIGINAL, Job, Pacing
from predictor.optimising.make import make
from predictor.optimising.processes import Processes
from predictor.optimising.verdict import MAX_LOSS, objections
from tests.optimising.networks import CLASSES, SIDE, network, tensors

FAST = {name: {"ratio": 1.6} for name in ("alone", "all_cores")}
# As much larger as the weights of some channels of real depthwise layers are.
OUTLIER = 30.0
IMAGES = 300
RIGHT = "int8_corrected.onnx"


def answers(path: Path) -> Answers:
    """What a model says of the half of the images that judges."""
    session = load(path, Device("cpu"))
    scores = np.concatenate([session.run(one[np.newaxis]) for one in tensors(IMAGES)[1::2]])
    return Answers(scores.astype(np.float64), [None] * len(scores))


def judged(original: Answers, candidate: Answers, speed: dict[str, Any] = FAST) -> tuple[float, list[str]]:
    """The agreement of a quantised model with the original, and what speaks against it if it is fast."""
    found = changes(original, candidate) | {"speed": speed}
    return found["agreement"]["value"], objections(found, MAX_LOSS)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the service makes of a network that has a channel of large weights in each layer."""
    path = tmp_path_factory.mktemp("traps")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(path)
        onnx.save(network(OUTLIER), ORIGINAL)
        np.save(CALIBRATION, tensors(IMAGES)[::2])
        make(Job("make", (ORIGINAL,), ("image", "scores")))
    return path


@pytest.fixture(scope="module")
def original(folder: Path) -> Answers:
    """What the network says."""
    return answers(folder / ORIGINAL)


def quantised(folder: Path, target: Path, **other: Any) -> Path:
    """The same network quantised in another way, with the same ranges."""
    settings: dict[str, Any] = {
        "quant_format": QuantFormat.QDQ,
        "op_types_to_quantize": list(quantisers.STATIC_OPERATORS),
        "per_channel": True,
        "activation_type": QuantType.QUInt8,
        "weight_type": QuantType.QInt8,
        "calibration_cache_path": folder / quantisers.CACHE,
    }
    quantize_static(folder / "prepared.onnx", target, **(settings | other))
    return target


def executed(path: Path, target: Path) -> Counter[str]:
    """The operators that the runtime executes for a model."""
    quantisers.rewritten(path, target, "ORT_ENABLE_EXTENDED")
    return Counter(node.op_type for node in onnx.load(target).graph.node)


def test_right_way(folder: Path, original: Answers, tmp_path: Path) -> None:
    """What the service makes keeps the answers, computes products in integers, and may be recommended."""
    agreement, why_not = judged(original, answers(folder / RIGHT))

    assert agreement > 0.95
    assert why_not == []
    run = executed(folder / RIGHT, tmp_path / "run.onnx")
    assert (run["QLinearConv"], run["QGemm"], run["Conv"], run["FusedConv"]) == (3, 1, 0, 0)


def test_one_scale_for_a_weight(folder: Path, original: Answers, tmp_path: Path) -> None:
    """With one scale for a whole weight, its small channels become zero, and answers change."""
    wrong = quantised(folder, tmp_path / "q.onnx", per_channel=False)

    agreement, why_not = judged(original, answers(wrong))

    assert agreement < 0.8
    assert any("may be lost" in sentence for sentence in why_not)


def test_asymmetric_weights(folder: Path, original: Answers, tmp_path: Path) -> None:
    """Unsigned, asymmetric weights with integer operators change more answers than the bound allows."""
    wrong = quantised(
        folder,
        tmp_path / "q.onnx",
        quant_format=QuantFormat.QOperator,
        weight_type=QuantType.QUInt8,
        extra_options={"WeightSymmetric": False},
    )

    agreement, why_not = judged(original, answers(wrong))

    assert agreement < judged(original, answers(folder / RIGHT))[0]
    assert any("may be lost" in sentence for sentence in why_not)


def test_symmetric_activations(folder: Path, original: Answers, tmp_path: Path) -> None:
    """A symmetric range for what is never negative wastes half of it, and leaves its Clip to be computed."""
    wrong = quantised(folder, tmp_path / "q.onnx", extra_options={"ActivationSymmetric": True})

    agreement, why_not = judged(original, answers(wrong))

    assert agreement < judged(original, answers(folder / RIGHT))[0]
    assert any("may be lost" in sentence for sentence in why_not)
    assert executed(wrong, tmp_path / "run.onnx")["Clip"] == 3
    assert executed(folder / RIGHT, tmp_path / "run.onnx")["Clip"] == 0


def test_weights_alone(folder: Path, tmp_path: Path) -> None:
    """Weights that alone are integers are converted in each run, and products stay in single precision."""
    wrong = weights_alone(onnx.load(folder / "prepared.onnx"), tmp_path / "q.onnx")

    run = executed(wrong, tmp_path / "run.onnx")

    assert (run["DequantizeLinear"], run["FusedConv"]) == (4, 3)
    assert executed(folder / RIGHT, tmp_path / "run.onnx")["DequantizeLinear"] == 0


def test_weights_alone_are_slow(tmp_path: Path) -> None:
    """Where nearly all work is weights that are converted in each run, the pace falls to less than 0.6."""
    onnx.save(dense(), tmp_path / ORIGINAL)
    wrong = weights_alone(dense(), tmp_path / "q.onnx")
    np.save(tmp_path / JUDGED, tensors(2))
    job = Job("pace", (ORIGINAL, "q.onnx"), ("image", "scores"), seconds=1.0)

    float32, integers = Processes(tmp_path, Device("cpu")).do(job, Pacing).models

    ratio = statistics.median(float32.turns) / statistics.median(integers.turns)
    assert ratio < 0.6
    speed = {name: {"ratio": ratio} for name in FAST}
    _, why_not = judged(answers(tmp_path / ORIGINAL), answers(wrong), speed)
    assert any("times as fast; 1.2 times is worth a change" in sentence for sentence in why_not)


def dense() -> onnx.ModelProto:
    """A network that is one large product, which takes as long as reading its weights."""
    generator = np.random.default_rng(4)
    weights = {
        "w1": generator.normal(0, 0.02, (1024, 3 * SIDE * SIDE)),
        "b1": np.zeros(1024),
        "w2": generator.normal(0, 1, (CLASSES, 1024)),
        "b2": np.zeros(CLASSES),
    }
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("Gemm", ["flat", "w1", "b1"], ["hidden"], transB=1),
        helper.make_node("Relu", ["hidden"], ["shown"]),
        helper.make_node("Gemm", ["shown", "w2", "b2"], ["logits"], transB=1),
        helper.make_node("Softmax", ["logits"], ["scores"], axis=1),
    ]
    graph = helper.make_graph(
        nodes,
        "dense",
        [helper.make_tensor_value_info("image", onnx.TensorProto.FLOAT, ["batch", 3, SIDE, SIDE])],
        [helper.make_tensor_value_info("scores", onnx.TensorProto.FLOAT, ["batch", CLASSES])],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in weights.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def weights_alone(model: onnx.ModelProto, target: Path) -> Path:
    """A network whose weights are 8-bit integers that `DequantizeLinear` makes numbers of."""
    constants = {one.name: one for one in model.graph.initializer}
    added = []
    for node in model.graph.node:
        if node.op_type not in ("Conv", "Gemm"):
            continue
        name = node.input[1]
        weight = numpy_helper.to_array(constants[name])
        scale = np.abs(weight).reshape(len(weight), -1).max(axis=1) / 127
        integers = np.round(weight / scale.reshape(-1, *[1] * (weight.ndim - 1))).astype(np.int8)
        model.graph.initializer.remove(constants[name])
        model.graph.initializer.extend(
            [
                numpy_helper.from_array(integers, f"{name}_integers"),
                numpy_helper.from_array(scale.astype(np.float32), f"{name}_scale"),
            ]
        )
        added.append(
            helper.make_node("DequantizeLinear", [f"{name}_integers", f"{name}_scale"], [name], axis=0)
        )
    nodes = [*added, *model.graph.node]
    del model.graph.node[:]
    model.graph.node.extend(nodes)
    onnx.save(model, target)
    return target


def summed(activations: npt.NDArray[Any], weights: npt.NDArray[Any], *, saturating: bool) -> Answers:
    """Confidences from a product of bytes, summed as VNNI does it, or as `vpmaddubsw` does without it."""
    products = activations[:, :, np.newaxis].astype(np.int64) * weights[np.newaxis]
    pairs = products.reshape(len(activations), -1, 2, weights.shape[1]).sum(axis=2)
    logits = (np.clip(pairs, -(2**15), 2**15 - 1) if saturating else pairs).sum(axis=1) / 20_000
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    return Answers(powers / powers.sum(axis=1, keepdims=True), [None] * len(logits))


def test_saturation() -> None:
    """Where two products are summed in 16 bits, 8-bit weights change answers, and 7-bit weights never do."""
    generator = np.random.default_rng(1)
    activations = generator.integers(0, 256, (IMAGES // 2, 64))
    # Neighbouring weights are alike in real kernels, so that their products add up.
    eight = np.repeat(generator.integers(-127, 128, (32, 10)), 2, axis=0)
    seven = eight // 2

    agreements = [
        judged(summed(activations, weights, saturating=False), summed(activations, weights, saturating=True))
        for weights in (eight, seven)
    ]

    assert agreements[0][0] < 0.95
    assert any("may be lost" in sentence for sentence in agreements[0][1])
    assert agreements[1] == (1.0, [])


@pytest.mark.parametrize(("saturates", "most"), [(True, 64), (False, 127)])
def test_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, saturates: bool, most: int) -> None:
    """Weights have 7 bits where sums overflow and 8 bits elsewhere, in every form that is made."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(quantisers, "saturates", lambda: saturates)
    onnx.save(network(), ORIGINAL)
    np.save(CALIBRATION, tensors(8))

    found = make(Job("make", (ORIGINAL,), ("image", "scores")))

    for one in found["made"]:
        weights = [
            numpy_helper.to_array(tensor)
            for tensor in onnx.load(f"{one['key']}.onnx").graph.initializer
            if tensor.data_type == onnx.TensorProto.INT8 and len(tensor.dims) > 1
        ]
        assert all(np.abs(weight.astype(int)).max() <= most for weight in weights)
        assert max((np.abs(weight.astype(int)).max() for weight in weights), default=most) > most - 2


def test_saturates() -> None:
    """What this processor's sums do is found out by a product, and agrees with what it says of itself."""
    flags = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""

    if "vnni" in flags or "asimddp" in flags:
        assert not quantisers.saturates()
    elif "avx2" in flags:
        assert quantisers.saturates()
