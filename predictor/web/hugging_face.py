"""Hugging Face's form of image classification, as the client of huggingface_hub sends and reads it."""

import re
from typing import Any, Literal

from flask import Blueprint, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator

from predictor.config import Settings
from predictor.errors import InvalidRequest, PredictorError
from predictor.image.decode import sniff
from predictor.inference.loader import LoadedModel
from predictor.inference.prediction import EncodedImage, ImageSource, ImageUrl, Options, Prediction
from predictor.model.scores import rank
from predictor.runtime.worker import Worker
from predictor.web import base64_images, inputs, middleware, schemas
from predictor.web.access import require_token
from predictor.web.flask_app import JsonResponse
from predictor.web.inference_schemas import ProtocolError
from predictor.web.middleware import current_context, current_request
from predictor.web.openapi import BINARY, OF_PREDICTIONS, Failures, operation
from predictor.web.schemas import absent

_WRONG = (
    "inputs must be an http or https URL, base64, or a data: URL in base64; or send the image itself as the "
    "body."
)
_FORM = "Send the image itself as the body, not in a form, or JSON with its URL as inputs."
_URL = re.compile(rb"\s*[a-z][a-z0-9+.\-]*://", re.IGNORECASE)
_EXAMPLE: dict[str, Any] = {"inputs": "https://example.com/cat.jpg", "parameters": {"top_k": 3}}


class ModelPath(BaseModel):
    """The model in a path."""

    name: str


class ClassificationParameters(BaseModel):
    """What may be chosen."""

    @model_validator(mode="before")
    @classmethod
    def _refuse_other_tasks(cls, values: Any) -> Any:
        """Zero-shot classification would get other classes than those that it names."""
        if isinstance(values, dict) and values.get("candidate_labels") is not None:
            raise InvalidRequest(
                "candidate_labels cannot be given: the model has its own; ask for image classification."
            )
        return values

    top_k: int | None = absent("Maximum number of classes in the answer; by default 5.", ge=1, le=1_000_000)
    function_to_apply: Literal["softmax", "sigmoid", "none"] | None = absent(
        "What makes scores of the model's outputs; by default what the model was found to need."
    )


class ClassificationRequest(BaseModel):
    """An image with parameters."""

    model_config = ConfigDict(json_schema_extra={"x-examples": [_EXAMPLE]})

    inputs: str = Field(description="The image in base64, as a data: URL, or its URL.")
    parameters: ClassificationParameters | None = absent("What may be chosen.")


class Classification(BaseModel):
    """A class with its score."""

    label: str
    score: float


def blueprint(worker: Worker) -> Blueprint:
    """The route."""
    routes = Blueprint("hugging_face", __name__)

    @routes.post("/hf/<name>")
    @operation(
        name="classify_for_hugging_face",
        tag="Hugging Face",
        path=ModelPath,
        headers=middleware.Headers,
        bodies={
            "application/json": ClassificationRequest,
            "application/octet-stream": BINARY,
        },
        answers={"application/json": {"type": "array", "items": Classification}},
        errors=OF_PREDICTIONS,
        failures=Failures("application/json", ProtocolError),
    )
    def classify(name: str) -> Response:
        """Classify an image as the inference endpoints of Hugging Face do.

        Use it as `InferenceClient(model=URL).image_classification(image)`.
        """
        asked = current_request()
        require_token(asked, worker.settings.predict_tokens)
        image, chosen = _read(asked, worker.settings)
        model = worker.engine.model(name)
        options = Options(
            top_k=chosen.top_k or 5,
            scores=chosen.function_to_apply is not None,
            fresh=inputs.asks_anew(asked),
        )
        outcome = worker.engine.predict(
            [image], options, middleware.deadline_of(asked, worker.settings), model
        )
        current_context().outcome = outcome
        return JsonResponse(_classes(outcome.results[0], outcome.model, chosen))

    return routes


def _read(request: Request, settings: Settings) -> tuple[ImageSource, ClassificationParameters]:
    """The image of a request, and what was chosen."""
    request.max_content_length = settings.max_body_bytes
    data = inputs.read_body(request)
    if not sniff(data) and (request.mimetype.startswith("multipart/") or _URL.match(data)):
        raise InvalidRequest(_FORM)
    if sniff(data) or not inputs.JSON.match(data):
        return EncodedImage(data), ClassificationParameters()
    sent: ClassificationRequest = schemas.parse(data, ClassificationRequest)
    return _image(sent.inputs), sent.parameters or ClassificationParameters()


def _image(text: str) -> ImageSource:
    """The image of a text that may be a URL, a data: URL or base64."""
    text = text.strip()
    is_url = text[:8].lower().startswith(("http://", "https://"))
    return ImageUrl(text) if is_url else base64_images.of_text(text, _WRONG)


def _classes(
    result: Prediction | PredictorError, model: LoadedModel, chosen: ClassificationParameters
) -> list[dict[str, Any]]:
    if isinstance(result, PredictorError):
        raise result
    ranked = result.ranked
    if chosen.function_to_apply and result.scores is not None:
        ranked = rank(result.scores, chosen.function_to_apply, chosen.top_k or 5)
    return [{"label": model.spec.labels[index].name, "score": score} for index, score in ranked]
