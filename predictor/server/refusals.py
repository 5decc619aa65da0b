"""Answers to what gunicorn cannot read as HTTP, in the form of all other errors of the service."""

from http import HTTPStatus

from gunicorn.http import errors
from pydantic_core import to_json

from predictor.errors import Internal, InvalidRequest
from predictor.problem import SAFE_HEADERS, document

_REASONS: tuple[tuple[type[Exception], HTTPStatus, str], ...] = (
    (errors.LimitRequestLine, HTTPStatus.REQUEST_URI_TOO_LONG, "The URL is too long."),
    (
        errors.LimitRequestHeaders,
        HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE,
        "There are too many headers, or they are too long.",
    ),
    (errors.ExpectationFailed, HTTPStatus.EXPECTATION_FAILED, "This Expect header is not supported."),
    (
        errors.UnsupportedTransferCoding,
        HTTPStatus.NOT_IMPLEMENTED,
        "This Transfer-Encoding is not supported.",
    ),
    (errors.ParseException, HTTPStatus.BAD_REQUEST, "Malformed HTTP request."),
)
_FAILED = (
    HTTPStatus.INTERNAL_SERVER_ERROR,
    "The service failed; its log has the reason under the request id.",
)


def refusal(cause: BaseException, request_id: str) -> tuple[HTTPStatus, bytes]:
    """The status and the whole answer for a request that could not be read; it ends the connection."""
    status, detail = next(
        ((status, text) for kind, status, text in _REASONS if isinstance(cause, kind)), _FAILED
    )
    error = Internal if status == HTTPStatus.INTERNAL_SERVER_ERROR else InvalidRequest
    body = to_json(document(error.code, error.title, status, detail, request_id))
    headers = [
        ("Connection", "close"),
        ("Content-Type", "application/problem+json"),
        ("Content-Length", str(len(body))),
        ("X-Request-ID", request_id),
        *SAFE_HEADERS,
    ]
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", *(": ".join(header) for header in headers)]
    return status, "\r\n".join([*lines, "", ""]).encode() + body
