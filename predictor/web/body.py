"""The body of a request as its client sends it: what becomes of a client that does not send all of it."""

from typing import IO, TYPE_CHECKING

from predictor.errors import ClientClosedRequest, IncompleteBody, RequestTimeout

if TYPE_CHECKING:
    from _typeshed.wsgi import WSGIEnvironment

_INPUT = "wsgi.input"


class RequestBody:
    """The input of a WSGI environment, with errors of the connection as errors of the request.

    Args:
        source: the server's input.
        length: how many bytes are to come; None if that is not known.
    """

    def __init__(self, source: IO[bytes], length: int | None) -> None:
        self._source = source
        self._left = length

    def read(self, size: int = -1) -> bytes:
        """So many bytes, or all that are left.

        Raises:
            ClientClosedRequest: the client has reset the connection.
            IncompleteBody: the client has closed it.
            RequestTimeout: the client is too slow.
        """
        try:
            data = self._source.read(size)
        except TimeoutError as error:
            raise RequestTimeout("The body of the request came too slowly, or not to its end.") from error
        except ConnectionError as error:
            raise ClientClosedRequest("The client closed the connection within the body.") from error
        except OSError as error:
            raise IncompleteBody("The body of the request ends too early.") from error
        if self._left is not None:
            self._left -= len(data)
            if self._left and (size < 0 or len(data) < size):
                raise IncompleteBody("The body is shorter than its Content-Length says.")
        return data


def watch(environ: "WSGIEnvironment") -> None:
    """Let a request's body be read through `RequestBody`."""
    length = environ.get("CONTENT_LENGTH", "")
    if length or "HTTP_TRANSFER_ENCODING" in environ:
        known = int(length) if length.isdecimal() else None
        environ[_INPUT] = RequestBody(environ[_INPUT], known)
