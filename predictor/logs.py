"""Log lines: JSON objects, or plain text, on standard output; the same for the server and the service."""

import logging
import os
import time
from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from pydantic_core import to_json

FIELDS = "fields"
"""The key of `extra` under which a record carries fields of its own."""


# What no line shows need not be looked up for each.
logging.logThreads = False
logging.logMultiprocessing = False


def write(log: logging.Logger, message: str, fields: Mapping[str, Any], level: int = logging.INFO) -> None:
    """Write a line with fields, without the cost of finding out who called."""
    if log.isEnabledFor(level):
        log.handle(log.makeRecord(log.name, level, "", 0, message, (), None, None, {FIELDS: fields}))


def _iso(seconds: float) -> str:
    """Seconds since 1970 as ISO 8601, to the millisecond."""
    return f"{_second(int(seconds))}.{int(seconds % 1 * 1000):03d}+00:00"


@lru_cache(maxsize=2)
def _second(whole: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(whole))


class LineHandler(logging.Handler):
    """Writes each line to standard output in one system call, so that lines of up to a page do not mix."""

    def emit(self, record: logging.LogRecord) -> None:
        """Write a record."""
        try:
            os.write(1, (self.format(record) + "\n").encode(errors="backslashreplace"))
        except Exception:  # noqa: BLE001 (a handler never raises: whoever logs must not fail)
            self.handleError(record)


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the record's fields, the exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        fields: Mapping[str, Any] = getattr(record, FIELDS, {})
        if record.exc_info:
            fields = {**fields, "exception": self.formatException(record.exc_info)}
        line = {
            "time": _iso(record.created),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": os.getpid(),
            "message": record.getMessage(),
            **fields,
        }
        return to_json(line, fallback=str).decode()


class TextFormatter(logging.Formatter):
    """A line for people: time, level, message, and the fields as `name=value`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        fields = getattr(record, FIELDS, {})
        return " ".join(
            [super().format(record), *(f"{name}={_shown(value)}" for name, value in fields.items())]
        )


def _shown(value: object) -> str:
    """A value in one line: a caller's text must not look like lines of ours."""
    text = str(value)
    return text if text.isprintable() else ascii(text)


def configuration(style: str | None, level: str = "info") -> dict[str, Any]:
    """A `logging.config` dictionary that sends everything to standard output.

    Args:
        style: `json` or `text`; None for text where standard output is a terminal, and JSON elsewhere.
        level: `debug`, `info`, `warning` or `error`. What other libraries say at `debug` stays out: it holds
            URLs and parts of images.
    """
    style = style or ("text" if os.isatty(1) else "json")
    own = level.upper()
    formatter = JsonFormatter if style == "json" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {"stdout": {"()": LineHandler, "formatter": "line"}},
        "root": {"level": "INFO" if own == "DEBUG" else own, "handlers": ["stdout"]},
        "loggers": {
            "predictor": {"level": own},
            "gunicorn.error": {"level": own, "propagate": True, "handlers": []},
        },
    }
