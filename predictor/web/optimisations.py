"""Faster forms of models over HTTP: the page, the optimisation, and the publication of what it recommends."""

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

from flask import Blueprint, Response, render_template, request

from predictor.errors import (
    InvalidRequest,
    ModelNotFound,
    NotReady,
)
from predictor.evaluation.classes import Classes
from predictor.evaluation.tune import sample
from predictor.runtime.evaluations import Step
from predictor.runtime.optimisations import check_source
from predictor.runtime.worker import Worker
from predictor.store.lookup import not_served
from predictor.store.registry import ModelVersion
from predictor.web import (
    labelled_images,
    model_schemas,
    optimisation_schemas,
    pages,
    schemas,
    steps,
)
from predictor.web.access import require_admin
from predictor.web.models import model_name, published_answer, small_body
from predictor.web.openapi import OF_LABELLED_IMAGES, TEXT, operation

NAME = "optimisations"
"""The blueprint's name."""

FIELD = "images"
"""The field of the images."""
_SHEET = "optimise_sheet.html"


def blueprint(worker: Worker) -> Blueprint:
    """Routes of the optimisations."""
    routes = Blueprint(NAME, __name__)
    _optimise(routes, worker)
    _publish(routes, worker)
    return routes


def _optimise(routes: Blueprint, worker: Worker) -> None:
    @routes.get("/models/<name>/optimise")
    @operation(
        name="show_optimise_page",
        tag="Models",
        path=model_schemas.ModelPath,
        answers={"text/html": TEXT},
        errors=(InvalidRequest, ModelNotFound),
    )
    def show(name: str) -> str:
        """Show the page that makes a model faster."""
        worker.registry.name(model_name(name))
        return render(worker, name=name)

    @routes.post("/models/<name>/optimise")
    @operation(
        name="optimise_model",
        tag="Models",
        path=model_schemas.ModelPath,
        bodies={"multipart/form-data": optimisation_schemas.OptimiseForm},
        answers={"application/json": optimisation_schemas.Optimisation, steps.LINES: TEXT},
        errors=OF_LABELLED_IMAGES,
    )
    def optimise(name: str) -> Response:
        """Make faster forms of a model, and prove their speed and accuracy on images.

        Half of the images show the ranges of numbers, the other half judges. Nothing is changed: publish the
        recommended form with `POST /models/<name>/optimise/publish`. With `Accept: application/x-ndjson` the
        answer reports the progress.
        """
        require_admin(request, worker.settings)
        known = model_name(name)
        worker.registry.name(known)  # before any image is received
        with ExitStack() as held:
            begun = _begun(worker, known, held)
            return steps.answer(begun, held, lambda report: render(worker, name=known, report=report), _SHEET)


def _publish(routes: Blueprint, worker: Worker) -> None:
    @routes.post("/models/<name>/optimise/publish")
    @operation(
        name="publish_optimised",
        tag="Models",
        path=model_schemas.ModelPath,
        bodies={
            "application/json": optimisation_schemas.PublishRequest,
            "application/x-www-form-urlencoded": optimisation_schemas.PublishRequest,
        },
        answers={"application/json": model_schemas.Uploaded},
        errors=OF_LABELLED_IMAGES,
    )
    def publish(name: str) -> Response:
        """Publish the recommended faster form of a version as a new version.

        It is checked like any upload; its report holds the proof. A rollback brings the original back.
        """
        require_admin(request, worker.settings)
        sender = request.remote_addr
        asked: optimisation_schemas.PublishRequest = small_body(
            optimisation_schemas.PublishRequest, empty=b"{}"
        )
        version = _version(worker, model_name(name), asked.version)
        published = worker.optimisations.publish(
            version, sender, digest=asked.digest, force=bool(asked.force)
        )
        return published_answer(worker, published)


def render(worker: Worker, **shown: Any) -> str:
    """The page.

    Args:
        worker: whose models can be made faster.
        shown: `name` of the model, and what came of a request: `report` or `problem`.
    """
    repeatable = pages.repeatable(shown.get("problem"))
    name = shown.get("name") or (request.view_args or {}).get("name", "")
    return render_template(
        "optimise.html",
        known=name in worker.registry.read().names,
        **({"report": None, "problem": None} | shown | {"name": name, "repeatable": repeatable}),
        limits={"max_mb": worker.settings.max_model_mb},
        protected=bool(worker.settings.admin_tokens),
    )


def _begun(worker: Worker, name: str, held: ExitStack) -> Iterator[Step]:
    """Receive the images and begin."""
    folder = held.enter_context(worker.transactions.staging.new_folder())
    sent = labelled_images.receive(worker.settings, folder, optimisation_schemas.OptimiseRequest, field=FIELD)
    model = worker.engine.model(name, sent.fields.version)
    images = sample(sent.images, sent.fields.limit, Classes(model.spec.labels))
    check_source(worker.report(model.version))
    if worker.device is None:
        raise NotReady("The service is still starting; try again.")
    work = worker.optimisations.optimise(model, images, sent.fields.max_loss / 100, worker.device)
    return steps.begun(work, held, {"model": schemas.model_json(model.version)})


def _version(worker: Worker, name: str, version: int | None) -> ModelVersion:
    number = version or (known := worker.registry.name(name)).live
    if number is None:
        raise not_served(name, known)
    return worker.registry.version(name, number)
