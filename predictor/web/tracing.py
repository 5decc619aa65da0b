"""Traces of requests, sent to a receiver of OpenTelemetry (OTLP over HTTP), if its variables name one.

The packages of the extra `tracing` are imported only then, in each worker, so that the thread that sends
starts after the fork. A trace is made of what was measured anyway, once the answer is known.
"""

import logging
import os
import time
from collections.abc import Iterator, Mapping
from functools import partial
from typing import TYPE_CHECKING

from flask import Flask, Request, Response

from predictor import __version__
from predictor.inference.prediction import Outcome
from predictor.web.middleware import RequestContext, current_context, current_request, is_routine

if TYPE_CHECKING:
    from opentelemetry.trace import Tracer

NAME = "image-prediction-api"
"""What the service is called in traces, unless OpenTelemetry's variables say otherwise."""

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_TIMEOUTS = ("OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_EXPORTER_OTLP_TIMEOUT")
_HTTP = "http/protobuf"
_SECONDS = 2.0

log = logging.getLogger(__name__)


def init_app(app: Flask, environment: Mapping[str, str] = os.environ) -> None:
    """Send a trace of each request if the variables of OpenTelemetry name a receiver.

    Args:
        app: the application.
        environment: the variables.
    """
    if not _wanted(environment):
        return
    if problem := _problem(environment):
        log.warning("No traces are sent: %s", problem)
        return
    try:
        tracer = _tracer(environment)
    except ImportError:
        log.warning(
            "No traces are sent: pip install opentelemetry-sdk opentelemetry-exporter-otlp-proto-http"
        )
        return
    except ValueError:
        log.warning(
            "No traces are sent: a variable of OpenTelemetry (OTEL_...) has a value that cannot be used"
        )
        return

    @app.after_request
    def end(response: Response) -> Response:
        asked = current_request()
        if not is_routine(asked, response.status_code):
            _record(tracer, asked, response.status_code, current_context())
        return response


def _wanted(environment: Mapping[str, str]) -> bool:
    """Whether traces are to be sent, as OpenTelemetry's specification of its variables has it."""
    off = environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    exporters = environment.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp"
    return not off and exporters != "none" and any(environment.get(name) for name in _ENDPOINTS)


def _problem(environment: Mapping[str, str]) -> str | None:
    """Why the variables cannot be followed."""
    if (exporter := environment.get("OTEL_TRACES_EXPORTER", "").strip() or "otlp") != "otlp":
        return f"OTEL_TRACES_EXPORTER must be otlp or none, not {exporter[:40]!r}."
    protocol = next((environment[name] for name in _PROTOCOLS if environment.get(name)), _HTTP)
    if protocol != _HTTP:
        return f"OTEL_EXPORTER_OTLP_PROTOCOL must be {_HTTP}, not {protocol[:40]!r}; port 4318 has it."
    return None


def _tracer(environment: Mapping[str, str]) -> "Tracer":
    """What makes traces, and the thread that sends them; both read their variables themselves."""
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import OTELResourceDetector, Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    own = Resource.create({"service.name": NAME, "service.version": __version__, "process.pid": os.getpid()})
    provider = TracerProvider(resource=own.merge(OTELResourceDetector().detect()))
    # A worker that stops waits for its last spans: by default ten seconds, if the receiver is away.
    timeout = None if any(environment.get(name) for name in _TIMEOUTS) else _SECONDS
    provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(timeout=timeout)))
    return provider.get_tracer("predictor", __version__)


def _record(tracer: "Tracer", asked: Request, status: int, state: RequestContext) -> None:
    """Make the spans of a request that is answered, and of each phase of each of its images."""
    from opentelemetry import trace
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    clock = partial(_since_1970, time.time_ns() - time.perf_counter_ns())
    route = asked.url_rule.rule if asked.url_rule else None
    span = tracer.start_span(
        f"{asked.method} {route}" if route else "HTTP",
        TraceContextTextMapPropagator().extract(_carrier(asked)),
        trace.SpanKind.SERVER,
        _attributes(asked, route, status, state),
        start_time=clock(state.start),
    )
    if span.is_recording():
        if status >= 500:
            span.set_status(trace.StatusCode.ERROR)
        inside = trace.set_span_in_context(span)
        for name, start, end, image in _phases(state.outcome):
            attributes = {"predictor.image": image}
            tracer.start_span(name, inside, attributes=attributes, start_time=clock(start)).end(clock(end))
    span.end()


def _carrier(asked: Request) -> dict[str, str]:
    return {name: text for name in ("traceparent", "tracestate") if (text := asked.headers.get(name))}


def _attributes(
    asked: Request, route: str | None, status: int, state: RequestContext
) -> dict[str, str | int]:
    """What a span says of its request, by OpenTelemetry's conventions; no URL, file name or class."""
    found: dict[str, str | int] = {
        "http.response.status_code": status,
        "url.scheme": asked.scheme,
        "predictor.request_id": state.request_id,
    }
    if route:
        found |= {"http.request.method": asked.method, "http.route": route}
    if status >= 500:
        found["error.type"] = str(status)
    if state.outcome:
        version = state.outcome.model.version
        found |= {"predictor.model": version.name, "predictor.version": version.version}
    return found


def _phases(outcome: Outcome | None) -> Iterator[tuple[str, float, float, int]]:
    """Name, start and end of each phase, by the performance counter, and the number of its image."""
    for image, phases in enumerate(outcome.images if outcome else ()):
        for name, start in phases.starts.items():
            yield name, start, start + phases.seconds[name], image


def _since_1970(zero: int, moment: float) -> int:
    """A time of the performance counter in nanoseconds since 1970, where the counter was 0 at `zero`."""
    return zero + round(moment * 1e9)
