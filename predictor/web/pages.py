"""The pages: for predictions, which works without JavaScript, for models, and the documentation."""

import base64
import time
from functools import cache, lru_cache
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, render_template, request

from predictor import __version__
from predictor.errors import PredictorError
from predictor.importing.unpacking import MAX_FILES
from predictor.inference.prediction import EncodedImage, ImageSource
from predictor.runtime.worker import Worker
from predictor.web import inputs, middleware, openapi, schemas, serializers
from predictor.web.access import require_token
from predictor.web.flask_app import problem_json
from predictor.web.middleware import current_context
from predictor.web.openapi import TEXT, operation
from predictor.web.serializers import models_json


def blueprint(worker: Worker) -> Blueprint:
    """Routes of the pages."""
    pages = Blueprint("pages", __name__)
    # Each takes a core for some ten milliseconds, and depends on nothing but the address in the examples.
    document = cache(lambda: openapi.document(current_app, __version__))
    documentation = lru_cache(16)(lambda _root: render_template("docs.html", document=document()))

    @pages.get("/")
    def index() -> str:
        """Show the predict page."""
        return _index(worker)

    @pages.post("/")
    def submit() -> tuple[str, int]:
        """Answer the form of the predict page, for browsers without JavaScript."""
        try:
            return _index(worker, **_predicted(worker)), 200
        except PredictorError as error:
            return _index(worker, problem=problem_json(error.bare())), error.status

    @pages.get("/upload")
    @operation(tag="Models", answers={"text/html": TEXT})
    def upload() -> str:
        """Show the models and the upload form."""
        return render_models(worker)

    @pages.get("/docs")
    def docs() -> str:
        """Show the API's documentation."""
        return documentation(request.url_root)

    @pages.get("/openapi.json")
    @operation(tag="Operating", answers={"application/json": {"type": "object"}})
    def openapi_json() -> Response:
        """Return the OpenAPI document."""
        return jsonify(document())

    return pages


def _index(worker: Worker, **shown: Any) -> str:
    settings = worker.settings
    values: dict[str, Any] = {
        "result": None,
        "problem": None,
        "image_url": request.form.get("image_url", "")[:2048] if request.method == "POST" else "",
        "model": _model(worker),
        "limits": {
            "formats": list(settings.formats),
            "max_image_mb": settings.max_image_mb,
            "max_megapixels": settings.max_megapixels,
            "max_batch": settings.max_batch,
        },
    }
    return render_template("index.html", **(values | shown))


def _model(worker: Worker) -> dict[str, Any] | None:
    try:
        model = worker.engine.model()
    except PredictorError:
        return None
    if worker.device is None:
        return None
    described = schemas.model_json(model.version)
    return described | {"classes": len(model.spec.labels), "device": worker.device.name}


def _predicted(worker: Worker) -> dict[str, Any]:
    start = time.perf_counter()
    require_token(request, worker.settings.predict_tokens)
    sent = inputs.read(request, worker.settings)
    outcome = worker.engine.predict(
        sent.images[:1], sent.options, middleware.deadline_of(request, worker.settings)
    )
    current_context().phases = outcome.phases.seconds
    first = outcome.results[0]
    if isinstance(first, PredictorError):
        raise first
    answer = serializers.answer_json(first, outcome.model)
    answer["milliseconds"] = 1000 * (time.perf_counter() - start)
    answer["phases"] = {phase: 1000 * seconds for phase, seconds in outcome.phases.seconds.items()}
    answer["preview"] = _preview(sent.images[0], worker)
    return {"result": answer}


def _preview(picture: ImageSource, worker: Worker) -> str | None:
    """A small copy of a sent file; a picture from an address is shown from there by the browser."""
    if not isinstance(picture, EncodedImage):
        return None
    return "data:image/jpeg;base64," + base64.b64encode(worker.engine.preview(picture.data)).decode()


def render_models(worker: Worker, **shown: Any) -> str:
    """The page of models.

    Args:
        worker: whose models are shown.
        shown: what came of a change: `uploaded`, `message` or `problem`.
    """
    settings = worker.settings
    nothing = {"uploaded": None, "message": None, "problem": None}
    return render_template(
        "models.html",
        models=models_json(worker)["models"],
        limits={"max_model_mb": settings.max_model_mb, "max_files": MAX_FILES},
        protected=bool(settings.admin_tokens),
        **(nothing | shown),
    )
