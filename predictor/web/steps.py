"""Work that tells its progress -> an answer: a line for each step, the report as JSON or CSV, or a page."""

import itertools
import json
import logging
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import ExitStack, closing
from typing import Any

from flask import Response, jsonify, render_template, request, stream_with_context

from predictor.errors import Internal, PredictorError
from predictor.evaluation.runner import Notice, Progress
from predictor.runtime.evaluations import Step
from predictor.web import middleware
from predictor.web.flask_app import problem_json, wants_page

LINES = "application/x-ndjson"
"""The type of an answer that tells its progress: a JSON object a line."""
CSV = "text/csv"
"""The type of an answer that has a line for each image."""

_JSON = "application/json"
_LINE_SECONDS = 0.2

Page = Callable[[dict[str, Any]], str]
"""Renders the page for a report."""

log = logging.getLogger(__name__)


def answer(
    steps: Iterator[Step],
    held: ExitStack,
    page: Page,
    sheet: str = "evaluate_sheet.html",
    csv: Callable[[dict[str, Any]], str] | None = None,
) -> Response:
    """Answer the present request in the form that it wants.

    Args:
        steps: the steps of the work, the report last.
        held: what is to be closed at the end; the caller closes what is left in it.
        page: renders the page for a browser that has no scripts.
        sheet: the template of the part of the page that shows a report.
        csv: makes CSV of a report; None where the route has no such form.
    """
    if _prefers(LINES):
        return _streamed(steps, held.pop_all(), sheet)
    *_, report = steps
    if wants_page():
        return Response(page(report), mimetype="text/html")  # type: ignore[arg-type]
    if csv is not None and _prefers(CSV):
        return Response(csv(report), content_type=f"{CSV}; charset=utf-8")  # type: ignore[arg-type]
    return jsonify(report)


def wants_thumbnails() -> bool:
    """Whether the answer is to be looked at, so that it has small copies of images."""
    return wants_page() or (_prefers(LINES) and "text/html" in request.accept_mimetypes.values())


def begun(work: Generator[Step, None, None], held: ExitStack, about: Mapping[str, Any]) -> Iterator[Step]:
    """Begin work, so that what forbids all of it is said by the answer's status.

    Args:
        work: tells its steps.
        held: closes the work, unless it came to its end.
        about: what the report says first.

    Returns:
        The steps, as long as the sender of the request waits for them.
    """
    steps = _waited_for(held.enter_context(closing(work)), about)
    return itertools.chain([next(steps)], steps)


def _waited_for(steps: Iterator[Step], about: Mapping[str, Any]) -> Iterator[Step]:
    for step in steps:
        middleware.check_connected(request)
        yield {**about, **step} if isinstance(step, dict) else step


def _prefers(kind: str) -> bool:
    return request.accept_mimetypes.quality(kind) > request.accept_mimetypes.quality(_JSON)


def _streamed(steps: Iterator[Step], held: ExitStack, sheet: str) -> Response:
    template = sheet if wants_thumbnails() else None
    response = Response(stream_with_context(map(_line, _told(steps, template))), mimetype=LINES)
    response.call_on_close(held.close)
    # A proxy passes each line on as it comes.
    response.headers["X-Accel-Buffering"] = "no"
    return response


def _told(steps: Iterator[Step], sheet: str | None) -> Iterator[dict[str, Any]]:
    """What is noticed, the progress now and then, and at last the report or what went wrong."""
    due = 0.0
    try:
        for step in steps:
            if isinstance(step, Notice):
                yield {"notice": step.sentence}
            elif not isinstance(step, Progress):
                html = {"html": render_template(sheet, report=step)} if sheet else {}
                yield {"report": step, **html}
            elif time.monotonic() >= due:
                due = time.monotonic() + _LINE_SECONDS
                yield {"progress": {"done": step.done, "of": step.of}}
    except PredictorError as error:
        yield {"error": problem_json(error)}
    except Exception:
        log.exception("The work of a request failed")
        yield {"error": problem_json(Internal("The service failed; its log has the reason."))}


def _line(value: dict[str, Any]) -> str:
    return json.dumps(value) + "\n"
