"""The API: predictions."""

from typing import Any

from flask import Blueprint, Response

from predictor.errors import PredictorError
from predictor.inference.prediction import Options, Outcome
from predictor.runtime.worker import Worker
from predictor.web import inputs, middleware, schemas, serializers
from predictor.web.access import require_token
from predictor.web.flask_app import JsonResponse, problem_json
from predictor.web.middleware import current_context, current_request
from predictor.web.openapi import BINARY, OF_PREDICTIONS, operation


def blueprint(worker: Worker) -> Blueprint:
    """Routes of the API."""
    api = Blueprint("api", __name__)
    settings = worker.settings

    @api.post("/predict")
    @operation(
        name="predict", tag="Prediction",
        query=schemas.Options,
        headers=middleware.Headers,
        bodies={
            "application/json": schemas.PredictRequest,
            "multipart/form-data": schemas.FileRequest,
            "application/x-www-form-urlencoded": schemas.FormRequest,
            "application/octet-stream": BINARY,
        },
        answers={"application/json": {"anyOf": [schemas.Answer, schemas.Results]}},
        errors=OF_PREDICTIONS,
    )  # fmt: skip
    def predict() -> Response:
        """Predict the classes of images.

        Send an image as a URL, in base64, as a file or as the body itself. Send lists or repeated files for
        many images: `results` is in the order sent, and an invalid image does not fail the others.
        """
        asked = current_request()
        require_token(asked, settings.predict_tokens)
        sent = inputs.read(asked, settings)
        outcome = worker.engine.predict(sent.images, sent.options, middleware.deadline_of(asked, settings))
        current_context().outcome = outcome
        return JsonResponse(_body(outcome, sent))

    return api


def _body(outcome: Outcome, sent: inputs.PredictInput) -> dict[str, Any]:
    names = sent.names or [None] * len(outcome.results)
    if sent.many:
        named = zip(outcome.results, names, strict=True)
        return {"results": [_result(outcome, result, name, sent.options) for result, name in named]}
    result = outcome.results[0]
    if isinstance(result, PredictorError):
        raise result
    return serializers.answer_json(result, outcome.model, names[0], sent.options.threshold)


def _result(outcome: Outcome, result: Any, name: str | None, options: Options) -> dict[str, Any]:
    if isinstance(result, PredictorError):
        return serializers.named({"error": problem_json(result)}, name)
    return serializers.answer_json(result, outcome.model, name, options.threshold)
