"""The Open Inference Protocol, version 2: health, metadata, inference, configuration, statistics."""

from collections.abc import Callable
from typing import Any

from flask import Blueprint, Response, jsonify
from pydantic import BaseModel, Field

from predictor import __version__
from predictor.errors import (
    ImageTooLarge,
    InvalidRequest,
    ModelNotFound,
    NotReady,
    Overloaded,
    Unauthorized,
)
from predictor.inference.prediction import Options
from predictor.runtime.worker import Worker
from predictor.store.registry import DEFAULT
from predictor.web import inference_inputs, inference_outputs, inference_schemas, middleware, ops
from predictor.web.access import require_token
from predictor.web.inference_models import config_json, metadata_json, served, statistics_json, version_number
from predictor.web.inputs import asks_anew
from predictor.web.middleware import current_context, current_request
from predictor.web.openapi import BINARY, Failures, View, operation

TAG = "Open Inference Protocol"
EXTENSIONS = (
    "binary_tensor_data", "classification", "model_configuration", "model_repository", "parameters",
    "statistics",
)  # fmt: skip
FAILURES = Failures("application/json", inference_schemas.ProtocolError)
"""How the protocol's errors look."""

_UNKNOWN = (ModelNotFound,)
_INFER = (InvalidRequest, Unauthorized, ModelNotFound, ImageTooLarge, Overloaded, NotReady)


class ModelPath(BaseModel):
    """The model in a path, and its version where the path has one."""

    name: str = Field(description="The name of the model.", examples=[DEFAULT])
    version: str = Field(description="The number of the version.", examples=["1"])


class InferHeaders(middleware.Headers):
    """Headers that an inference heeds."""

    json_length: int | None = Field(
        None,
        alias="Inference-Header-Content-Length",
        ge=0,
        description="How many bytes of the body are JSON; those of the tensor follow. With 0 the body is one "
        "image or tensor, without the header it is JSON.",
    )


def blueprint(worker: Worker) -> Blueprint:
    """Routes of the protocol."""
    routes = Blueprint("v2", __name__, url_prefix="/v2")
    _server(routes, worker)
    _models(routes, worker)
    _details(routes, worker)
    _infer(routes, worker)
    return routes


def described(**parts: Any) -> Callable[[View], View]:
    """Describe a view of the protocol, as `operation` does."""
    return operation(tag=TAG, failures=FAILURES, **parts)


def _both(routes: Blueprint, suffix: str, view: Callable[..., Response], method: str = "GET") -> None:
    """Add a view of a model under its path with and without a version."""
    name = view.__name__
    for path, endpoint in (("", name), ("/versions/<version>", f"{name}_of_version")):
        routes.add_url_rule(f"/models/<name>{path}{suffix}", endpoint, view, methods=[method])


def _server(routes: Blueprint, worker: Worker) -> None:
    @routes.get("", strict_slashes=False)
    @described(answers={"application/json": inference_schemas.ServerMetadata})
    def server() -> Response:
        """Describe the server and its extensions."""
        return jsonify(name="image-prediction-api", version=__version__, extensions=EXTENSIONS)

    @routes.get("/health/live")
    @described(answers={"application/json": inference_schemas.ServerLive})
    def live() -> Response:
        """Check that the process answers."""
        return jsonify(live=True)

    @routes.get("/health/ready")
    @described(answers={"application/json": inference_schemas.ServerReady}, errors=(NotReady, Overloaded))
    def ready() -> Response:
        """Check whether the loaded models can infer."""
        ops.check_ready(worker)
        return jsonify(live=True, ready=True)

    @routes.get("/models")
    @described(answers={"application/json": inference_schemas.ModelNames})
    def names() -> Response:
        """List the names of the loaded models."""
        return jsonify(models=sorted(worker.registry.read().live()))


def _models(routes: Blueprint, worker: Worker) -> None:
    @described(path=ModelPath, answers={"application/json": inference_schemas.ModelMetadata}, errors=_UNKNOWN)
    def metadata(name: str, version: str | None = None) -> Response:
        """Describe a model.

        Its input takes `N` encoded images as BYTES of shape `[N]`. Under the same name it takes the model's
        own tensor, whose datatype and shape are among the `properties`.
        """
        return jsonify(metadata_json(worker, name, version))

    @described(
        path=ModelPath,
        answers={"application/json": inference_schemas.ModelReady},
        errors=(ModelNotFound, NotReady),
    )
    def model_ready(name: str, version: str | None = None) -> Response:
        """Check whether a model can infer."""
        if worker.registry.name(name).live is None:
            raise NotReady("The model is not loaded.")
        served(worker, name, version)
        worker.live.models()
        return jsonify(name=name, ready=True)

    _both(routes, "", metadata)
    _both(routes, "/ready", model_ready)


def _details(routes: Blueprint, worker: Worker) -> None:
    @described(path=ModelPath, answers={"application/json": {"type": "object"}}, errors=_UNKNOWN)
    def config(name: str, version: str | None = None) -> Response:
        """Return the configuration of a model, in Triton's form."""
        return jsonify(config_json(metadata_json(worker, name, version), worker.settings))

    @described(path=ModelPath, answers={"application/json": inference_schemas.Statistics}, errors=_UNKNOWN)
    def stats(name: str, version: str | None = None) -> Response:
        """Return the statistics of a model, added up over all workers."""
        return jsonify(statistics_json(worker, name, version))

    @routes.get("/models/stats")
    @described(answers={"application/json": inference_schemas.Statistics})
    def all_stats() -> Response:
        """Return the statistics of all models.

        For a model that is named `stats` this is its metadata as well: the answer has the fields of both.
        """
        statistics = statistics_json(worker)
        if "stats" in worker.registry.read().live():
            statistics |= metadata_json(worker, "stats", None)
        return jsonify(statistics)

    _both(routes, "/config", config)
    _both(routes, "/stats", stats)


def _infer(routes: Blueprint, worker: Worker) -> None:
    settings = worker.settings

    @described(
        path=ModelPath,
        headers=InferHeaders,
        bodies={"application/json": inference_schemas.InferRequest, "application/octet-stream": BINARY},
        answers={"application/json": inference_schemas.InferResponse, "application/octet-stream": BINARY},
        errors=_INFER,
    )
    def infer(name: str, version: str | None = None) -> Response:
        """Infer: images or the model's own tensor in, its scores or classes out.

        With the header `Inference-Header-Content-Length`, tensors follow the JSON as bytes; with `0` the body
        is one image or tensor alone. An answer with bytes behind its JSON has the same header.
        """
        asked = current_request()
        require_token(asked, settings.predict_tokens)
        model = worker.engine.model(name, None if version is None else version_number(version))
        sent = inference_inputs.read(asked, model, settings)
        options = Options(scores=True, fresh=asks_anew(asked))
        outcome = worker.engine.predict(sent.images, options, sent.deadline, model)
        current_context().outcome = outcome
        return inference_outputs.answer(asked, sent, outcome)

    _both(routes, "/infer", infer, "POST")
