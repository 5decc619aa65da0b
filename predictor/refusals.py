"""What the server refuses before the application sees it, in the form in which the application would.

Gunicorn answers what is no HTTP, or has too long headers, by a page of its own without any header.
"""

from http import HTTPStatus

from pydantic_core import to_json

from predictor.errors import Internal, InvalidRequest

SAFE_HEADERS = [
    # Pictures named by address are shown as a preview, so images may come from elsewhere; nothing else may.
    (
        "Content-Security-Policy",
        (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
            "img-src 'self' data: blob: http: https:; form-action 'self'; frame-ancestors 'none'"
        ),
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
]
"""Headers of every answer."""

_DETAILS = {
    HTTPStatus.FORBIDDEN: "The connection may not be used like this.",
    HTTPStatus.EXPECTATION_FAILED: "The request expects what the service does not offer.",
    HTTPStatus.REQUEST_URI_TOO_LONG: "The address is too long.",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "There are too many or too long headers.",
    HTTPStatus.NOT_IMPLEMENTED: "The request asks for a coding of its body that is not understood.",
    HTTPStatus.INTERNAL_SERVER_ERROR: "Something went wrong.",
}


def refusal(status: int, request_id: str) -> bytes:
    """A whole answer that refuses a request and ends its connection.

    Args:
        status: that the server has found.
        request_id: under which the log tells of it.
    """
    error = Internal if status == HTTPStatus.INTERNAL_SERVER_ERROR else InvalidRequest
    body = to_json(
        {
            "type": f"/docs#{error.code}",
            "title": error.title,
            "status": status,
            "detail": _DETAILS.get(HTTPStatus(status), "The request is no HTTP that can be understood."),
            "code": error.code,
            "request_id": request_id,
        }
    )
    headers = [
        ("Connection", "close"),
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("X-Request-ID", request_id),
        *SAFE_HEADERS,
    ]
    lines = [f"HTTP/1.1 {status} {HTTPStatus(status).phrase}", *(": ".join(header) for header in headers)]
    return "\r\n".join([*lines, "", ""]).encode() + body


class Caught:
    """Takes what would have been written to a client, to find out with which status."""

    def __init__(self) -> None:
        self._written = b""

    @property
    def status(self) -> int | None:
        """The status of the answer; None if there was none."""
        words = self._written.split(maxsplit=2)
        return int(words[1]) if len(words) > 1 else None

    def gettimeout(self) -> float:
        """Like a socket that never waits."""
        return 0.0

    def sendall(self, data: bytes) -> None:
        """Keep it."""
        self._written += data
