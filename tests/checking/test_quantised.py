"""The bundled network with integer operators is served, and answers as the runtime itself does."""

import json
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from predictor.checking.report import Request
from predictor.checking.runner import try_model
from predictor.evaluation.predictors import opened
from tools import quantised_models
from tools.make_reference import crop_of

STEP = 1 / 256
"""By how much two neighbouring confidences of 8 bits differ."""


def test_operators(quantised: bytes, tmp_path: Path) -> None:
    """It is taken, and its softmax of integers is known as one, although its answers do not sum to 1."""
    (tmp_path / "model.onnx").write_bytes(quantised)

    spec = try_model(tmp_path, Request("model.onnx")).spec

    assert (spec["classes"], spec["activation"], spec["multi_label"]) == (1000, "none", False)
    assert spec["reasons"]["activation"] == "The graph ends in a softmax."


def test_answers(quantised: bytes, tmp_path: Path, cat: Path) -> None:
    """The confidences of a photograph are those of the runtime for the same pixels."""
    model, beside = tmp_path / "model.onnx", tmp_path / "preprocessing.json"
    model.write_bytes(quantised)
    beside.write_text(json.dumps(quantised_models.preprocessing()))
    session = onnxruntime.InferenceSession(quantised, providers=["CPUExecutionProvider"])
    (expected,) = session.run(None, {"image": quantised_models.values(crop_of(cat))})

    ranked = opened(model, None, beside).classify(cat.read_bytes()).ranked

    assert ranked[0][0] in range(281, 286)
    assert [confidence for _, confidence in ranked] == pytest.approx(np.sort(expected[0])[:-6:-1], abs=STEP)
    assert [expected[0][index] for index, _ in ranked] == pytest.approx(
        [confidence for _, confidence in ranked], abs=STEP
    )
