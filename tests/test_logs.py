"""Log lines can be read by machines or by people."""

import json
import logging

from predictor.logs import FIELDS, JsonFormatter, TextFormatter


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
