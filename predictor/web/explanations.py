"""Explanations over HTTP."""

import base64
from typing import Any

from flask import Blueprint, Request, Response

from predictor.errors import (
    FetchBlocked,
    FetchFailed,
    FetchTimeout,
    ImageTooLarge,
    InvalidImage,
    InvalidRequest,
    ModelNotFound,
    NotReady,
    Overloaded,
    Unauthorized,
    UnsupportedImage,
)
from predictor.evaluation.tables import Classes
from predictor.explaining.explanation import Explanation, Wanted
from predictor.inference.prediction import Outcome
from predictor.model.label import Label
from predictor.runtime.worker import Worker
from predictor.web import explanation_schemas, inputs, middleware, schemas
from predictor.web.access import require_token
from predictor.web.flask_app import JsonResponse, ReadyResponse
from predictor.web.middleware import current_context, current_request
from predictor.web.openapi import BINARY, operation
from predictor.web.serializers import named

_PNG = "image/png"
_FIELDS = inputs.Fields(
    explanation_schemas.ExplainOptions,
    explanation_schemas.ExplainRequest,
    explanation_schemas.ExplainFormRequest,
    more=("class_", "method", "overlay"),
)


def blueprint(worker: Worker) -> Blueprint:
    """Routes of the explanations."""
    room = Blueprint("explanations", __name__)

    @room.post("/explain")
    @operation(
        name="explain", tag="Prediction",
        query=explanation_schemas.ExplainOptions,
        headers=middleware.Headers,
        bodies={
            "application/json": explanation_schemas.ExplainRequest,
            "multipart/form-data": explanation_schemas.ExplainFileRequest,
            "application/x-www-form-urlencoded": explanation_schemas.ExplainFormRequest,
            "application/octet-stream": BINARY,
        },
        answers={"application/json": explanation_schemas.Explanation, _PNG: BINARY},
        errors=(
            InvalidRequest, Unauthorized, FetchBlocked, ModelNotFound, ImageTooLarge, UnsupportedImage,
            InvalidImage, FetchFailed, FetchTimeout, Overloaded, NotReady,
        ),
    )  # fmt: skip
    def explain() -> Response:
        """Explain a prediction: which parts of the image speak for a class.

        Send one image as for a prediction. With `Accept: image/png` the answer is the map over the image.
        """
        asked = current_request()
        require_token(asked, worker.settings.predict_tokens)
        sent = inputs.read(asked, worker.settings, _FIELDS)
        found = _explained(worker, asked, sent)
        current_context().outcome = Outcome(found.model, (), found.phases, (found.phases,))
        return _response(worker, asked, sent, found)

    return room


def _explained(worker: Worker, asked: Request, sent: inputs.PredictInput) -> Explanation:
    if len(sent.images) != 1:
        raise InvalidRequest("Send one image: each is explained by a request of its own.")
    options, more = sent.options, sent.more
    model = worker.engine.model(options.model, options.version)
    wanted = Wanted(
        index=_index(more["class_"], model.spec.labels) if "class_" in more else None,
        method=more.get("method", "auto"),
        exact=options.exact,
    )
    deadline = middleware.deadline_of(asked, worker.settings)
    return worker.explainer.explain(model, sent.images[0], wanted, deadline)


def _index(given: int | str, labels: tuple[Label, ...]) -> int:
    # In JSON a number is an index, whatever the classes are called.
    if isinstance(given, int):
        found = given if 0 <= given < len(labels) else None
    else:
        found = Classes(labels).find([given])
    if found is None:
        raise InvalidRequest(
            f"class names none of the model's {len(labels)} classes, or several: give a label or an index."
        )
    return found


def _response(worker: Worker, asked: Request, sent: inputs.PredictInput, found: Explanation) -> ReadyResponse:
    accepted = asked.accept_mimetypes
    if accepted.quality(_PNG) > accepted.quality("application/json"):
        return ReadyResponse(worker.explainer.overlay(found), content_type=_PNG)
    answer = _json(found)
    if sent.more.get("overlay"):
        picture = base64.b64encode(worker.explainer.overlay(found)).decode()
        answer["overlay"] = f"data:{_PNG};base64,{picture}"
    return JsonResponse(named(answer, sent.names[0] if sent.names else None))


def _json(found: Explanation) -> dict[str, Any]:
    width, height = found.size
    return {
        "class": {"label": found.label.name, "index": found.index},
        "confidence": found.confidence,
        "method": found.method,
        "runs": found.runs,
        "fidelity": found.fidelity,
        "grid": found.grid.tolist(),
        "image": {"width": width, "height": height},
        "box": list(found.box),
        "model": schemas.model_json(found.model.version),
    }
