"""What keeps a loaded model from running is said by the model's file, as the real runtime fails."""

from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import parser

from predictor.checking.failed_run import explain_run

HEAD = '<ir_version: 8, opset_import: ["" : 17]> g (float[N,3,8,8] x) => (float[N,K] y)'
FLAT = "p = GlobalAveragePool(x) f = Flatten(p)"


def said(body: str, images: int, before: int | None = None, name: str = "") -> str:
    """What is said of a model that fails with some images."""
    model: Any = parser.parse_model(f"{HEAD} {{ {body} }}")
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

    assert said(body, 4, 1, name).startswith(
        "The model loads, but fails when it is run with 4 images, in the operator Reshape"
        f"{' (node head/reshape)' if name else ''}, which gets or makes the shape 4 x 3 and 1 x 3. "
        "With 1 image it answers: a shape inside was fixed while it was exported. Export it with a free batch"
    )


def test_every_run() -> None:
    """What fails with one image, too, is to be tried where the model was made."""
    body = f"{FLAT} s = Constant<value = int64[2] {{1, 7}}>() y = Reshape(f, s)"

    sentence = said(body, 1)

    assert (
        "with 1 image, in the operator Reshape, which gets or makes the shape 1 x 3 and 1 x 7. Run"
        in sentence
    )
    assert sentence.endswith("export it again with another opset or a newer exporter.")


def test_renamed_operator() -> None:
    """Of an operator that the runtime put in place of another of that type, the type is said."""
    weights = "w = Constant<value = float[2,7,1,1] {1, 2, 3, 4, 5, 6, 7, 1, 2, 3, 4, 5, 6, 7}>()"

    assert "with 1 image, in an operator Conv. Run" in said(f"{weights} c = Conv(x, w) y = Flatten(c)", 1)


def test_unknown() -> None:
    """Words that say nothing of this file are not repeated."""
    model = parser.parse_model(f"{HEAD} {{ {FLAT} y = Relu(f) }}")

    sentence = explain_run(model, "running Magic node. Name:'/etc/passwd' Status Message: secret", 2)

    assert sentence.startswith(
        "The model loads, but fails when it is run with 2 images. Run it with ONNX Runtime "
    )
    assert "secret" not in sentence
