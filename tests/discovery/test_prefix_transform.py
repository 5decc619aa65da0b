"""What a graph does to its images is measured, whatever operators do it."""

import numpy as np
import pytest
from onnx import numpy_helper, parser

from predictor.discovery.structure import examine
from predictor.model.spec import Structure

OPSETS = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1, "own" : 1]>'
CONVOLUTION = "c = Conv(t, w) y = GlobalAveragePool(c)"


def constant(name: str, *values: float) -> str:
    """A constant: one number for all channels, or one for each."""
    shape, numbers = f"[{len(values)},1,1]" if len(values) > 1 else "", ", ".join(map(str, values))
    return f"{name} = Constant<value = float{shape} {{{numbers}}}>()"


def normalised(source: str, scale: str = f"{constant('k', 255.0)} a = Div(SOURCE, k)") -> str:
    """Operators that scale, shift and scale again."""
    constants = f"{constant('m', 0.5, 0.4, 0.25)} {constant('s', 0.25, 0.2, 0.5)}"
    return f"{constants} {scale.replace('SOURCE', source)} b = Sub(a, m) t = Div(b, s)"


FACTOR = [round(1 / (255 * std), 4) for std in (0.25, 0.2, 0.5)]
OFFSET = [-2.0, -2.0, -0.5]
SIDES = "sizes = Constant<value = int64[4] {1, 3, 16, 16}>()"
NO_ZERO = f"{constant('f', 1.0)} {constant('h', 0.02)} z = Constant<value = uint8 {{0}}>()"
CENTRE = "o = Constant<value = uint8 {128}>()"
FLIP = "r = Constant<value = int64[3] {2, 1, 0}>()"
ONE = "i = Constant<value = int64[1] {1}>()"
TURNED = "Transpose<perm = [1, 0, 2, 3]>"
OWN = f'<domain: "own", opset_import: ["" : 17]> Scale (p) => (q) {{ {constant("e", 255.0)} q = Div(p, e) }}'
NORMS = "n = Constant<value = float[3] {1, 1, 1}>() e = Constant<value = float[3] {0, 0, 0}>()"
APART = f"""
    p0, p1, p2 = Split<axis = 1>(x)
    {constant("f0", 63.75)} {constant("f1", 51.0)} {constant("f2", 127.5)}
    {constant("o0", 2.0)} {constant("o2", 0.5)}
    a0 = Div(p0, f0) a1 = Div(p1, f1) a2 = Div(p2, f2)
    b0 = Sub(a0, o0) b1 = Sub(a1, o0) b2 = Sub(a2, o2)
    t = Concat<axis = 1>(b0, b1, b2)
"""


def seen(body: str, shape: str = "N,3,32,32", channels: int = 3, dtype: str = "float") -> Structure:
    """What is seen of a graph whose first convolution reads `t`, made of the image `x`."""
    functions = OWN if "own." in body else ""
    text = f"{OPSETS} g ({dtype}[{shape}] x) => (float[N,4,1,1] y) {{ {body} {CONVOLUTION} }} {functions}"
    model = parser.parse_model(text)
    weights = np.ones((4, channels, 3, 3), np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weights, "w"))
    return examine(model)


def line(found: Structure) -> tuple[list[float], list[float]]:
    """The factor and the offset of each channel, rounded."""
    assert found.warnings == ()
    assert found.factor is not None
    assert found.offset is not None
    return [round(one, 4) for one in found.factor], [round(one, 3) for one in found.offset]


@pytest.mark.parametrize(
    "body",
    [
        normalised("x"),
        f'{SIDES} v = Resize<mode = "linear">(x, , , sizes) {normalised("v")}',
        normalised("x", "k = Constant<value_float = 255.0>() a = Div(x, k)"),
        normalised("x", f"{constant('j', 255.0)} k = Reciprocal(j) a = Mul(x, k)"),
        normalised("x", "a = own.Scale(x)"),
        f"{ONE} d = Unsqueeze(x, i) e = Squeeze(d, i) {normalised('e')}",
        f"{NO_ZERO} q = QuantizeLinear(x, f, z) v = DequantizeLinear(q, f, z) {normalised('v')}",
        APART,
    ],
    ids=["plain", "resize", "value_float", "reciprocal", "function", "axes", "quantised", "apart"],
)
def test_normalisation(body: str) -> None:
    """A mean and a standard deviation for each channel are seen through whatever else a graph does."""
    found = seen(body)

    assert line(found) == (FACTOR, OFFSET)
    assert (found.layout, found.channels, found.backwards) == ("NCHW", 3, False)


@pytest.mark.parametrize("shape", ["N,3,H,W", "1,3,H,W", "N,3,32,W", "N,C,H,W"])
def test_free_sides(shape: str) -> None:
    """Free sides leave no doubt where an axis has three channels, or the first layer reads three."""
    found = seen(normalised("x"), shape)

    assert line(found) == (FACTOR, OFFSET)
    assert found.layout == "NCHW"


def test_large_images() -> None:
    """Of large images a part of the numbers is enough."""
    assert line(seen(normalised("x"), "N,3,1500,1200")) == (FACTOR, OFFSET)


@pytest.mark.parametrize(
    "reversal",
    [
        "v = Gather<axis = 1>(x, r)",
        f"{ONE} d = Unsqueeze(r, i) h = {TURNED}(x) g = GatherND(h, d) v = {TURNED}(g)",
    ],
    ids=["gather", "gather_nd"],
)
def test_reversal(reversal: str) -> None:
    """Of a graph that reverses the channels, the line of each channel of the input is seen."""
    found = seen(f"{FLIP} {reversal} {normalised('v')}")

    assert line(found) == (FACTOR[::-1], OFFSET[::-1])
    assert found.backwards


def test_layout_of_free_sides() -> None:
    """Where all sides are free, the first convolution shows where the channels are."""
    last = seen(
        "v = Transpose<perm = [0, 3, 1, 2]>(x) k = Constant<value = float {255.0}>() t = Div(v, k)", "N,H,W,C"
    )

    assert (last.layout, last.channels) == ("NHWC", 3)
    assert seen("t = Identity(x)", "N,C,H,W", channels=1).layout == "NCHW"
    assert line(last) == ([round(1 / 255, 4)], [0.0])


def test_grey_image_for_three_channels() -> None:
    """A grey image that a graph copies three times has one line, the mean of theirs."""
    body = normalised("x", "a = Concat<axis = 1>(x, x, x)")

    assert line(seen(body, "N,1,32,32")) == ([round((4 + 5 + 2) / 3, 4)], [-1.5])


def test_weighted_channels() -> None:
    """Where a graph mixes the channels, what becomes of grey images is seen."""
    grey = (
        f"p0, p1, p2 = Split<axis = 1>(x) {constant('g', 0.001)} {constant('h', 0.002)} "
        "a0 = Mul(p0, g) a1 = Mul(p1, h) a2 = Mul(p2, g) t = Sum(a0, a1, a2)"
    )

    assert line(seen(grey, channels=1)) == ([0.004], [0.0])


def test_brighter_images_cut_off() -> None:
    """A graph that cuts its images off at 1 normalises pixels from 0 to 1."""
    body = normalised("x", f"{constant('l', 0.0)} {constant('u', 1.0)} a = Clip(x, l, u)")

    assert line(seen(body)) == ([4.0, 5.0, 2.0], OFFSET)


def test_integers() -> None:
    """Integers that a quantised convolution reads count as the numbers that they stand for."""
    body = (
        f"{constant('e', 0.0002)} k = Constant<value = uint8 {{50}}>() "
        "q = QuantizeLinear(x, f, z) p = com.microsoft.QLinearMul(q, f, z, k, e, z, h, o) "
        f"v = Constant<value = uint8[4,3,3,3] {{{', '.join(['1'] * 108)}}}>() "
        "c = QLinearConv(p, h, o, v, f, z, f, z) y = DequantizeLinear(c, f, z)"
    )
    head = f"{OPSETS} g (float[N,3,32,32] x) => (float[N,4,30,30] y)"

    factor, offset = line(examine(parser.parse_model(f"{head} {{ {NO_ZERO} {CENTRE} {body} }}")))

    assert factor == pytest.approx([0.01], rel=0.02)
    assert offset == [0.0]


@pytest.mark.parametrize(
    "body",
    [
        "t = Identity(x)",
        f"{NO_ZERO} {CENTRE} q = QuantizeLinear(x, h, o) t = DequantizeLinear(q, h, o)",
        f"{NORMS} t = BatchNormalization(x, n, e, e, n)",
    ],
)
def test_nothing(body: str) -> None:
    """What leaves the numbers as they are, or only rounds them, is no normalisation."""
    found = seen(body)

    assert (found.factor, found.offset, found.warnings) == (None, None, ())


def test_each_image_by_itself() -> None:
    """A graph that standardises each image by itself follows no line, which a warning says."""
    body = (
        "u = ReduceMean<axes = [1, 2, 3]>(x) a = Sub(x, u) b = Mul(a, a) d = ReduceMean<axes = [1, 2, 3]>(b) "
        f"e = Sqrt(d) {constant('l', 0.01)} f = Max(e, l) t = Div(a, f)"
    )

    found = seen(body)

    assert (found.factor, found.offset) == (None, None)
    (warning,) = found.warnings
    assert "computes with its images (ReduceMean, Sub, Mul, Sqrt)" in warning


def test_bytes() -> None:
    """Of an input of bytes only the layout is seen, as it takes pixels anyway."""
    found = seen("v = Cast<to = 1>(x) t = Transpose<perm = [0, 3, 1, 2]>(v)", "N,H,W,C", dtype="uint8")

    assert (found.layout, found.channels, found.factor) == ("NHWC", 3, None)
