"""Predictions as JSON."""

import base64
from typing import Any

from predictor.image.tensor_to_image import png
from predictor.inference.loader import LoadedModel
from predictor.inference.prediction import Prediction, Trace
from predictor.model.scores import described
from predictor.model.spec import ModelSpec
from predictor.web.schemas import model_json


def answer_json(prediction: Prediction, model: LoadedModel) -> dict[str, Any]:
    """A prediction as JSON (`schemas.Answer`)."""
    scores = described(prediction.ranked, prediction.labels)
    answer = {
        "predicted_label": scores[0]["label"],
        "confidence": scores[0]["confidence"],
        "predictions": scores,
        "model": model_json(model.version),
        "cached": prediction.cached,
    }
    if model.spec.multi_label:
        answer["multi_label"] = True
    if prediction.trace is not None:
        answer["debug"] = _debug_json(prediction.trace, model.spec)
    return answer


def _debug_json(trace: Trace, spec: ModelSpec) -> dict[str, Any]:
    tensor = trace.tensor.astype("float64")
    picture = base64.b64encode(png(trace.tensor, spec.preprocessing)).decode()
    facts = spec.to_json()
    kept = ("preprocessing", "activation", "reasons", "warnings")
    return {name: facts[name] for name in kept} | {
        "input": {
            **spec.image.to_json(),
            "shape": list(tensor.shape),
            "minimum": float(tensor.min()),
            "maximum": float(tensor.max()),
            "mean": float(tensor.mean()),
            "png": f"data:image/png;base64,{picture}",
        },
        "phases": {phase: round(1000 * seconds, 3) for phase, seconds in trace.phases.seconds.items()},
    }
