"""What a graph's last nodes show of its scores, in the forms that exporters and quantisers write."""

import numpy as np
import pytest
from onnx import load_from_string, numpy_helper, parser

from predictor.discovery.structure import examine
from tools import endings

HEAD = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]> g (float[N,3,8,8] x) => (float[N,4] y)'
SCALES = "scale = Constant<value = float {0.1}>() zero = Constant<value = uint8 {0}>()"
WEIGHT = "weight = Constant<value = float[3,4] {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}>()"
Q = "q = QuantizeLinear(f, scale, zero)"
QW = "qw = QuantizeLinear(weight, scale, zero)"
S = "scale, zero"
PRODUCT = "m = QLinearMatMul(q, scale, zero, qw, scale, zero, scale, zero)"
DEQUANTISE = "y = DequantizeLinear(r, scale, zero)"


@pytest.mark.parametrize(
    ("body", "last"),
    [
        ("l = MatMul(f, weight) y = Softmax(l)", "softmax"),
        ("l = MatMul(f, weight) y = Sigmoid(l)", "sigmoid"),
        ("y = MatMul(f, weight)", "linear"),
        ("l = MatMul(f, weight) y = Relu(l)", None),
        (f"{Q} r = com.microsoft.QLinearSoftmax(q, {S}, {S}) {DEQUANTISE}", "softmax"),
        (f"{Q} r = com.microsoft.QLinearSigmoid(q, {S}, {S}) {DEQUANTISE}", "sigmoid"),
        (f"{Q} {QW} r = com.microsoft.QGemm(q, {S}, qw, {S}, bias, {S}) {DEQUANTISE}", "linear"),
        (f"{Q} {QW} {PRODUCT} r = com.microsoft.QLinearAdd(m, {S}, shift, {S}, {S}) {DEQUANTISE}", "linear"),
        (f"{Q} {QW} m = MatMulInteger(q, qw) c = Cast<to = 1>(m) y = Mul(c, scale)", "linear"),
        ("y = com.microsoft.FusedMatMul(f, weight)", "linear"),
        ("y = com.microsoft.FusedGemm(f, weight)", "linear"),
        ('y = com.microsoft.FusedGemm<activation = "Sigmoid">(f, weight)', "sigmoid"),
        ('y = com.microsoft.FusedGemm<activation = "Relu">(f, weight)', None),
        ("y = example.org.Softmax(f)", None),
    ],
)  # fmt: skip
def test_last(body: str, last: str | None) -> None:
    """The kind of the last layer is seen through what quantisers put around it."""
    shift = (
        "bias = Constant<value = int32[4] {1, 2, 3, 4}>() shift = Constant<value = uint8[4] {1, 2, 3, 4}>()"
    )
    text = f"{HEAD} {{ {SCALES} {WEIGHT} {shift} p = GlobalAveragePool(x) f = Flatten(p) {body} }}"

    assert examine(parser.parse_model(text)).last.get("y") == last


@pytest.mark.parametrize(
    ("body", "outputs", "chosen"),
    [
        ("y = ArgMax<axis = 1>(scores)", "int64[N,1] y", {"y": "scores"}),
        ("m = ArgMax<axis = 1, keepdims = 0>(scores) y = Cast<to = 1>(m)", "float[N] y", {"y": "scores"}),
        ("s = Softmax(scores) y = ArgMax<axis = 1>(s)", "int64[N,1] y", {"y": "s"}),
        (
            "k = Constant<value = int64[1] {3}>() best, y = TopK(scores, k) v = Softmax(best)",
            "float[N,3] v, int64[N,3] y",
            {"v": "scores", "y": "scores"},
        ),
        (f"{SCALES} y = QuantizeLinear(scores, scale, zero)", "uint8[N,5] y", {"y": "scores"}),
        (f"{SCALES} q = QuantizeLinear(scores, scale, zero) y = DequantizeLinear(q, scale, zero)",
         "float[N,5] y", {}),
        ("y = Softmax(scores)", "float[N,5] y", {}),
    ],
)  # fmt: skip
def test_chosen(body: str, outputs: str, chosen: dict[str, str]) -> None:
    """The tensor with the scores is found from which an output has the best classes only."""
    model = load_from_string(endings.ending(f"{endings.FIVE} {body}", outputs))

    assert examine(model).chosen == chosen


MEANS = (123.0, 117.0, 104.0)


@pytest.mark.parametrize(
    ("shape", "image"),
    [
        ((1, 3, 8, 8), "N,3,8,8"),
        ((3, 8, 8), "N,3,8,8"),
        ((1, 8, 8, 3), "N,8,8,3"),
        ((8, 8, 3), "N,8,8,3"),
        ((8, 8), "N,3,8,8"),
    ],
)
def test_mean_image(shape: tuple[int, ...], image: str) -> None:
    """The mean of all images, which a graph subtracts, is taken for the mean of each channel."""
    noise = np.random.default_rng(0).normal(size=shape)
    means = np.array(MEANS[:1] if len(shape) == 2 else MEANS).reshape((-1, 1, 1) if shape[-1] == 8 else -1)
    mean = numpy_helper.from_array((noise - noise.mean() + means).astype(np.float32), "mean")
    head = HEAD.replace("N,3,8,8", image)
    graph = parser.parse_model(f"{head} {{ shifted = Sub(x, mean) y = Relu(shifted) }}")
    graph.graph.initializer.append(mean)

    found = examine(graph)

    assert found.offset is not None
    assert np.allclose(found.offset, [-mean for mean in means.ravel()], atol=1)


@pytest.mark.parametrize("shape", [(1, 3, 8, 3), (1, 8, 8, 8)])
def test_no_mean_image(shape: tuple[int, ...]) -> None:
    """Constants that do not fit an image are passed over, with a warning."""
    graph = parser.parse_model(f"{HEAD} {{ shifted = Sub(x, mean) y = Relu(shifted) }}")
    graph.graph.initializer.append(numpy_helper.from_array(np.full(shape, 120, np.float32), "mean"))

    found = examine(graph)

    assert found.offset is None
    assert "computes with its images (Sub)" in found.warnings[0]


TRUE, FALSE = "switch = Constant<value = bool {1}>()", "switch = Constant<value = bool {0}>()"
HALF = "half = Constant<value = float {0.5}>()"
BATCH_NORM = "three, three, three, three"
BRANCHES = f"""y = If(switch) <
    then_branch = yes () => (float a) {{ a, b, c = BatchNormalization(x, {BATCH_NORM}) }},
    else_branch = no () => (float d) {{ d = Relu(x) }}
>"""


@pytest.mark.parametrize(
    ("body", "operators"),
    [
        (f"y = BatchNormalization(x, {BATCH_NORM})", ""),
        (f"y = BatchNormalization<training_mode = 0>(x, {BATCH_NORM})", ""),
        (f"y = BatchNormalization<training_mode = 1>(x, {BATCH_NORM})", "BatchNormalization"),
        (f"y, a, b = BatchNormalization(x, {BATCH_NORM})", "BatchNormalization"),
        ("y = Dropout(x)", ""),
        ("y, mask = Dropout(x)", ""),
        (f"{HALF} {FALSE} y = Dropout(x, half, switch)", ""),
        (f"{HALF} {TRUE} y = Dropout(x, half, switch)", "Dropout"),
        (f"{HALF} {TRUE} copy = Identity(switch) y = Dropout(x, half, copy)", "Dropout"),
        (f"{TRUE} y = Dropout(x, , switch)", "Dropout"),
        (f"{HALF} {TRUE} y = com.microsoft.BiasDropout(x, x, , half, switch)", "BiasDropout"),
        (f"{TRUE} y = example.org.Dropout(x, , switch)", ""),
        (f"{TRUE} d = Dropout(x, , switch) y = BatchNormalization<training_mode = 1>(d, {BATCH_NORM})",
         "BatchNormalization, Dropout"),
        (f"{TRUE} {BRANCHES}", "BatchNormalization"),
    ],
)  # fmt: skip
def test_training_mode(body: str, operators: str) -> None:
    """Operators that learn or drop numbers are warned of, with how to export the model without."""
    warnings = examine(parser.parse_model(f"{HEAD} {{ {body} }}")).warnings

    assert len(warnings) == bool(operators)
    assert all(f"training mode ({operators})" in one and "model.eval()" in one for one in warnings)


def test_training_mode_in_a_function() -> None:
    """The nodes of functions are looked at as well."""
    body = "b = BatchNormalization<training_mode = 1>(a, a, a, a, a)"
    function = f'<domain: "my", opset_import: ["" : 17]> f (a) => (b) {{ {body} }}'
    model = parser.parse_model(f"{HEAD} {{ y = my.f(x) }} {function}")

    assert len(examine(model).warnings) == 1
