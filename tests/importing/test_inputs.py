"""A graph gets an input of four axes that images are prepared for; the scores stay the same, bit by bit."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper

from predictor.importing.inputs import Wanted, fit
from tests.importing.graphs import SIDE, Array, copied, image, layers, model, pixels, run, scores

NOTHING = Wanted()


def casting(kind: int) -> Any:
    """A model whose images have another element type."""
    to_float = helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT)
    return model([to_float, *layers("pixels")], [image(kind)], [scores()])


def grey(*shape: Any, opset: int = 17) -> Any:
    """A model of grey images without an axis for channels."""
    axes = {"axes": [1]} if opset < 13 else {}
    inputs = ["image"] if opset < 13 else ["image", "one"]
    add = helper.make_node("Unsqueeze", inputs, ["pixels"], **axes)
    one = [helper.make_tensor("one", TensorProto.INT64, [1], [1])] if opset >= 13 else []
    nodes = [add, *layers("pixels", depth=1)]
    return model(nodes, [image(shape=shape)], [scores()], constants=one, opset=opset)


def alone(first: bool) -> Any:
    """A model of one image without a batch axis, its channels first or last."""
    add = helper.make_node("Unsqueeze", ["image", "zero"], ["batch"])
    order = [0, 1, 2, 3] if first else [0, 3, 1, 2]
    turn = helper.make_node("Transpose", ["batch"], ["pixels"], perm=order)
    zero = [helper.make_tensor("zero", TensorProto.INT64, [1], [0])]
    shape = (3, SIDE, SIDE) if first else (SIDE, SIDE, 3)
    nodes = [add, turn, *layers("pixels")]
    return model(nodes, [image(shape=shape)], [scores(shape=(1, 5))], constants=zero)


def flat(depth: int, producer: str = "", *, last: bool = False, batch: Any = "N") -> Any:
    """A model of images whose pixels lie in one axis."""
    shape = [-1, SIDE, SIDE, depth] if last else [-1, depth, SIDE, SIDE]
    fold = helper.make_node("Reshape", ["image", "shape"], ["folded"])
    turn = helper.make_node("Transpose", ["folded"], ["pixels"], perm=[0, 3, 1, 2] if last else [0, 1, 2, 3])
    made = [helper.make_tensor("shape", TensorProto.INT64, [4], shape)]
    length = depth * SIDE * SIDE
    dims = (length,) if batch is None else (batch, length)
    nodes = [fold, turn, *layers("pixels", depth=depth)]
    return model(nodes, [image(shape=dims)], [scores()], constants=made, producer_name=producer)


def shape_of(made: Any) -> list[Any]:
    """The lengths of the input's axes; 0 where one is free."""
    (found,) = made.graph.input
    return [dim.dim_value for dim in found.type.tensor_type.shape.dim]


@pytest.mark.parametrize(
    ("kind", "dtype"),
    [
        (TensorProto.INT32, np.int32),
        (TensorProto.INT64, np.int64),
        (TensorProto.UINT16, np.uint16),
        (TensorProto.DOUBLE, np.float64),
    ],
)
def test_cast(kind: int, dtype: type) -> None:
    """Images go in as bytes or float32, whatever other type of numbers the graph wants."""
    before = casting(kind)
    (expected,) = run(before, pixels().astype(dtype))
    after = copied(before)

    (sentence,) = fit(after, NOTHING)

    served = np.float32 if dtype is np.float64 else np.uint8
    assert np.dtype(dtype).name in sentence
    assert np.array_equal(run(after, pixels().astype(served))[0], expected)


@pytest.mark.parametrize(
    "kind", [TensorProto.FLOAT, TensorProto.UINT8, TensorProto.INT8, TensorProto.FLOAT16]
)
def test_served_types_stay(kind: int) -> None:
    """An input of a type that images are prepared in stays as it is."""
    made = casting(kind)
    before = made.SerializeToString()

    assert fit(made, NOTHING) == ()
    assert made.SerializeToString() == before


@pytest.mark.parametrize("opset", [11, 17])
@pytest.mark.parametrize("first", ["N", 2])
def test_grey(opset: int, first: Any) -> None:
    """Grey images without an axis for channels get one."""
    before, sent = grey(first, SIDE, SIDE, opset=opset), pixels()[:, 0]
    (expected,) = run(before, sent)
    after = copied(before)

    assert len(fit(after, NOTHING)) == 1

    assert shape_of(after)[1:] == [1, SIDE, SIDE]
    assert np.array_equal(run(after, sent[:, None])[0], expected)


@pytest.mark.parametrize("free", [True, False])
@pytest.mark.parametrize("first", [True, False])
def test_one_image(first: bool, free: bool) -> None:
    """One image without a batch axis gets one, of length 1."""
    before = alone(first)
    if free:
        for dim in before.graph.input[0].type.tensor_type.shape.dim[1 if first else 0 :][:2]:
            dim.dim_param = "side"
    sent = pixels(1)[0] if first else pixels(1)[0].transpose(1, 2, 0)
    (expected,) = run(before, sent)
    after = copied(before)

    assert len(fit(after, NOTHING)) == 1

    assert shape_of(after) == [1, *(0 if free and length == SIDE else length for length in sent.shape)]
    assert np.array_equal(run(after, sent[None])[0], expected)


def test_free_batch_before_rows() -> None:
    """A free axis before one of a known length may be that of a batch, so nothing is changed."""
    made = alone(False)
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "N"

    assert fit(made, NOTHING) == ()


@pytest.mark.parametrize(
    ("shape", "wanted"), [((SIDE, SIDE), NOTHING), ((SIDE, 12), Wanted((SIDE, 12))), ((64, 64), NOTHING)]
)
def test_one_grey_image(shape: tuple[int, int], wanted: Wanted) -> None:
    """One grey image without axes for the batch and the channels gets both."""
    add = helper.make_node("Unsqueeze", ["image", "axes"], ["pixels"])
    axes = [helper.make_tensor("axes", TensorProto.INT64, [2], [0, 1])]
    nodes = [add, *layers("pixels", depth=1)]
    before = model(nodes, [image(shape=shape)], [scores(shape=(1, 5))], constants=axes)
    sent = np.random.default_rng(3).random(shape).astype(np.float32)
    (expected,) = run(before, sent)
    after = copied(before)

    assert len(fit(after, wanted)) == 1

    assert shape_of(after) == [1, 1, *shape]
    assert np.array_equal(run(after, sent[None, None])[0], expected)


@pytest.mark.parametrize(
    ("make", "wanted", "shape"),
    [
        (lambda: flat(1), NOTHING, [SIDE, SIDE, 1]),
        (lambda: flat(3, last=True), NOTHING, [SIDE, SIDE, 3]),
        (lambda: flat(3, "pytorch"), NOTHING, [3, SIDE, SIDE]),
        (lambda: flat(3), Wanted(layout="NCHW"), [3, SIDE, SIDE]),
        (lambda: flat(3, "pytorch", last=True), Wanted(layout="NHWC"), [SIDE, SIDE, 3]),
        (lambda: flat(1), Wanted(size=(4, 16)), [4, 16, 1]),
        (lambda: flat(3, last=True, batch=None), NOTHING, [SIDE, SIDE, 3]),
    ],
    ids=["grey", "last", "pytorch", "said first", "said last", "said size", "no batch"],
)
def test_flat(make: Callable[[], Any], wanted: Wanted, shape: list[int]) -> None:
    """Pixels in one axis are those of an image of the size that was said, or of a square one."""
    before = make()
    batch = 1 if shape_of(before)[1:] == [] else 2
    length = shape[0] * shape[1] * shape[2]
    sent: Array = np.random.default_rng(2).random((batch, *shape)).astype(np.float32)
    (expected,) = run(before, sent.reshape(batch, length) if shape_of(before)[1:] else sent.ravel())
    after = copied(before)

    assert len(fit(after, wanted)) == 1

    assert shape_of(after)[1:] == shape
    assert np.array_equal(run(after, sent)[0], expected)


@pytest.mark.parametrize("length", [4, 13, 63, 65, 0, -75])
def test_a_row_of_a_table(length: int) -> None:
    """Numbers that are those of no image leave the graph as it is."""
    made = model(layers(), [image(shape=("N", length))], [scores()])

    assert fit(made, NOTHING) == ()


@pytest.mark.parametrize(("layout", "shape"), [(None, [3, 6, SIDE]), ("NHWC", [6, SIDE, 3])])
def test_unknown_rank(layout: str | None, shape: list[int]) -> None:
    """An input without a shape gets the one that was said."""
    made = model(layers(), [image()], [scores()])
    made.graph.input[0].type.tensor_type.ClearField("shape")

    assert fit(copied(made), NOTHING) == ()
    assert len(fit(made, Wanted((6, SIDE), layout, 3))) == 1
    assert shape_of(made) == [0, *shape]


def test_several_inputs() -> None:
    """A graph of several inputs stays as it is; constants among them do not count."""
    constant = helper.make_tensor_value_info("weights_3", TensorProto.FLOAT, (3, 5))
    other = helper.make_tensor_value_info("other", TensorProto.FLOAT, ("N",))
    one = model(layers(), [image(TensorProto.DOUBLE), constant], [scores()])
    two = model(layers(), [image(TensorProto.DOUBLE), other], [scores()])

    assert len(fit(one, NOTHING)) == 1
    assert fit(two, NOTHING) == ()


def test_names_are_free() -> None:
    """The new input takes no name that another tensor has."""
    made = casting(TensorProto.INT32)
    made.graph.node.append(helper.make_node("Identity", ["probabilities"], ["image_image"]))

    fit(made, NOTHING)

    assert made.graph.input[0].name == "image_image_2"
    assert run(made, pixels().astype(np.uint8))[0].shape == (2, 5)
