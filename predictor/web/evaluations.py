"""Evaluations over HTTP: the page, and what it and scripts send images to."""

import itertools
import json
import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flask import Blueprint, Response, jsonify, render_template, request, stream_with_context

from predictor.archives import is_archive
from predictor.config import MEGA
from predictor.errors import (
    Forbidden,
    ImageTooLarge,
    Internal,
    InvalidModel,
    InvalidRequest,
    ModelConflict,
    ModelNotFound,
    ModelTooLarge,
    NotReady,
    PredictorError,
    StorageFull,
    Unauthorized,
)
from predictor.evaluation import images
from predictor.evaluation.images import Files, Picture, labelled
from predictor.evaluation.runner import Progress
from predictor.evaluation.tune import sample
from predictor.inference.loader import LoadedModel
from predictor.runtime.evaluations import Step
from predictor.runtime.worker import Worker
from predictor.store.files import storage_errors
from predictor.web import evaluation_schemas, field_faults, forms, middleware, schemas
from predictor.web.access import require_admin
from predictor.web.flask_app import problem_json, wants_page
from predictor.web.openapi import TEXT, operation

NAME = "evaluations"
"""The blueprint's name."""

LINES = "application/x-ndjson"
"""The type of an answer that tells its progress: a JSON object a line."""

TUNED = 300
"""Most images on which preprocessings are tried unless the request says otherwise."""

_REST_BYTES = MEGA
_PARTS = 20_000
_NAME_LENGTH = 200
_LINE_SECONDS = 0.2
_ERRORS = (
    InvalidRequest, Unauthorized, Forbidden, ModelNotFound, ModelConflict, ModelTooLarge, InvalidModel,
    NotReady, StorageFull,
)  # fmt: skip

_BODIES = {"multipart/form-data": evaluation_schemas.EvaluationForm}

Work = Callable[[LoadedModel, Sequence[Picture]], Generator[Step, None, None]]

log = logging.getLogger(__name__)


def blueprint(worker: Worker) -> Blueprint:
    """Routes of the evaluations."""
    room = Blueprint(NAME, __name__)
    _page(room, worker)
    _evaluate(room, worker)
    _tune(room, worker)
    return room


def _page(room: Blueprint, worker: Worker) -> None:
    @room.get("/evaluate")
    @operation(name="show_evaluate_page", tag="Evaluation", answers={"text/html": TEXT})
    def show() -> str:
        """Show the evaluate page."""
        return render(worker)


def _evaluate(room: Blueprint, worker: Worker) -> None:
    @room.post("/evaluate")
    @operation(
        name="evaluate",
        tag="Evaluation",
        bodies=_BODIES,
        answers={"application/json": evaluation_schemas.Evaluation, LINES: TEXT},
        errors=_ERRORS,
    )
    def evaluate() -> Response:
        """Evaluate a model on labelled images.

        Send a ZIP file of class folders, of images with a CSV file of their classes, or of images whose
        names begin with their class. With `Accept: application/x-ndjson` the answer reports the progress.
        """
        return _answer(worker, worker.evaluations.evaluate, None)


def _tune(room: Blueprint, worker: Worker) -> None:
    @room.post("/tune")
    @operation(
        name="tune",
        tag="Evaluation",
        bodies=_BODIES,
        answers={"application/json": evaluation_schemas.Ranking, LINES: TEXT},
        errors=_ERRORS,
    )
    def tune() -> Response:
        """Find the preprocessing with which a model is most accurate.

        Tries plausible preprocessings on the images and ranks them by accuracy, or without labels by mean
        confidence. Publish the best one with `POST /models/<name>/preprocessing`.
        """
        return _answer(worker, worker.evaluations.tune, TUNED)


def render(worker: Worker, **shown: Any) -> str:
    """The page.

    Args:
        worker: whose models can be evaluated.
        shown: what came of a request: `report` or `problem`.
    """
    settings = worker.settings
    state = worker.registry.read()
    return render_template(
        "evaluate.html",
        names=sorted(name for name, known in state.names.items() if known.live),
        limits={"max_mb": settings.max_model_mb, "tuned": TUNED},
        protected=bool(settings.admin_tokens),
        **({"report": None, "problem": None} | shown),
    )


def _answer(worker: Worker, work: Work, limit: int | None) -> Response:
    require_admin(request, worker.settings)
    held = ExitStack()
    try:
        steps = _begun(worker, work, limit, held)
        if request.accept_mimetypes.quality(LINES) > request.accept_mimetypes.quality("application/json"):
            return _streamed(steps, held.pop_all())
        *_, report = steps
        if wants_page():
            return Response(render(worker, report=report), mimetype="text/html")
        return jsonify(report)
    finally:
        held.close()


def _begun(worker: Worker, work: Work, limit: int | None, held: ExitStack) -> Iterator[Step]:
    """Receive the images and begin, so that what forbids all of it is said by the answer's status."""
    folder = held.enter_context(worker.transactions.staging.new_folder())
    asked = _received(worker, folder, limit)
    model = worker.engine.model(asked.model, asked.version)
    steps = held.enter_context(closing(work(model, asked.pictures)))
    about = schemas.model_json(model.version)
    named = (step if isinstance(step, Progress) else {"model": about, **step} for step in _waited_for(steps))
    return itertools.chain([next(named)], named)


def _waited_for(steps: Iterator[Step]) -> Iterator[Step]:
    """The same, as long as the sender of the request waits for them."""
    for step in steps:
        middleware.check_connected(request)
        yield step


@dataclass(frozen=True)
class _Asked:
    model: str
    version: int | None
    pictures: list[Picture]


def _received(worker: Worker, folder: Path, limit: int | None) -> _Asked:
    settings = worker.settings
    with storage_errors():
        fields, files = forms.receive(
            request,
            folder,
            forms.Bounds(
                settings.max_model_bytes + _REST_BYTES,
                _PARTS,
                ModelTooLarge(f"The images may have at most {settings.max_model_mb:g} MB together."),
            ),
            field="pictures",
        )
    body = schemas.check(evaluation_schemas.EvaluationRequest, fields, strict=False)
    pictures = labelled(_files(files, settings.max_image_bytes), partial(middleware.check_connected, request))
    return _Asked(body.model, body.version, sample(pictures, body.limit or limit or len(pictures)))


def _files(files: Sequence[forms.ReceivedFile], max_bytes: int) -> Files:
    """What reads each file, by the name that its sender gave it."""
    if stray := next((file.field for file in files if file.field != "pictures"), None):
        raise InvalidRequest(f"{field_faults.shown(stray)}: name each file field pictures.")
    paths = [(file.filename[:_NAME_LENGTH], file.path) for file in files]
    if len(paths) == 1 and (paths[0][0].lower().endswith(".zip") or is_archive(paths[0][1])):
        return images.files_of(paths[0][1], max_bytes)
    return {name: partial(_read, path, max_bytes) for name, path in paths}


def _read(path: Path, max_bytes: int) -> bytes:
    if path.stat().st_size > max_bytes:
        raise ImageTooLarge(f"The file has more than {max_bytes} bytes.")
    return path.read_bytes()


def _streamed(steps: Iterator[Step], held: ExitStack) -> Response:
    sheet = "text/html" in request.accept_mimetypes.values()
    response = Response(stream_with_context(map(_line, _told(steps, sheet=sheet))), mimetype=LINES)
    response.call_on_close(held.close)
    # A proxy passes each line on as it comes.
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _told(steps: Iterator[Step], *, sheet: bool) -> Iterator[dict[str, Any]]:
    """The progress now and then, and at last the report or what went wrong."""
    due = 0.0
    try:
        for step in steps:
            if not isinstance(step, Progress):
                html = {"html": render_template("evaluate_sheet.html", report=step)} if sheet else {}
                yield {"report": step, **html}
            elif time.monotonic() >= due:
                due = time.monotonic() + _LINE_SECONDS
                yield {"progress": {"done": step.done, "of": step.of}}
    except PredictorError as error:
        yield {"error": problem_json(error)}
    except Exception:
        log.exception("An evaluation failed")
        yield {"error": problem_json(Internal("The service failed; its log has the reason."))}


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value) + "\n"
