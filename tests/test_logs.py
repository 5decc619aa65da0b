"""Log lines can be read by machines or by people."""

import json
import logging

import pytest

from predictor.logs import FIELDS, JsonFormatter, LineHandler, TextFormatter, write


def record(**extra: object) -> logging.LogRecord:
    """A record with fields of its own."""
    made = logging.LogRecord("predictor.request", logging.INFO, "file", 1, "a %s", ("request",), None)
    setattr(made, FIELDS, extra)
    return made


def test_json() -> None:
    """A JSON line holds message and fields, and stays one line whatever they contain."""
    line = JsonFormatter().format(record(path="/a\nb", status=200))

    assert "\n" not in line
    values = json.loads(line)
    assert (values["message"], values["path"], values["status"]) == ("a request", "/a\nb", 200)
    assert values["level"] == "info"


def test_exception() -> None:
    """The reason of a failure stands in the same line."""
    made = record()
    made.exc_info = (ValueError, ValueError("reason"), None)

    assert "reason" in json.loads(JsonFormatter().format(made))["exception"]


def test_text() -> None:
    """A text line ends with the fields."""
    assert TextFormatter().format(record(status=200)).endswith("INFO a request status=200")


def test_forged_text() -> None:
    """What a caller sends never looks like a line of ours."""
    line = TextFormatter().format(record(path="/a\n2026-01-01 00:00:00,000 INFO request status=200"))

    assert len(line.splitlines()) == 1


def test_without_a_record(capfd: pytest.CaptureFixture[str]) -> None:
    """A line with fields is the same whether a record was made for it or not."""
    log = logging.getLogger("predictor.request")
    handler = LineHandler()
    handler.setFormatter(JsonFormatter())
    before, level = logging.root.handlers, logging.root.level
    logging.root.handlers = [handler]
    # Not by the attribute: loggers keep what they found of the levels above them until `setLevel`.
    logging.root.setLevel(logging.INFO)
    try:
        write(log, "request", {"path": "/a", "status": 200})
        logging.root.handlers = [handler, logging.NullHandler()]
        write(log, "request", {"path": "/a", "status": 200})
    finally:
        logging.root.handlers = before
        logging.root.setLevel(level)

    lines = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    first, second = ({name: value for name, value in line.items() if name != "time"} for line in lines)
    assert first == second
    assert first["status"] == 200
