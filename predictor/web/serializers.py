"""Predictions and the models of a store as JSON."""

import base64
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict
from typing import Any

from predictor.errors import InvalidModel, ModelNotFound, NotReady
from predictor.image.preview import png
from predictor.inference.loader import LoadedModel
from predictor.inference.prediction import Prediction, Trace
from predictor.model.calibration import Calibration
from predictor.model.scores import described
from predictor.model.spec import ModelSpec
from predictor.runtime.worker import Worker
from predictor.store.registry import ModelVersion
from predictor.store.state import Name
from predictor.web import schemas


def answer_json(
    prediction: Prediction, model: LoadedModel, name: str | None = None, threshold: float | None = None
) -> dict[str, Any]:
    """A prediction as JSON (`schemas.Answer`).

    Args:
        prediction: what was predicted.
        model: what predicted it.
        name: the name of the image's file, if it has one.
        threshold: the confidence that a class needs to be named; None for the version's own, if it has any.
    """
    calibration = model.spec.calibration
    scores = _named(prediction, calibration, threshold)
    answer: dict[str, Any] = {
        "predicted_label": scores[0]["label"] if scores else None,
        "confidence": scores[0]["confidence"] if scores else None,
        "predictions": scores,
        "model": schemas.model_json(model.version),
        "cached": prediction.cached,
    }
    if calibration is not None:
        answer["raw_confidence"] = scores[0]["raw_confidence"] if scores else None
    if threshold is not None or (calibration is not None and calibration.thresholds):
        answer["abstained"] = not scores
    if model.spec.multi_label:
        answer["multi_label"] = True
    if prediction.trace is not None:
        answer["debug"] = _debug_json(prediction.trace, model.spec)
    return named(answer, name)


def _named(
    prediction: Prediction, calibration: Calibration | None, threshold: float | None
) -> list[dict[str, Any]]:
    """The classes that are confident enough, with their confidences before calibration if there is one."""
    scores = described(prediction.ranked, prediction.labels)
    for score, raw in zip(scores, prediction.raw, strict=False):
        score["raw_confidence"] = raw
    if threshold is not None:
        return [score for score in scores if score["confidence"] >= threshold]
    if calibration is None or not calibration.thresholds:
        return scores
    return [score for score in scores if score["confidence"] >= calibration.threshold(score["index"])]


def named(result: dict[str, Any], name: str | None) -> dict[str, Any]:
    """A result that says which file it is about, if that has a name."""
    return result if name is None else {"name": name, **result}


def _debug_json(trace: Trace, spec: ModelSpec) -> dict[str, Any]:
    tensor = trace.tensor.astype("float64")
    image = base64.b64encode(png(trace.tensor, spec.preprocessing)).decode()
    facts = spec.to_json()
    kept = ("preprocessing", "activation", "reasons", "warnings")
    return {name: facts[name] for name in kept} | {
        "input": {
            **spec.image.to_json(),
            "shape": list(tensor.shape),
            "minimum": float(tensor.min()),
            "maximum": float(tensor.max()),
            "mean": float(tensor.mean()),
            "png": f"data:image/png;base64,{image}",
        },
        **({} if spec.calibration is None else {"calibration": spec.calibration.to_json()}),
        "phases": {phase: round(1000 * seconds, 3) for phase, seconds in trace.phases.seconds.items()},
    }


def models_json(worker: Worker) -> dict[str, Any]:
    """All models (`schemas.Models`)."""
    found = []
    for name in sorted(worker.registry.read().names):
        # It may be deleted meanwhile, as may a version.
        with suppress(ModelNotFound):
            found.append(model_json(worker, name))
    return {"models": found, **(worker.cluster.described() if worker.cluster else {})}


def model_json(worker: Worker, name: str) -> dict[str, Any]:
    """One model (`schemas.Model`).

    Raises:
        ModelNotFound: no model has that name.
    """
    known = worker.registry.name(name)
    return {
        "name": name,
        "live": known.live,
        "before": known.before(),
        "versions": list(_versions(worker, name, known)),
        "history": [asdict(event) for event in known.history],
    }


def _versions(worker: Worker, name: str, known: Name) -> Iterator[dict[str, Any]]:
    for version in reversed(known.versions):
        with suppress(ModelNotFound):
            yield _version(worker, name, known, version)


def _version(worker: Worker, name: str, known: Name, version: int) -> dict[str, Any]:
    described = {
        "version": version,
        "live": version == known.live,
        "quarantined": known.quarantined.get(version),
    }
    try:
        return described | _details(worker, worker.registry.version(name, version))
    except InvalidModel as error:
        return described | _UNKNOWN | {"quarantined": error.detail}
    except NotReady:
        return described | _UNKNOWN


_UNKNOWN: dict[str, Any] = {
    "digest": "",
    "created": None,
    "model": "",
    "labels": None,
    "files": {},
    "classes": None,
    "preprocessing": None,
    "report": None,
}


def _details(worker: Worker, version: ModelVersion) -> dict[str, Any]:
    manifest, report = version.manifest, worker.report(version)
    found = {
        "digest": version.digest,
        "classes": report.get("classes"),
        "preprocessing": report.get("preprocessing"),
        "report": dict(report) or None,
    }
    if manifest is None:
        return _UNKNOWN | found | {"model": version.path.name}
    return found | {
        "created": manifest.created,
        "model": manifest.model,
        "labels": manifest.labels,
        "files": dict(manifest.files),
    }
