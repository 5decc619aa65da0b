"""Until when the answer to a request is wanted, and whether its client is still connected."""

import socket
from functools import partial

from flask import Request
from pydantic import BaseModel, ConfigDict, Field

from predictor.config import Settings
from predictor.errors import InvalidRequest
from predictor.inference.admission import Deadline

DEADLINE = "X-Request-Deadline-Ms"
MAX_MILLISECONDS = 3_600_000


class Headers(BaseModel):
    """Headers that a prediction heeds."""

    model_config = ConfigDict(populate_by_name=True)

    deadline: int | None = Field(
        None,
        alias="X-Request-Deadline-Ms",
        ge=1,
        le=MAX_MILLISECONDS,
        description="Deadline in milliseconds: an image that cannot begin to run by "
        "then is refused with 503.",
    )


def of_request(request: Request, settings: Settings) -> Deadline:
    """The deadline of a request.

    Raises:
        InvalidRequest: it names a deadline that is none.
    """
    timeout = settings.deadline_seconds
    if (given := request.headers.get(DEADLINE)) is not None:
        timeout = _milliseconds(given) / 1000
    connection = _connection(request)
    if connection is None:
        return Deadline(timeout)
    return Deadline(timeout, partial(_disconnected, connection))


def check_connected(request: Request) -> None:
    """Check that the client still waits for the answer to a request whose body has been read.

    Raises:
        InvalidRequest: the other end has closed the connection.
    """
    connection = _connection(request)
    if connection is not None and _disconnected(connection):
        raise InvalidRequest("The request was cancelled because the client closed the connection.")


def _connection(request: Request) -> socket.socket | None:
    connection: socket.socket | None = request.environ.get("gunicorn.socket")
    return connection


def _milliseconds(text: str) -> int:
    if not (text.isascii() and text.isdecimal() and 1 <= int(text[:9]) <= MAX_MILLISECONDS and len(text) < 9):
        raise InvalidRequest(f"{DEADLINE} must be a whole number from 1 to {MAX_MILLISECONDS}.")
    return int(text)


def _disconnected(connection: socket.socket) -> bool:
    """Whether the other end has closed the connection."""
    try:
        return connection.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT) == b""
    except BlockingIOError:
        return False
    except ValueError:  # an encrypted connection cannot be looked into like that
        return False
    except OSError:
        return True
