"""The runtime's own operators are let through, but for those that repeat or fit one processor only."""

import re

import pytest
from onnx import parser
from onnxruntime.capi import onnxruntime_pybind11_state as runtime

from predictor.checking.onnx_rules import enforce
from predictor.checking.operators import LOOPS, REPEATING, check
from predictor.checking.report import Limits, Refused
from predictor.discovery.nodes import RUNTIME


@pytest.mark.parametrize(
    ("domain", "name"),
    [
        ("", "Conv"),
        ("ai.onnx", "If"),
        ("ai.onnx.ml", "TreeEnsembleClassifier"),
        ("ai.onnx.ml", "ZipMap"),
        ("com.microsoft", "QGemm"),
        ("com.microsoft", "QLinearAdd"),
        ("com.microsoft", "FusedConv"),
        ("com.microsoft", "SkipLayerNormalization"),
        ("com.microsoft", "MatMulNBits"),
    ],
)
def test_allowed(domain: str, name: str) -> None:
    """Operators of ONNX, of its trees and tables, and what quantisers and optimisers write are fine."""
    check(domain, name, loops=False)


@pytest.mark.promise("M9")
@pytest.mark.parametrize(
    ("domain", "name", "words"),
    [
        *(("com.microsoft", name, "again and again") for name in sorted(REPEATING)),
        ("com.microsoft", "EPContext", "Upload the original"),
        ("com.microsoft", "Snpe", "Upload the original"),
        *(("com.microsoft", name, "calls Python") for name in ("ATen", "PyOp", "PythonOp", "TritonOp")),
        *(
            ("com.microsoft", name, "talks to other processes")
            for name in (
                "AllReduce",
                "AllGather",
                "AllToAll",
                "DistributedMatMul",
                "NcclAllReduce",
                "Send",
                "Recv",
            )
        ),
        ("com.microsoft.nchwc", "ReorderOutput", "saved by offline optimisation; upload the original"),
        ("com.ms.internal.nhwc", "Conv", "saved by offline optimisation; upload the original"),
        ("ai.onnx.contrib", "StringUpper", "a library that is not loaded here"),
        ("com.microsoft.extensions", "DecodeImage", "a library that is not loaded here"),
        ("org.pytorch.aten", "ATen", "the runtime does not have"),
        ("ai.onnx.preview.training", "Adam", "the runtime does not have"),
        ("example.org", "Magic", "the runtime does not have"),
        ("com.microsoftx", "Conv", "the runtime does not have"),
        ("COM.MICROSOFT", "QGemm", "the runtime does not have"),
    ],
)
def test_refused(domain: str, name: str, words: str) -> None:
    """Others are refused by their names, with what to upload instead."""
    with pytest.raises(Refused, match=words) as refused:
        check(domain, name, loops=True)

    assert refused.value.reason == "operator"
    assert refused.value.detail.startswith(f"The model uses the operator {name} of the domain {domain}, ")


def test_name_that_cannot_be_shown() -> None:
    """What does not look like a name is not repeated."""
    with pytest.raises(
        Refused, match=r"^The model uses the operator of another name of the domain of another"
    ):
        check("<b>/etc/passwd", "a b", loops=True)


@pytest.mark.parametrize("name", sorted(LOOPS))
def test_loops(name: str) -> None:
    """Loops follow the setting."""
    check("", name, loops=True)

    with pytest.raises(Refused, match=f"{name}. Loops are not allowed. .*PREDICTOR_ALLOW_LOOPS") as refused:
        check("ai.onnx", name, loops=False)
    assert refused.value.reason == "control_flow"


@pytest.mark.promise("M9")
def test_operators_that_hold_graphs() -> None:
    """The runtime has no operator with a graph of its own, to be run again and again, that is let through."""
    holding = {
        (one.domain, one.name)
        for one in runtime.get_all_operator_schema()
        if any("GRAPH" in str(attribute.type) for attribute in one.attributes.values())
    }

    repeating = {(RUNTIME, name) for name in REPEATING}
    assert holding == {("", "If")} | {("", name) for name in LOOPS} | repeating


@pytest.mark.promise("M9")
def test_operators_that_reach_out() -> None:
    """What could name a file, a program or another machine by an attribute is not let through."""
    reaching = re.compile(r"(^|_)(file|path|url|host|port|python|library|device)")
    suspects = {
        one.name
        for one in runtime.get_all_operator_schema()
        if one.domain in (RUNTIME, "ai.onnx.ml") and any(map(reaching.search, one.attributes))
    }

    assert {name for name in suspects if allowed(RUNTIME, name)} == set()


def allowed(domain: str, name: str) -> bool:
    """Whether an operator is let through."""
    try:
        check(domain, name, loops=False)
    except Refused:
        return False
    return True


@pytest.mark.promise("M9")
@pytest.mark.parametrize("name", ["EPContext", "Snpe", "PythonOp", "AllReduce", *sorted(REPEATING)])
@pytest.mark.parametrize("place", ["graph", "branch", "function"])
def test_refused_wherever_it_stands(name: str, place: str) -> None:
    """An operator is refused in the graph, in a branch and in a function, whatever follows from it."""
    call = f"y = com.microsoft.{name}(x)"
    function = f'<domain: "my", opset_import: ["" : 17, "com.microsoft" : 1]> f (x) => (y) {{ {call} }}'
    then = f"then_branch = t () => (float z) {{ {call} z = Relu(x) }}"
    branch = f"on = Constant<value = bool {{1}}>() y = If(on) <{then}>"
    body = {"graph": call, "branch": branch, "function": "y = my.f(x)"}[place]
    head = '<ir_version: 8, opset_import: ["" : 17, "com.microsoft" : 1, "my" : 1]>'
    graph = f"g (float[N] x) => (float[N] y) {{ {body} }}"
    model = parser.parse_model(f"{head} {graph} {function if place == 'function' else ''}")

    with pytest.raises(Refused, match=f"The model uses the operator {name} of the domain com.microsoft, "):
        enforce(model, Limits())
