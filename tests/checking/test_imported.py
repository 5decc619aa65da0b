"""What tools write is checked as it will be served: weights joined, and the graph adapted."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper
from onnx.external_data_helper import convert_model_to_external_data

from predictor.checking.report import SERVED, Refused, Report, Request
from predictor.checking.runner import try_model
from tests.importing.graphs import CLASSES, SIDE, image, layers, model, pixels, run, scores

pytestmark = pytest.mark.slow


def checked(folder: Path, made: Any, **request: Any) -> Report:
    """Check a model in a folder of its own."""
    (folder / "model.onnx").write_bytes(made.SerializeToString())
    return try_model(folder, Request("model.onnx", **request))


def answers(path: Path, sent: Any) -> Any:
    """What the model in a file answers."""
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return session.run(None, {session.get_inputs()[0].name: sent})[0]


def parted(folder: Path) -> Any:
    """A model whose weights lie in `data-0`, and are called weights.bin in it."""
    made = model(layers(), [image()], [scores()])
    convert_model_to_external_data(made, location="weights.bin", size_threshold=0)
    onnx.save(made, folder / "m.onnx")
    (folder / "weights.bin").rename(folder / "data-0")
    (folder / "m.onnx").unlink()
    return onnx.ModelProto.FromString(made.SerializeToString())


def test_nothing_to_do(tmp_path: Path) -> None:
    """A model that can be served as it is leaves nothing else."""
    report = checked(tmp_path, model(layers(), [image()], [scores()]))

    assert (report.adapted, report.weights, report.beside) == ((), (), ())
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_weights_in_another_file(tmp_path: Path) -> None:
    """A model and the file of its weights become one file, whose answers are the same."""
    (expected,) = run(model(layers(), [image()], [scores()]), pixels())
    made = parted(tmp_path)

    report = checked(tmp_path, made, data={"weights.bin": "data-0", "readme": "data-1"} | readme(tmp_path))

    assert (report.weights, report.beside, report.adapted) == (("weights.bin",), (), ())
    (tmp_path / "data-0").unlink()
    assert np.allclose(answers(tmp_path / SERVED, pixels()), expected, atol=1e-6)


def readme(folder: Path) -> dict[str, str]:
    """Another file that came with the model."""
    (folder / "data-1").write_text("read me")
    return {"readme": "data-1"}


@pytest.mark.parametrize("data", [{}, {"other.bin": "data-0"}])
def test_weights_missing(tmp_path: Path, data: dict[str, str]) -> None:
    """The file that is missing is named."""
    with pytest.raises(Refused, match=r"weights\.bin, which did not come") as refused:
        checked(tmp_path, parted(tmp_path), data=data)

    assert refused.value.reason == "external_data"
    assert not (tmp_path / SERVED).exists()


def test_adapted(tmp_path: Path) -> None:
    """A graph that names the best class of byte images is served with its scores, labels and bytes."""
    nodes = [
        helper.make_node("Cast", ["image"], ["pixels"], to=TensorProto.FLOAT),
        *layers("pixels"),
        helper.make_node(
            "ZipMap", ["probabilities"], ["loss"], domain="ai.onnx.ml", classlabels_strings=[*"abcde"]
        ),
    ]
    score = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
    maps = helper.make_sequence_type_proto(helper.make_map_type_proto(TensorProto.STRING, score))
    output = helper.make_value_info("loss", maps)

    report = checked(tmp_path, model(nodes, [image(TensorProto.INT32)], [output]))

    assert len(report.adapted) == 3
    assert report.spec["classes"] == CLASSES
    assert report.spec["preprocessing"]["dtype"] == "uint8"
    assert report.spec["inputs"][0]["shape"] == [-1, 3, SIDE, SIDE]
    (expected,) = run(model(layers(), [image()], [scores()]), pixels())
    assert np.allclose(answers(tmp_path / SERVED, pixels().astype(np.uint8)), expected, atol=1e-6)


@pytest.mark.parametrize("beside", [True, False])
def test_size_that_was_said(tmp_path: Path, beside: bool) -> None:
    """An input without a shape takes images of the size in the preprocessing, also in that of the file."""
    made, said = model(layers(), [image()], [scores()]), json.dumps({"size": [12, 10]})
    made.graph.input[0].type.tensor_type.ClearField("shape")
    (tmp_path / "preprocessing").write_text(said)
    if not beside:
        made.metadata_props.add(key="predictor.preprocessing", value=said)

    report = checked(tmp_path, made, preprocessing="preprocessing" if beside else None)

    assert report.spec["inputs"][0]["shape"] == [-1, 3, 12, 10]


@pytest.mark.parametrize(("producer", "turned"), [("", True), ("tf2onnx", False)])
def test_channels_last_of_unknown_rank(tmp_path: Path, producer: str, turned: bool) -> None:
    """An input without a shape has its channels last where the graph turns them or TensorFlow made it."""
    turn = helper.make_node("Transpose", ["image"], ["pixels"], perm=[0, 3, 1, 2])
    mean = helper.make_node("ReduceMean", ["image"], ["mean"], axes=[1, 2], keepdims=0)
    first = helper.make_tensor("first", TensorProto.FLOAT, [CLASSES, 3, 1, 1], [0.1] * 3 * CLASSES)
    nodes = (
        [
            turn,
            helper.make_node("Conv", ["pixels", "first"], ["maps"]),
            helper.make_node("GlobalAveragePool", ["maps"], ["deep"]),
            helper.make_node("Flatten", ["deep"], ["logits"]),
        ]
        if turned
        else [mean, helper.make_node("MatMul", ["mean", "weights_3"], ["logits"])]
    )
    made = model(nodes, [image()], [scores("logits")], constants=[first], producer_name=producer)
    made.graph.input[0].type.tensor_type.ClearField("shape")
    (tmp_path / "preprocessing").write_text(json.dumps({"size": 12}))

    report = checked(tmp_path, made, preprocessing="preprocessing")

    assert report.spec["inputs"][0]["shape"] == [-1, 12, 12, 3]


def test_several_heads(tmp_path: Path) -> None:
    """Where several outputs may hold scores, the report names them all."""
    report = checked(tmp_path, model(layers(), [image()], [scores("logits"), scores()]))

    assert report.heads == ("logits", "probabilities")
    assert report.spec["outputs"][0]["name"] == "probabilities"


@pytest.mark.parametrize(
    ("shape", "squeeze"),
    [(("N", 1, CLASSES), [1]), (("N", 1, 1, CLASSES), [1, 2]), (("N", CLASSES, 1, 1), [2, 3])],
)
def test_axes_of_length_one(tmp_path: Path, shape: tuple[Any, ...], squeeze: list[int]) -> None:
    """Scores may have axes of length 1 besides."""
    axes = helper.make_tensor("axes", TensorProto.INT64, [len(squeeze)], squeeze)
    node = helper.make_node("Unsqueeze", ["probabilities", "axes"], ["deep"])

    report = checked(tmp_path, model([*layers(), node], [image()], [scores("deep", shape)], constants=[axes]))

    assert report.spec["classes"] == CLASSES


def test_one_image_at_a_time(tmp_path: Path) -> None:
    """A model of one image without a batch axis, and scores without one."""
    zero = helper.make_tensor("zero", TensorProto.INT64, [1], [0])
    nodes = [
        helper.make_node("Unsqueeze", ["image", "zero"], ["pixels"]),
        *layers("pixels"),
        helper.make_node("Squeeze", ["probabilities", "zero"], ["row"]),
    ]
    made = model(nodes, [image(shape=(3, SIDE, SIDE))], [scores("row", (CLASSES,))], constants=[zero])

    report = checked(tmp_path, made)

    assert report.spec["inputs"][0]["shape"] == [1, 3, SIDE, SIDE]
    assert report.spec["classes"] == CLASSES
