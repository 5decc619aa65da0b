"""The pages: for predictions, which works without JavaScript, for models, and the documentation."""

import base64
import time
from collections.abc import Mapping
from functools import cache, lru_cache
from typing import Any

from flask import Blueprint, Response, current_app, jsonify, render_template, request

from predictor import __version__
from predictor.errors import ClientClosedRequest, IncompleteBody, PredictorError
from predictor.fetch import urls
from predictor.importing.unpacking import MAX_FILES
from predictor.inference.prediction import EncodedImage, ImageSource, ImageUrl
from predictor.runtime.worker import Worker
from predictor.store.registry import DEFAULT
from predictor.web import inputs, middleware, openapi, schemas, serializers
from predictor.web.access import require_page_token
from predictor.web.code_samples import SERVER
from predictor.web.flask_app import problem_json
from predictor.web.forms import IMAGE
from predictor.web.guides import GUIDES, add_guides
from predictor.web.middleware import current_context, current_request
from predictor.web.openapi import TEXT, operation
from predictor.web.serializers import models_json

_SHOWN = 8192
"""Most characters of an image URL that the page repeats."""


def blueprint(worker: Worker) -> Blueprint:
    """Routes of the pages."""
    pages = Blueprint("pages", __name__)

    @pages.get("/")
    def index() -> tuple[str, int]:
        """Show the predict page for the model, version and image URL that its own URL names."""
        return _index(worker)

    @pages.post("/")
    def submit() -> tuple[str, int]:
        """Answer the form of the predict page, for browsers without JavaScript."""
        try:
            return _index(worker, result=_predicted(worker))
        except PredictorError as error:
            return _index(worker, problem=error)

    @pages.get("/upload")
    @operation(name="show_upload_page", tag="Models", answers={"text/html": TEXT})
    def upload() -> str:
        """Show the models and the upload form."""
        return render_models(worker)

    @pages.get("/favicon.ico")
    def favicon() -> Response:
        """Return the icon to a browser that shows no page of ours, such as `/metrics`."""
        return current_app.send_static_file("favicon.svg")

    _add_documentation(pages, worker)
    add_guides(pages)
    return pages


def _add_documentation(pages: Blueprint, worker: Worker) -> None:
    # Each takes a core for some ten milliseconds, and depends on nothing but the page's own address.
    document = cache(lambda: openapi.document(current_app, __version__, worker.settings.prefix or ""))
    documentation = lru_cache(16)(
        lambda _url: render_template(
            "docs.html",
            document=document(),
            server=SERVER + (worker.settings.prefix or ""),
            guides=GUIDES,
        )
    )

    @pages.get("/docs")
    def docs() -> str:
        """Show the API's documentation."""
        return documentation(request.base_url)

    @pages.get("/openapi.json")
    @operation(name="get_openapi", tag="Operating", answers={"application/json": {"type": "object"}})
    def openapi_json() -> Response:
        """Return the OpenAPI document."""
        return jsonify(document())


def _index(
    worker: Worker, *, result: dict[str, Any] | None = None, problem: PredictorError | None = None
) -> tuple[str, int]:
    """The predict page and its status."""
    if isinstance(problem, ClientClosedRequest | IncompleteBody):
        raise problem  # there is nobody to show a page to
    settings, instead = worker.settings, False
    try:
        name, version = _named()
        model = _model(worker, name, version)
    except PredictorError as error:
        problem = problem or error
        name, version, model, instead = DEFAULT, None, _model(worker, DEFAULT, None), True
    page = render_template(
        "index.html",
        result=result,
        problem=problem and problem_json(problem.bare()),
        image_url=_image_url()[:_SHOWN],
        model=model,
        instead=instead,
        chosen=name if version is None else f"{name}/{version}",
        choices=_choices(worker),
        protected=bool(settings.predict_tokens),
        limits={
            "formats": list(settings.formats),
            "media_types": settings.media_types,
            "max_image_mb": settings.max_image_mb,
            "max_megapixels": settings.max_megapixels,
            "max_batch": settings.max_batch,
        },
    )
    return page, problem.status if problem else 200


def _named() -> tuple[str, int | None]:
    """The model and version of the page's URL: `model=pets`, with `version=2` or as `model=pets/2`.

    Raises:
        InvalidRequest: they cannot be names.
    """
    name, _, version = request.args.get("model", DEFAULT).partition("/")
    values = {"model": name, "version": request.args.get("version") or version or None}
    asked: schemas.Options = schemas.check(schemas.Options, values, strict=False)
    return asked.model or DEFAULT, asked.version


def _choices(worker: Worker) -> list[dict[str, Any]]:
    """The models that can be chosen, `default` first, each with its versions, the newest first."""
    names = worker.registry.read().names
    return [
        {
            "name": name,
            "live": names[name].live,
            "versions": [one for one in reversed(names[name].versions) if names[name].good(one)],
        }
        for name in sorted(names, key=lambda name: (name != DEFAULT, name))
    ]


def _model(worker: Worker, name: str, version: int | None) -> dict[str, Any] | None:
    """What the page says of a model; None if nothing can be said yet.

    Raises:
        ModelNotFound: there is no such model or version.
    """
    if worker.device is None:
        return None
    if version is not None:
        # A version that is not live is loaded when a prediction needs it, and not to show its name.
        found = worker.registry.version(name, version)
        classes = worker.report(found).get("classes")
    else:
        try:
            live = worker.engine.model(name)
        except PredictorError:
            if name != DEFAULT:
                raise
            return None
        found, classes = live.version, len(live.spec.labels)
    return schemas.model_json(found) | {"classes": classes, "device": worker.device.name}


def _image_url() -> str:
    """The URL in the page's form or, for a link that fills it, in the page's own URL."""
    try:
        given = (request.form if request.method == "POST" else request.args).get("image_url", "").strip()
    except PredictorError:  # the form could not be read, which the page says
        return ""
    return _with_scheme(given) if given else ""


def _with_scheme(url: str) -> str:
    """A URL as people type it: without a scheme it is an https URL."""
    if "://" in url or url[:5].lower() == "data:" or urls.is_path(url):
        return url
    return f"https://{url.lstrip('/')}"


def _predicted(worker: Worker) -> dict[str, Any]:
    start = time.perf_counter()
    asked = current_request()
    require_page_token(asked, worker.settings.predict_tokens)
    sent = inputs.read(asked, worker.settings)
    image = sent.images[0]
    if isinstance(image, ImageUrl):
        image = ImageUrl(_image_url())
    outcome = worker.engine.predict([image], sent.options, middleware.deadline_of(asked, worker.settings))
    current_context().outcome = outcome
    first = outcome.results[0]
    if isinstance(first, PredictorError):
        raise first
    answer = serializers.answer_json(first, outcome.model)
    answer["milliseconds"] = 1000 * (time.perf_counter() - start)
    answer["phases"] = {phase: 1000 * seconds for phase, seconds in outcome.phases.seconds.items()}
    answer["preview"] = _preview(image, worker)
    answer["name"] = next((file.filename for file in asked.files.getlist(IMAGE)), None)
    return answer


def _preview(image: ImageSource, worker: Worker) -> str:
    """A small copy of a sent file; an image from a URL is shown from there by the browser."""
    if not isinstance(image, EncodedImage):
        return _image_url()
    return "data:image/jpeg;base64," + base64.b64encode(worker.engine.preview(image.data)).decode()


def repeatable(problem: Mapping[str, Any] | None) -> dict[str, str] | None:
    """The fields of a form that the golden images refused, which is offered again with `force`."""
    if "wrong" not in (problem or {}) or not schemas.is_form(request):
        return None
    return {name: value for name, value in request.form.items() if name != "force"}


def render_models(worker: Worker, **shown: Any) -> str:
    """The page of models.

    Args:
        worker: whose models are shown.
        shown: what came of a change: `uploaded`, `message` or `problem`.
    """
    settings, found = worker.settings, models_json(worker)
    nothing: dict[str, Any] = {"uploaded": None, "message": None, "problem": None}
    nothing["repeatable"] = repeatable(shown.get("problem"))
    return render_template(
        "models.html",
        about=(request.view_args or {}).get("name"),
        models=found["models"],
        serial=found.get("serial"),
        machines=found.get("machines"),
        limits={"max_model_mb": settings.max_model_mb, "max_files": MAX_FILES},
        protected=bool(settings.admin_tokens),
        **(nothing | shown),
    )
