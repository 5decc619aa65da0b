"""What keeps the runtime from loading a model is said by the model's file, as the real runtime refuses it."""

from typing import Any

import onnxruntime
import pytest
from onnx import load_from_string, parser

from predictor.checking.unloadable import explain

HEAD = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1]> g (float[N,3,8,8] x) => (float[N,3] y)'
FLAT = "p = GlobalAveragePool(x) f = Flatten(p)"
LAST = "f = Flatten(p) y = Cast<to = 1>(f)"
ROOT = "w = Constant<value = float[3,3,1,1] {1, 0, 0, 0, 1, 0, 0, 0, 1}>()"


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
    return explain(load_from_string(content), str(error.value))


def test_newer_format() -> None:
    """Both IR versions are said, and how to lower the number."""
    newer = model(f"{FLAT} y = Softmax(f)")
    newer.ir_version = 99

    sentence = said(newer)

    assert sentence.startswith("The model has IR version 99, but the runtime reads versions up to ")
    most = int(sentence.split("model.ir_version = ")[1].split(";")[0])
    newer.ir_version = most
    onnxruntime.InferenceSession(newer.SerializeToString(), providers=["CPUExecutionProvider"])


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
         "cannot compute the operator Conv with the element types that it gets."),
        (f"d = Cast<to = 16>(x) p = GlobalAveragePool(d) {LAST}",
         "GlobalAveragePool does not take the element type bfloat16. Convert"),
        (f"{ROOT} d = Cast<to = 11>(x) c = Conv(d, w) p = GlobalAveragePool(c) y = Flatten(p)",
         "Conv gets inputs of two types, float64 and float32"),
        (f"{FLAT} y = Add(f, nowhere)", "The operator Add reads a tensor that is missing from the file."),
        (f"{FLAT} y = Softmax<odd = 1>(f)", "The operator Softmax has invalid inputs or attributes"),
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
    """Words that say nothing about this file are not repeated."""
    assert explain(model(f"{FLAT} y = Softmax(f)"), message) == "The runtime could not load the model."
