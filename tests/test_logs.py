"""Log lines can be read by machines or by people."""

import json
import logging
import os
import subprocess
import sys

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


@pytest.mark.parametrize(
    ("style", "terminal", "json_line"),
    [(None, True, False), (None, False, True), ("json", True, True), ("text", False, False)],
)
def test_style(style: str | None, *, terminal: bool, json_line: bool) -> None:
    """Lines are text on a terminal and JSON elsewhere, unless the setting says."""
    program = (
        "import logging.config\n"
        "from predictor.logs import configuration\n"
        f"logging.config.dictConfig(configuration({style!r}))\n"
        "logging.getLogger('predictor').info('hello')\n"
    )
    reader, writer = os.openpty() if terminal else os.pipe()
    subprocess.run([sys.executable, "-c", program], stdout=writer, check=True)
    line = os.read(reader, 4096)
    os.close(reader)
    os.close(writer)

    assert line.startswith(b"{") is json_line
    assert b"hello" in line


def test_write(capfd: pytest.CaptureFixture[str]) -> None:
    """A line with fields goes to standard output by the handlers that are configured."""
    log = logging.getLogger("predictor.request")
    handler = LineHandler()
    handler.setFormatter(JsonFormatter())
    before, level = logging.root.handlers, logging.root.level
    logging.root.handlers = [handler]
    # Not by the attribute: loggers keep what they found of the levels above them until `setLevel`.
    logging.root.setLevel(logging.INFO)
    try:
        write(log, "request", {"path": "/a", "status": 200})
    finally:
        logging.root.handlers = before
        logging.root.setLevel(level)

    (line,) = [json.loads(line) for line in capfd.readouterr().out.splitlines()]
    assert (line["level"], line["logger"], line["message"]) == ("info", "predictor.request", "request")
    assert (line["path"], line["status"]) == ("/a", 200)


@pytest.mark.parametrize(
    ("level", "shown"),
    [
        ("debug", ["own debug", "own info", "own error", "server info", "foreign info", "foreign error"]),
        ("info", ["own info", "own error", "server info", "foreign info", "foreign error"]),
        ("warning", ["own error", "foreign error"]),
        ("error", ["own error", "foreign error"]),
    ],
)
def test_level(level: str, shown: list[str]) -> None:
    """The level covers the service, its requests and gunicorn; other libraries say nothing at debug."""
    program = (
        "import logging, logging.config\n"
        "from predictor import logs\n"
        f"logging.config.dictConfig(logs.configuration('text', {level!r}))\n"
        "own, server, foreign = map(logging.getLogger, ('predictor.request', 'gunicorn.error', 'urllib3'))\n"
        "logs.write(own, 'own debug', {}, logging.DEBUG)\n"
        "logs.write(own, 'own info', {})\n"
        "own.error('own error')\n"
        "server.info('server info')\n"
        "foreign.debug('foreign debug')\n"
        "foreign.info('foreign info')\n"
        "foreign.error('foreign error')\n"
    )

    output = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    ).stdout

    assert [" ".join(line.split()[-2:]) for line in output.splitlines()] == shown
