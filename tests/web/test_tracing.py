"""Traces are sent only where the variables of OpenTelemetry ask for what the service can do."""

import logging
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient

from predictor.web import tracing

ENDPOINT = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:4318"}
TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
# Builds the application, predicts, and says which packages that has taken.
_PROGRAM = """
import os, pathlib, sys
from predictor.app import create_app
from predictor.config import Settings
client = create_app(Settings(data=pathlib.Path(sys.argv[1]), device="cpu")).test_client()
assert client.post("/predict", data=pathlib.Path(sys.argv[2]).read_bytes()).status_code == 200
print(sorted({name.split(".")[0] for name in sys.modules} & {"opentelemetry", "google"}))
"""


def test_off(tmp_path: Path, cat: Path) -> None:
    """Without those variables nothing of OpenTelemetry is imported, although it is installed."""
    words = [str(word) for word in (sys.executable, "-c", _PROGRAM, tmp_path / "data", cat)]
    done = subprocess.run(words, capture_output=True, text=True, check=True, timeout=120)

    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    "environment",
    [
        {},
        {"OTEL_SERVICE_NAME": "mine"},
        ENDPOINT | {"OTEL_SDK_DISABLED": "TRUE"},
        ENDPOINT | {"OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_not_wanted(environment: Mapping[str, str], caplog: pytest.LogCaptureFixture) -> None:
    """Variables that name no receiver, or switch traces off, change nothing."""
    app = Flask(__name__)
    tracing.init_app(app, environment)

    assert app.after_request_funcs == {}
    assert caplog.records == []


@pytest.mark.parametrize(
    ("environment", "named"),
    [
        ({"OTEL_TRACES_EXPORTER": "console"}, "OTEL_TRACES_EXPORTER"),
        ({"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
        ({"OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}, "OTEL_EXPORTER_OTLP_PROTOCOL"),
    ],
)
def test_other_wishes(environment: Mapping[str, str], named: str, caplog: pytest.LogCaptureFixture) -> None:
    """What the service cannot do is said in one line, and the service goes on without traces."""
    app = Flask(__name__)
    with caplog.at_level(logging.WARNING):
        tracing.init_app(app, {**ENDPOINT, **environment})

    assert app.after_request_funcs == {}
    (line,) = caplog.messages
    assert named in line


def test_packages_missing(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """Without the packages one line names them."""
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with caplog.at_level(logging.WARNING):
        tracing.init_app(Flask(__name__), ENDPOINT)

    assert "pip install opentelemetry-sdk" in caplog.text


def test_impossible_value(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    """A value that OpenTelemetry cannot read stops nothing; one line says so."""
    monkeypatch.setenv("OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT", "many")
    app = Flask(__name__)
    with caplog.at_level(logging.WARNING):
        tracing.init_app(app, ENDPOINT)

    assert app.after_request_funcs == {}
    assert "OTEL_" in caplog.text


@pytest.mark.parametrize(
    ("given", "trace"),
    [
        (f"00-{TRACE}-{SPAN}-01", TRACE),
        (f"00-{TRACE}-{SPAN}-00", TRACE),
        (f"01-{TRACE}-{SPAN}-01-more", TRACE),
        (f"ff-{TRACE}-{SPAN}-01", None),
        (f"00-{'0' * 32}-{SPAN}-01", None),
        (f"00-{TRACE}-{'0' * 16}-01", None),
        (f"00-{TRACE.upper()}-{SPAN}-01", None),
        (f"00-{TRACE}", None),
        ("", None),
    ],
)
def test_request_id(client: FlaskClient, given: str, trace: str | None) -> None:
    """A request of a trace has the trace's id as its own; what is no trace gets a new id."""
    found = client.get("/healthz", headers={"traceparent": given}).headers["X-Request-ID"]

    assert (found == TRACE) == (trace is not None)
    assert len(found) == 32


def test_own_request_id(client: FlaskClient) -> None:
    """A request id that the caller names goes before the trace's."""
    headers = {"traceparent": f"00-{TRACE}-{SPAN}-01", "X-Request-ID": "mine-1"}

    assert client.get("/healthz", headers=headers).headers["X-Request-ID"] == "mine-1"
