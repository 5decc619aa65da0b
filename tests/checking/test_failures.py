"""What keeps a model from being loaded or run is said by the model's file, as the real runtime fails."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import TensorProto, load_from_string, parser

from predictor.checking.failures import explain_load, explain_run
from predictor.model.onnx_runtime import release

HEAD = (
    '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1, "ai.onnx.ml" : 3]> '
    "g (float[N,3,8,8] x) => (float[N,3] y)"
)
FLAT = "p = GlobalAveragePool(x) f = Flatten(p)"
LAST = "f = Flatten(p) y = Cast<to = 1>(f)"
IF = (
    FLAT + " on = Constant<value = bool {{1}}>() y = If(on) <then_branch = t () => (float[N,3] u) {{ {} }},"
    " else_branch = e () => (float[N,3] v) {{ v = Relu(f) }}>"
)
ROOT = "w = Constant<value = float[3,3,1,1] {1, 0, 0, 0, 1, 0, 0, 0, 1}>()"

RUN_HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[N,3,8,8] x) => (float[N,K] y)'


def model(body: str, head: str = HEAD) -> Any:
    """A model of a body."""
    return parser.parse_model(f"{head} {{ {body} }}")


def said(model: Any) -> str:
    """What is said of a model that the runtime does not load."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    content = model.SerializeToString()
    with pytest.raises(Exception) as error:  # noqa: PT011 - each cause has a class of the runtime's own
        onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    return explain_load(load_from_string(content), str(error.value))


@pytest.mark.parametrize("domain", ["", "com.microsoft"])
def test_newer_operators(domain: str) -> None:
    """The opset is said, and the newest that the runtime has."""
    newer = model(f"{FLAT} y = Softmax(f)")
    for opset in newer.opset_import:
        opset.version = 99 if opset.domain == domain else opset.version

    assert said(newer).startswith(
        f"The model uses opset 99 of {domain or 'ai.onnx'}, but the runtime has opsets"
    )


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (f"{FLAT} y = StatelessRandomUniformV2(f)",
         "no operator StatelessRandomUniformV2 in the domain ai.onnx of opset 17."),
        (f"{FLAT} y = Gelu(f)", "no operator Gelu in the domain ai.onnx of opset 17."),
        (f"{FLAT} y = com.microsoft.Magic(f)", "no operator Magic in the domain com.microsoft of opset 1."),
        (f"{ROOT} d = Cast<to = 11>(x) v = Cast<to = 11>(w) c = Conv(d, v) p = GlobalAveragePool(c) {LAST}",
         "cannot compute the operator Conv with the element type float64. Convert the model to float32"),
        (f"d = Cast<to = 16>(x) p = GlobalAveragePool(d) {LAST}",
         "GlobalAveragePool does not take the element type bfloat16. Convert"),
        (f"{ROOT} d = Cast<to = 11>(x) c = Conv(d, w) p = GlobalAveragePool(c) y = Flatten(p)",
         "Conv gets inputs of two types, float64 and float32"),
        (f"{FLAT} y = Add(f, nowhere)", "Add reads the tensor nowhere, which is missing from the file."),
        (f"{FLAT} y = Softmax<odd = 1>(f)", "Softmax has the attribute odd, which opset 17 does not know"),
        (f"{FLAT} y = Softmax<axis = 1.5>(f)", "Softmax has invalid inputs or attributes. Export"),
        (f"{FLAT} y = Cast(f)", "The operator Cast lacks its attribute to. Export"),
        (f"{FLAT} y = Conv(f)", "The operator Conv has 1 inputs, but must have 2 to 3. Export"),
        (f"{FLAT} y, z = Relu(f)", "The operator Relu has 2 outputs, but must have 1. Export"),
        (f"{FLAT} y = Concat<axis = 0>(x, f)",
         "Concat do not fit each other; of its inputs the file declares ? x 3 x 8 x 8. Export"),
        (f"{FLAT} y = Upsample(f, f)", "Opset 17 has no operator Upsample any more."),
        (f"{FLAT} y = com.microsoft.BiasAdd(f, f, f)", "BiasAdd of the domain com.microsoft on this device"),
        (f"{FLAT} y = com.microsoft.QOrderedGelu(f, f, f)", "does not take the element type float32. Export"),
        ("m = MaxPool<kernel_shape = [2, 2], pads = [9, 9, 9, 9]>(x) y = Flatten(m)",
         "The operator MaxPool has invalid inputs or attributes."),
        (f"{FLAT} y = ai.onnx.ml.Scaler(f)", "Scaler of the domain ai.onnx.ml has invalid inputs"),
        (f"{FLAT} z = Softmax(f)", "No operator makes the output y. Upload"),
        (f"{FLAT} y = Softmax(f) y = Relu(f)", "The tensor y is defined twice. Upload"),
        (f"{FLAT} a = Add(f, b) b = Add(f, a) y = Relu(a)", "read from each other in a circle"),
        (f"{FLAT} y = IsNaN(f)", "declares the result y of the operator IsNaN as float32, but it is bool"),
        ("w = Constant<value = float[3,8,8] {1}>() y = Add(x, w)", "The weights w have another element type"),
        (IF.format("u = Relu(q)"), "The operator Relu reads the tensor q, which is missing from the file."),
        (IF.format("u = Magic(f)"), "no operator Magic in the domain ai.onnx of opset 17."),
        (IF.format("w = Relu(f)"), "No operator makes the output u."),
        (IF.format("u = Concat<axis = 0>(x, f)"), "attributes of the operator Concat do not fit each other"),
    ],
)  # fmt: skip
def test_operator(body: str, words: str) -> None:
    """The operator at fault is named, with its domain or the element type."""
    assert words in said(model(body))


def test_element_type() -> None:
    """The element type is named where the file says it."""
    head = '<ir_version: 8, opset_import: ["" : 17]> g (float[N,3,8,8] x) => (double[N,3] y)'
    weights = "<double[3,3,1,1] w = {1, 0, 0, 0, 1, 0, 0, 0, 1}>"

    double = model(
        "d = Cast<to = 11>(x) c = Conv(d, w) p = GlobalAveragePool(c) y = Flatten(p)", f"{head} {weights}"
    )

    assert said(double) == (
        "The runtime cannot compute the operator Conv with the element type float64. "
        "Convert the model to float32 before it is exported."
    )


@pytest.mark.parametrize(
    "message",
    [
        "",
        "No such file: /etc/passwd",
        "Unsupported model IR version: 8, max supported IR version: 13",
        "Unsupported model IR version: 8, max supported IR version: " + "9" * 10_000,
        "Fatal error: com.microsoft:FusedElsewhere(-1) is not a registered function/op",
        "Type 'tensor(/etc/passwd)' of input parameter (x) of operator (Softmax) in node () is invalid.",
        "Type 'tensor(secret)' of input parameter (x) of operator (Softmax) in node () is invalid.",
        "Current official support for domain example.org is till opset 26.",
    ],
)
def test_unknown(message: str) -> None:
    """Words that say nothing about this file are not repeated: the runtime's release is said."""
    sentence = explain_load(model(f"{FLAT} y = Softmax(f)"), message)

    assert sentence.startswith(f"{release()} could not load the model: the reason is not known. Export")
    assert "onnx.checker.check_model" in sentence


def test_kind_of_failure() -> None:
    """What is not known is told with the kind of failure, in words of our own."""
    said = explain_load(
        model(f"{FLAT} y = Softmax(f)"), "[ONNXRuntimeError] : 9 : NOT_IMPLEMENTED : Secret /etc/passwd"
    )

    assert said.startswith(f"{release()} could not load the model: an operator is not implemented. Export")
    assert "passwd" not in said


def test_names() -> None:
    """The node is named if it has a name that is fit to be shown."""
    for name, shown in (("/head/softmax", " (node /head/softmax)"), ("<b>", ""), ("", "")):
        odd = model(f"{FLAT} y = Softmax<odd = 1>(f)")
        odd.graph.node[2].name = name

        assert f"The operator Softmax{shown} has the attribute odd" in said(odd)


def test_same_node_names() -> None:
    """Two nodes of the same name are said."""
    same = model(f"{FLAT} y = Softmax(f)")
    same.graph.node[0].name = same.graph.node[2].name = "same"

    assert "have the same node name same." in said(same)


def test_old_operators() -> None:
    """Operators of before opset 7 are too old, and the way to convert them is said."""
    old = model(f"{FLAT} y = Dropout(f)", HEAD.replace('"" : 17', '"" : 6'))

    assert "convert_version(model, 17)" in said(old)


@pytest.mark.parametrize("field", ["ir_version", "opset_import"])
def test_missing_versions(field: str) -> None:
    """A file that lacks a version is damaged."""
    without = model(f"{FLAT} y = Softmax(f)")
    without.ClearField(field)

    assert ("no IR version" if field == "ir_version" else "which opset of the domain ai.onnx") in said(
        without
    )


def tensor(size: int, **fields: Any) -> TensorProto:
    """Weights `w` of so many bytes."""
    return TensorProto(name="w", raw_data=bytes(size), **fields)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (tensor(8, data_type=1, dims=[3]), "weights w have another element type,"),
        (tensor(12, data_type=1, dims=[-3]), "weights w have a negative length."),
        (tensor(12, data_type=99, dims=[3]), "tensor w has no element type, or"),
        (tensor(12, dims=[3]), "tensor w has no element type, or"),
        (tensor(3, data_type=17, dims=[3]), "not take the element type float8e4m3"),
        (tensor(24, data_type=14, dims=[3]), "not take the element type complex64"),
        (tensor(2, data_type=22, dims=[3]), "not take the element type int4"),
    ],
    ids=["short", "negative", "unknown", "none", "float8", "complex", "int4"],
)  # fmt: skip
def test_weights(weights: TensorProto, words: str) -> None:
    """Weights that are no tensor, or of types that nothing is computed with, are named."""
    damaged = model(f"{FLAT} y = Add(f, w)")
    damaged.graph.initializer.append(weights)

    assert words in said(damaged)


def test_constant_of_unknown_type() -> None:
    """A constant is named like weights."""
    damaged = model(f"{FLAT} w = Constant<value = float[3] {{1, 2, 3}}>() y = Add(f, w)")
    damaged.graph.node[2].attribute[0].t.data_type = 99

    assert "tensor w has no element type, or" in said(damaged)


@pytest.mark.parametrize(
    ("call", "body", "words"),
    [
        ("y = my.f(f)", "b = Magic(a)", "no operator Magic in the domain ai.onnx of opset 17."),
        ("y = my.f(f)", "b = Add(a, q)", "operator Add reads the tensor q, which is missing"),
        ("y = my.f(f)", "c = Relu(a)", "function f has an input or output that it does not use"),
        ("y = my.f(f, f)", "b = Relu(a)", "called with more inputs or outputs than it has."),
        ("y, z = my.f(f)", "b = Relu(a)", "The operator f of the domain my has no such result as z"),
    ],
)  # fmt: skip
def test_function(call: str, body: str, words: str) -> None:
    """What is wrong in a function of the model is said like what is wrong outside of it."""
    head = HEAD.replace('"ai.onnx.ml" : 3', '"my" : 1')
    function = f'<domain: "my", opset_import: ["" : 17]> f (a) => (b) {{ {body} }}'

    assert words in said(parser.parse_model(f"{head} {{ {FLAT} {call} }} {function}"))


def said_of_run(body: str, images: int, before: int | None = None, name: str = "") -> str:
    """What is said of a model that fails with some images."""
    model: Any = parser.parse_model(f"{RUN_HEAD} {{ {body} }}")
    model.graph.node[-1].name = name
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    session = onnxruntime.InferenceSession(model.SerializeToString(), options)
    with pytest.raises(Exception) as error:  # noqa: PT011 - each cause has a class of the runtime's own
        session.run(None, {"x": np.zeros((images, 3, 8, 8), np.float32)})
    return explain_run(model, str(error.value), images, before)


@pytest.mark.parametrize("name", ["", "head/reshape"])
def test_fixed_batch(name: str) -> None:
    """A graph made for one image says so where it fails with several."""
    body = f"{FLAT} s = Constant<value = int64[2] {{1, 3}}>() y = Reshape(f, s)"

    assert said_of_run(body, 4, 1, name).startswith(
        "The model loads, but fails when it is run with 4 images, in the operator Reshape"
        f"{' (node head/reshape)' if name else ''}, which gets or makes the shape 4 x 3 and 1 x 3. "
        "With 1 image it answers: a shape inside was fixed while it was exported. Export it with a free batch"
    )


def test_every_run() -> None:
    """What fails with one image, too, is to be tried where the model was made."""
    body = f"{FLAT} s = Constant<value = int64[2] {{1, 7}}>() y = Reshape(f, s)"

    sentence = said_of_run(body, 1)

    assert (
        "with 1 image, in the operator Reshape, which gets or makes the shape 1 x 3 and 1 x 7. Run"
        in sentence
    )
    assert sentence.endswith("export it again with another opset or a newer exporter.")


def test_renamed_operator() -> None:
    """Of an operator that the runtime put in place of another of that type, the type is said."""
    weights = "w = Constant<value = float[2,7,1,1] {1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 7}>()"

    assert "with 1 image, in an operator Conv. Run" in said_of_run(
        f"{weights} c = Conv(x, w) y = Flatten(c)", 1
    )


def test_unknown_run() -> None:
    """Words that say nothing of this file are not repeated."""
    model = parser.parse_model(f"{RUN_HEAD} {{ {FLAT} y = Relu(f) }}")

    sentence = explain_run(model, "running Magic node. Name:'/etc/passwd' Status Message: secret", 2)

    assert sentence.startswith(
        "The model loads, but fails when it is run with 2 images. Run it with ONNX Runtime "
    )
    assert "secret" not in sentence
