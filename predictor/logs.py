"""Log lines: JSON objects, or plain text, on standard output; the same for the server and the service."""

import json
import logging
from datetime import UTC, datetime
from typing import Any

FIELDS = "fields"
"""The key of `extra` under which a record carries fields of its own."""


class JsonFormatter(logging.Formatter):
    """One JSON object a line: time, level, logger, message, the record's fields, the exception."""

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
            **getattr(record, FIELDS, {}),
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, separators=(",", ":"))


class TextFormatter(logging.Formatter):
    """A line for people: time, level, message, and the fields as `name=value`."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s %(levelname)s %(message)s")

    def format(self, record: logging.LogRecord) -> str:
        """Write a record."""
        fields = getattr(record, FIELDS, {})
        return " ".join([super().format(record), *(f"{name}={value}" for name, value in fields.items())])


def configuration(style: str) -> dict[str, Any]:
    """A `logging.config` dictionary that sends everything to standard output.

    Args:
        style: `json` or `text`.
    """
    formatter = JsonFormatter if style == "json" else TextFormatter
    return {
        "version": 1,
        "disable_existing_loggers": False,
        "formatters": {"line": {"()": formatter}},
        "handlers": {
            "stdout": {"class": "logging.StreamHandler", "formatter": "line", "stream": "ext://sys.stdout"}
        },
        "root": {"level": "INFO", "handlers": ["stdout"]},
        "loggers": {"gunicorn.error": {"level": "INFO", "propagate": True, "handlers": []}},
    }
