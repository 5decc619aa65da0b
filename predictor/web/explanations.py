"""Explanations over HTTP: the route, and what its requests and answers look like."""

import base64
from typing import Annotated, Any, Literal

from flask import Blueprint, Request, Response
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from predictor.errors import InvalidRequest
from predictor.evaluation.classes import Classes
from predictor.explaining import explanation
from predictor.inference.prediction import Outcome
from predictor.model.label import Label, meant, plain
from predictor.runtime.worker import Worker
from predictor.web import inputs, middleware, schemas
from predictor.web.access import require_token
from predictor.web.flask_app import JsonResponse, ReadyResponse
from predictor.web.middleware import current_context, current_request
from predictor.web.openapi import BINARY, OF_PREDICTIONS, operation
from predictor.web.schemas import ModelName, ModelRef, absent
from predictor.web.serializers import named

_PNG = "image/png"
_SHOWN = 100
_LISTED = 5

_FILE = WithJsonSchema(
    {
        "type": "string",
        "format": "binary",
        "description": "The image.",
        # Shown on the page; `examples` itself would have fuzzers send this text as an image.
        "x-examples": ["@cat.jpg"],
    }
)


class ExplainOptions(BaseModel):
    """Options of an explanation, as query arguments or as fields of the body."""

    model_config = ConfigDict(extra="forbid")

    class_: int | str | None = absent(
        "The class to explain: its label, id, a synonym or its index; by default the most confident one.",
        alias="class",
    )
    method: Literal["auto", "cam", "masks"] | None = absent(
        "`cam`: a class activation map; `masks`: a fit to masked images; `auto`, the default: the first "
        "where the model has one, else the second."
    )
    overlay: bool | None = absent("Add the map over the image, as a data: URL of a PNG.")
    model: ModelName | None = absent("The model's name; by default `default`.")
    version: int | None = absent("The model's version; by default the live version.", ge=1)
    exact: bool | None = absent("Decode JPEGs whole, also large ones, and resize images whole; slower.")


class ExplainRequest(ExplainOptions):
    """Either `image_url` or `image`, and options."""

    # Shown on the page; `examples` itself would have fuzzers fetch from that address.
    model_config = ConfigDict(
        json_schema_extra={"x-examples": [{"image_url": "https://example.com/cat.jpg", "class": "tabby"}]}
    )

    image_url: str | None = absent("The URL of an image, http or https, or a data: URL.")
    image: str | None = absent("An image in base64, or as a data: URL.")


class ExplainFormRequest(ExplainOptions):
    """The text fields of a form; the image comes as a file in the field `image`."""

    image_url: str | None = absent("The URL of an image, if no file is sent.")
    image: str | None = absent("An image in base64, if no file is sent.")


class ExplainFileRequest(ExplainOptions):
    """A form with a file, or with an `image_url`."""

    image_url: str | None = absent("The URL of an image, if no file is sent.")
    image: Annotated[Any, _FILE] = None


class ExplainedClass(BaseModel):
    """A class."""

    label: str
    index: int = Field(description="The index of the class in the model's output.")


class ImageSize(BaseModel):
    """The size of an upright image in pixels."""

    width: int
    height: int


class Explanation(BaseModel):
    """Which parts of an image speak for a class, and which against it."""

    name: str | None = Field(None, description="The name of the image's file in the form, if it has one.")
    explained: ExplainedClass = Field(alias="class")
    confidence: float = Field(description="Of the class, for the image as it is.")
    method: Literal["cam", "masks"]
    runs: int = Field(description="Runs of the model that the map is made of.")
    fidelity: float | None = Field(
        description="R2 of `masks`, 0 to 1: how much of the variance of the confidences the map foretells "
        "for masks that it was not made of. Below 0.2 it is not to be trusted. Null for `cam`."
    )
    grid: list[list[float]] = Field(
        description="The map over `box`, row by row: numbers above 0 speak for the class, below 0 against "
        "it. With `masks`, what a part adds to the confidence; with `cam`, what it adds to the score before "
        "the activation."
    )
    image: ImageSize
    box: list[float] = Field(
        description="The part of the image that the model saw: left, top, right and bottom in its pixels. It "
        "reaches beyond the image where the preprocessing adds an edge.",
        min_length=4,
        max_length=4,
    )
    model: ModelRef
    overlay: str | None = Field(
        None, description="The map over the image as a data: URL of a PNG, if the request asked for it."
    )


_FIELDS = inputs.Fields(
    ExplainOptions,
    ExplainRequest,
    ExplainFormRequest,
    more=("class_", "method", "overlay"),
)


def blueprint(worker: Worker) -> Blueprint:
    """Routes of the explanations."""
    routes = Blueprint("explanations", __name__)

    @routes.post("/explain")
    @operation(
        name="explain", tag="Prediction",
        query=ExplainOptions,
        headers=middleware.Headers,
        bodies={
            "application/json": ExplainRequest,
            "multipart/form-data": ExplainFileRequest,
            "application/x-www-form-urlencoded": ExplainFormRequest,
            "application/octet-stream": BINARY,
        },
        answers={"application/json": Explanation, _PNG: BINARY},
        errors=OF_PREDICTIONS,
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

    return routes


def _explained(worker: Worker, asked: Request, sent: inputs.PredictInput) -> explanation.Explanation:
    if len(sent.images) != 1:
        raise InvalidRequest("Send one image: each is explained by a request of its own.")
    options, more = sent.options, sent.more
    model = worker.engine.model(options.model, options.version)
    wanted = explanation.Wanted(
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
        raise InvalidRequest(_wrong_class(str(given), labels))
    return found


def _wrong_class(given: str, labels: tuple[Label, ...]) -> str:
    """Say that no class of the model has the name, or that several classes have it."""
    wanted, last = plain(given[:_SHOWN]), len(labels) - 1
    same = [index for index, one in enumerate(labels) if wanted in map(plain, (one.name, *one.synonyms))]
    if len(same) > 1:
        listed = f"{', '.join(map(str, same[:_LISTED]))}{' and others' if len(same) > _LISTED else ''}"
        return f"class names several of the model's classes: give one of their indices, {listed}."
    if (index := meant(given, labels)) is not None:
        return f"class names none of the model's classes; did you mean {labels[index].name} (index {index})?"
    return f"class names none of the model's classes: give a label, or an index from 0 to {last}."


def _response(
    worker: Worker, asked: Request, sent: inputs.PredictInput, found: explanation.Explanation
) -> ReadyResponse:
    accepted = asked.accept_mimetypes
    if accepted.quality(_PNG) > accepted.quality("application/json"):
        return ReadyResponse(worker.explainer.overlay(found), content_type=_PNG)
    answer = _json(found)
    if sent.more.get("overlay"):
        image = base64.b64encode(worker.explainer.overlay(found)).decode()
        answer["overlay"] = f"data:{_PNG};base64,{image}"
    return JsonResponse(named(answer, sent.names[0] if sent.names else None))


def _json(found: explanation.Explanation) -> dict[str, Any]:
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
