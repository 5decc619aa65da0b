"""What went wrong between the image's server and this one -> one sentence for the caller."""

import http.client
import ssl
from collections.abc import Iterator
from http import HTTPStatus

import urllib3.exceptions

from predictor.errors import FetchError, FetchFailed, FetchTimeout
from predictor.fetch.dial import LATE

UNTRUSTED = (
    "No secure connection to the server of the image URL: its certificate or TLS version is not accepted."
)
BROKEN = "The server of the image URL closed the connection early or sent an invalid HTTP response."
RESET = "The server of the image URL reset the connection before its answer was complete."

_STATUS = "The server of the image URL answered with status {}{}"
_HINTS = {
    204: ": it has no image.",
    206: ": it sent a part only.",
    401: ": it wants a login; give a signed URL or send the image itself.",
    403: ": the URL may have expired, or the server wants another User-Agent, see PREDICTOR_FETCH_AGENT.",
} | dict.fromkeys((408, 425, 429, 500, 502, 503, 504), "; try again later.")
_CERTIFICATE = "No secure connection to the server of the image URL: its certificate {}."
# OpenSSL's numbers of what is wrong with a certificate, `X509_V_ERR_...` in x509_vfy.h.
_WRONG = {9: "is not valid yet", 10: "has expired", 62: "is for another host", 64: "is for another host"}
_WRONG |= dict.fromkeys(
    (2, 18, 19, 20, 21), "is of an authority that is not trusted here; PREDICTOR_FETCH_CA can add it"
)
_TIMEOUTS = (urllib3.exceptions.TimeoutError, TimeoutError)


def check_status(status: int) -> None:
    """Go on with the body of an answer.

    Raises:
        FetchFailed: its status is not 200.
    """
    if status != 200:
        phrase = f" ({HTTPStatus(status).phrase})" if status in {*HTTPStatus} else ""
        raise FetchFailed(_STATUS.format(status, phrase) + _HINTS.get(status, "."))


def translation(error: Exception, *, late: bool) -> FetchError:
    """The error for the caller.

    Args:
        error: what a library raised, with what it was raised from.
        late: whether the time of the download is over.
    """
    causes = list(_causes(error))
    if late or any(isinstance(cause, _TIMEOUTS) for cause in causes):
        return FetchTimeout(LATE)
    for cause in causes:
        if isinstance(cause, ssl.SSLError):
            wrong = _WRONG.get(getattr(cause, "verify_code", 0))
            return FetchFailed(_CERTIFICATE.format(wrong) if wrong else UNTRUSTED)
    # The library's own error of a connection that ended is a kind of reset.
    reset = any(
        isinstance(cause, ConnectionResetError) and not isinstance(cause, http.client.RemoteDisconnected)
        for cause in causes
    )
    return FetchFailed(RESET if reset else BROKEN)


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__context__
