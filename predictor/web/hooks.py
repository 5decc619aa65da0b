"""Before and after each request: its id, its time, its log line, its metrics, safe headers."""

import logging
import re
import time
import uuid

from flask import Flask, Response, g, request

from predictor.logs import FIELDS
from predictor.runtime.metrics import Metrics

_ID = re.compile(r"[A-Za-z0-9._:-]{1,128}")
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
_HEADERS = {
    # Pictures named by address are shown as a preview, so images may come from elsewhere; nothing else may.
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob: http: https:; "
        "connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
}

log = logging.getLogger("predictor.request")


def init_app(app: Flask, metrics: Metrics) -> None:
    """Surround every request of the application."""

    @app.before_request
    def begin() -> None:
        g.start = time.perf_counter()
        given = request.headers.get("X-Request-ID", "")
        g.request_id = given if _ID.fullmatch(given) else uuid.uuid4().hex

    @app.after_request
    def end(response: Response) -> Response:
        seconds = time.perf_counter() - g.get("start", time.perf_counter())
        response.headers["X-Request-ID"] = g.get("request_id", "")
        for name, value in _HEADERS.items():
            response.headers.setdefault(name, value)
        if phases := g.get("phases"):
            response.headers["Server-Timing"] = server_timing(phases)
        _count(metrics, response, seconds)
        _write_line(response, seconds)
        return response


def server_timing(phases: dict[str, float]) -> str:
    """The header's value: each phase with its milliseconds, as the Server Timing standard writes it."""
    return ", ".join(f"{phase};dur={1000 * seconds:.2f}" for phase, seconds in phases.items())


def _count(metrics: Metrics, response: Response, seconds: float) -> None:
    # Only names that the service itself gave become labels: a client may send any method and path.
    method = request.method if request.method in _METHODS else "other"
    endpoint = request.endpoint or "none"
    metrics.requests.labels(method, endpoint, response.status_code).inc()
    metrics.request_seconds.labels(method, endpoint, response.status_code).observe(seconds)


def _write_line(response: Response, seconds: float) -> None:
    if not log.isEnabledFor(logging.INFO):
        return
    fields = {
        "request_id": g.get("request_id", ""),
        "method": request.method[:20],
        "path": request.path[:200],
        "status": response.status_code,
        "milliseconds": round(1000 * seconds, 2),
        "remote": request.remote_addr,
    }
    for phase, spent in g.get("phases", {}).items():
        fields[f"{phase}_ms"] = round(1000 * spent, 2)
    log.info("request", extra={FIELDS: fields})
