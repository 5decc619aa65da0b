"""The exception tree: every failure a caller can see has a status and a code.

    PredictorError
    ├── ConfigError          settings that cannot be used (never reaches a client)
    ├── InvalidRequest       400 invalid_request
    │   ├── RequestTimeout   408 invalid_request
    │   ├── IncompleteBody   400 invalid_request
    │   └── ClientClosedRequest 499 invalid_request
    ├── Unauthorized         401 unauthorized
    ├── Forbidden            403 forbidden
    ├── FetchError
    │   ├── FetchBlocked     403 fetch_blocked
    │   ├── FetchFailed      502 fetch_failed
    │   └── FetchTimeout     504 fetch_timeout
    ├── ImageError
    │   ├── ImageTooLarge    413 image_too_large
    │   ├── UnsupportedImage 415 unsupported_image
    │   └── InvalidImage     422 invalid_image
    ├── ModelNotFound        404 model_not_found
    ├── ModelConflict        409 model_conflict
    ├── ModelTooLarge        413 model_too_large
    ├── InvalidModel         422 invalid_model
    ├── Overloaded           503 overloaded, with Retry-After
    │   └── TooLate          503 overloaded, or 499 if the client has left
    ├── NotReady             503 not_ready
    ├── StorageFull          507 storage_full
    └── Internal             500 internal

A message is written for the caller: it never holds a path, an address, a library's text or a stack.
"""

from typing import Any, ClassVar, Self


class PredictorError(Exception):
    """A failure with a status, a stable code and a message for the caller."""

    status: ClassVar[int] = 500
    code: ClassVar[str] = "internal"
    title: ClassVar[str] = "Internal error"

    @property
    def detail(self) -> str:
        """The message shown to the caller."""
        return str(self) or self.title

    @property
    def headers(self) -> dict[str, str]:
        """Headers that the answer must carry."""
        return {}

    @property
    def members(self) -> dict[str, Any]:
        """What the problem document says besides."""
        return {}

    def bare(self) -> Self:
        """This error without its traceback, which would keep the bytes of a refused image in memory.

        An answer that holds an error, and the error's frames that hold the answer, would stay in memory until
        the garbage collector comes by.
        """
        self.__cause__ = self.__context__ = None
        return self.with_traceback(None)


class ConfigError(PredictorError):
    """A setting cannot be used; the message names it."""


class InvalidRequest(PredictorError):
    """The request is not in the documented form."""

    status, code, title = 400, "invalid_request", "Invalid request"


class RequestTimeout(InvalidRequest):
    """The client sends its request too slowly."""

    status, title = 408, "Request timeout"


class IncompleteBody(InvalidRequest):
    """The client has closed the connection, at least for sending, before the end of its request."""


class ClientClosedRequest(InvalidRequest):
    """The client has left before the answer; nobody reads this. The status is nginx's."""

    status, title = 499, "Client closed request"


class Unauthorized(PredictorError):
    """The token is missing or wrong."""

    status, code, title = 401, "unauthorized", "Unauthorized"

    @property
    def headers(self) -> dict[str, str]:
        """Name the scheme that is expected, as RFC 9110 section 11.6.1 asks."""
        return {"WWW-Authenticate": "Bearer"}


class Forbidden(PredictorError):
    """The caller may not do this."""

    status, code, title = 403, "forbidden", "Forbidden"


class FetchError(PredictorError):
    """An image could not be downloaded."""


class FetchBlocked(FetchError):
    """The URL leads to an address that this service does not contact."""

    status, code, title = 403, "fetch_blocked", "URL not allowed"


class FetchFailed(FetchError):
    """The image's server could not be reached or did not send an image."""

    status, code, title = 502, "fetch_failed", "Download failed"


class FetchTimeout(FetchError):
    """The download took longer than allowed."""

    status, code, title = 504, "fetch_timeout", "Download timed out"


class ImageError(PredictorError):
    """An image cannot be used."""


class ImageTooLarge(ImageError):
    """The image has more bytes or pixels than allowed."""

    status, code, title = 413, "image_too_large", "Image too large"


class UnsupportedImage(ImageError):
    """The bytes are not in an accepted image format."""

    status, code, title = 415, "unsupported_image", "Unsupported image format"


class CompressedRequest(UnsupportedImage):
    """The body of the request is compressed."""

    title = "Compressed request"

    @property
    def headers(self) -> dict[str, str]:
        """Name the coding that is accepted, as RFC 9110 section 12.5.3 asks."""
        return {"Accept-Encoding": "identity"}


class InvalidImage(ImageError):
    """The bytes begin like an image but are damaged or incomplete."""

    status, code, title = 422, "invalid_image", "Invalid image"


class ModelNotFound(PredictorError):
    """No model of that name or version."""

    status, code, title = 404, "model_not_found", "Model not found"


class ModelConflict(PredictorError):
    """Another change of the models is in progress, or the change contradicts the current state."""

    status, code, title = 409, "model_conflict", "Model conflict"


class ModelTooLarge(PredictorError):
    """The model has more bytes than allowed."""

    status, code, title = 413, "model_too_large", "Model too large"


class InvalidModel(PredictorError):
    """The model, its labels or its preprocessing cannot be served."""

    status, code, title = 422, "invalid_model", "Invalid model"


class Overloaded(PredictorError):
    """Too many images are queued; try again in `retry_after` seconds."""

    status, code, title = 503, "overloaded", "Overloaded"

    def __init__(self, message: str = "", *, retry_after: int = 1) -> None:
        super().__init__(message)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        """When to try again."""
        return {"Retry-After": str(self.retry_after)}


class TooLate(Overloaded):
    """It would not be done before its deadline, or nobody waits for it any more."""


class NotReady(PredictorError):
    """The service cannot predict; the message says why.

    Attributes:
        retry_after: seconds after which it may; None if that is not known.
        elsewhere: whether another machine can.
    """

    status, code, title = 503, "not_ready", "Not ready"

    def __init__(self, message: str = "", *, retry_after: int | None = None, elsewhere: bool = False) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.elsewhere = elsewhere

    @property
    def headers(self) -> dict[str, str]:
        """When to try again, if it is known."""
        return {} if self.retry_after is None else {"Retry-After": str(self.retry_after)}


class StorageFull(PredictorError):
    """The disk is full, or the data folder cannot be written."""

    status, code, title = 507, "storage_full", "Storage full"


class Internal(PredictorError):
    """A fault of the service, not of the caller; the log has the reason under the request id."""


class Stopped(Internal):
    """The run of a model was ended from another thread."""
