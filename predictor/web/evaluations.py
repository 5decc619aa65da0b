"""Evaluations over HTTP: the page, and what it and scripts send images to."""

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack
from typing import Any

from flask import Blueprint, Response, render_template, request

from predictor.evaluation.classes import Classes
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.presentation import csv_text
from predictor.evaluation.tune import sample
from predictor.inference.loader import LoadedModel
from predictor.runtime.evaluations import Step
from predictor.runtime.worker import Worker
from predictor.store.state import Name
from predictor.web import labelled_images, report_schemas, schemas, steps
from predictor.web.access import require_admin
from predictor.web.openapi import OF_LABELLED_IMAGES, TEXT, operation
from predictor.web.steps import CSV, LINES

NAME = "evaluations"
"""The blueprint's name."""

TUNED = 300
"""Most images on which preprocessings are tried unless the request says otherwise."""

_BODIES = {"multipart/form-data": report_schemas.EvaluationForm}

Work = Callable[[LoadedModel, Sequence[LabelledImage], Any], Generator[Step, None, None]]


def blueprint(worker: Worker) -> Blueprint:
    """Routes of the evaluations."""
    routes = Blueprint(NAME, __name__)
    _page(routes, worker)
    _evaluate(routes, worker)
    _tune(routes, worker)
    return routes


def _page(routes: Blueprint, worker: Worker) -> None:
    @routes.get("/evaluate")
    @operation(name="show_evaluate_page", tag="Evaluation", answers={"text/html": TEXT})
    def show() -> str:
        """Show the evaluate page."""
        return render(worker)


def _evaluate(routes: Blueprint, worker: Worker) -> None:
    @routes.post("/evaluate")
    @operation(
        name="evaluate",
        tag="Evaluation",
        bodies=_BODIES,
        answers={"application/json": report_schemas.Evaluation, LINES: TEXT, CSV: TEXT},
        errors=OF_LABELLED_IMAGES,
    )
    def evaluate() -> Response:
        """Evaluate a model on labelled images.

        Send a ZIP file of class folders, of images with a CSV file of their classes, or of images whose
        names begin with their class. With `Accept: application/x-ndjson` the answer reports the progress, and
        with `Accept: text/csv` it has a line for each image.
        """
        return _answer(worker, evaluated, csv=lambda report: csv_text(report["images"]))

    def evaluated(
        model: LoadedModel, images: Sequence[LabelledImage], asked: report_schemas.EvaluationRequest
    ) -> Generator[Step, None, None]:
        return worker.evaluations.evaluate(
            model, images, thumbnails=steps.wants_thumbnails(), precision=asked.precision
        )


def _tune(routes: Blueprint, worker: Worker) -> None:
    @routes.post("/tune")
    @operation(
        name="tune",
        tag="Evaluation",
        bodies=_BODIES,
        answers={"application/json": report_schemas.Ranking, LINES: TEXT},
        errors=OF_LABELLED_IMAGES,
    )
    def tune() -> Response:
        """Find the preprocessing with which a model is most accurate.

        Tries plausible preprocessings on the images and ranks them by accuracy, or without labels by mean
        confidence. Publish the best one with `POST /models/<name>/preprocessing`.
        """
        return _answer(worker, tuned, TUNED)

    def tuned(model: LoadedModel, images: Sequence[LabelledImage], _: object) -> Generator[Step, None, None]:
        return worker.evaluations.tune(model, images)


def render(worker: Worker, **shown: Any) -> str:
    """The page.

    Args:
        worker: whose models can be evaluated.
        shown: what came of a request: `report` or `problem`.
    """
    settings = worker.settings
    known = sorted(worker.registry.read().names.items())
    return render_template(
        "evaluate.html",
        names={name: _choice(one) for name, one in known if one.live},
        limits={"max_mb": settings.max_model_mb, "tuned": TUNED},
        protected=bool(settings.admin_tokens),
        **({"report": None, "problem": None} | shown),
    )


def _choice(known: Name) -> dict[str, Any]:
    """What can be chosen of a model: its live version, and all that may serve, the newest first."""
    return {"live": known.live, "versions": [one for one in reversed(known.versions) if known.good(one)]}


def _answer(worker: Worker, work: Work, limit: int | None = None, csv: steps.Page | None = None) -> Response:
    require_admin(request, worker.settings)
    with ExitStack() as held:
        begun = _begun(worker, work, limit, held)
        return steps.answer(begun, held, lambda report: render(worker, report=report), csv=csv)


def _begun(worker: Worker, work: Work, limit: int | None, held: ExitStack) -> Iterator[Step]:
    """Receive the images and begin."""
    folder = held.enter_context(worker.transactions.staging.new_folder())
    received = labelled_images.receive(worker.settings, folder, report_schemas.EvaluationRequest)
    asked = received.fields
    model = worker.engine.model(asked.model, asked.version)
    images = sample(received.images, asked.limit or limit, Classes(model.spec.labels))
    return steps.begun(work(model, images, asked), held, {"model": schemas.model_json(model.version)})
