"""What the client gives back, and what it raises.

ServiceError
├── Unreachable          no answer: no connection, a broken one, or no service at this URL
├── DeadlineExceeded     the time that was given is over
├── InvalidRequest       400
├── Unauthorized         401        ├── Forbidden            403
├── FetchError
│   ├── FetchBlocked     403        ├── FetchFailed  502     └── FetchTimeout  504
├── ImageError
│   ├── ImageTooLarge    413        ├── UnsupportedImage 415
│   └── InvalidImage     422        └── UnreadableImage      a file of this machine, in `predict_many`
├── ModelError
│   ├── ModelNotFound    404        ├── ModelConflict 409
│   └── ModelTooLarge    413        └── InvalidModel  422
├── Unavailable
│   ├── Overloaded, NotReady 503    ├── TooManyRequests 429  └── StorageFull  507
└── Internal             500
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar


class ServiceError(Exception):
    """A call that has no answer.

    Args:
        detail: what is wrong, and what to do.
        code: the service's code; "" if no service answered.
        status: the HTTP status; 0 if no service answered.
        request_id: what the service's log calls the request.
        retry_after: seconds after which the service asks to try again; None if it says nothing.
    """

    codes: ClassVar[tuple[str, ...]] = ()

    def __init__(
        self,
        detail: str,
        code: str = "",
        status: int = 0,
        request_id: str | None = None,
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.detail = detail
        self.code = code
        self.status = status
        self.request_id = request_id
        self.retry_after = retry_after


class Unreachable(ServiceError):
    """There is no service at the URL, or the connection to it broke."""


class DeadlineExceeded(ServiceError):
    """The time that was given is over."""


class InvalidRequest(ServiceError):
    """The service does not understand the request."""

    codes = ("invalid_request",)


class Unauthorized(ServiceError):
    """The service wants a token, or another one."""

    codes = ("unauthorized",)


class Forbidden(ServiceError):
    """The service does not allow this."""

    codes = ("forbidden",)


class FetchError(ServiceError):
    """The service cannot download the image of a URL."""


class FetchBlocked(FetchError):
    """The service may not reach the URL."""

    codes = ("fetch_blocked",)


class FetchFailed(FetchError):
    """The image's server cannot be reached, or sent no image."""

    codes = ("fetch_failed",)


class FetchTimeout(FetchError):
    """The download took too long."""

    codes = ("fetch_timeout",)


class ImageError(ServiceError):
    """The image cannot be used."""


class ImageTooLarge(ImageError):
    """The image has too many bytes or pixels."""

    codes = ("image_too_large",)


class UnsupportedImage(ImageError):
    """The bytes are of no format that the service opens."""

    codes = ("unsupported_image",)


class InvalidImage(ImageError):
    """The image is damaged."""

    codes = ("invalid_image",)


class UnreadableImage(ImageError):
    """The image was not sent, because its file cannot be read."""


class ModelError(ServiceError):
    """The model cannot be used, changed or found."""


class ModelNotFound(ModelError):
    """No model has this name, or this version."""

    codes = ("model_not_found",)


class ModelConflict(ModelError):
    """Another change, or the state of the model, stands in the way."""

    codes = ("model_conflict",)


class ModelTooLarge(ModelError):
    """The files of the model are too large."""

    codes = ("model_too_large",)


class InvalidModel(ModelError):
    """The model cannot be served; the sentence says why."""

    codes = ("invalid_model",)


class Unavailable(ServiceError):
    """The service cannot do this now."""


class Overloaded(Unavailable):
    """Too many images wait already."""

    codes = ("overloaded",)


class NotReady(Unavailable):
    """No model is loaded yet."""

    codes = ("not_ready",)


class TooManyRequests(Unavailable):
    """A proxy before the service allows fewer requests."""

    codes = ("too_many_requests",)


class StorageFull(Unavailable):
    """The service has no room on its disk."""

    codes = ("storage_full",)


class Internal(ServiceError):
    """The service failed; its log has the reason."""

    codes = ("internal",)


OF_ONE_IMAGE = (ImageError, FetchError, Internal, Overloaded, DeadlineExceeded, InvalidRequest)
"""The errors of a prediction that say nothing of the next image."""


def _all(kind: type[ServiceError]) -> list[type[ServiceError]]:
    return [kind, *(found for below in kind.__subclasses__() for found in _all(below))]


BY_CODE = {code: kind for kind in _all(ServiceError) for code in kind.codes}
"""The class of each of the service's codes."""


@dataclass(frozen=True)
class Score:
    """One class of an image.

    Attributes:
        label: its name.
        index: its place in the model's output.
        confidence: from 0 to 1.
    """

    label: str
    index: int
    confidence: float


@dataclass(frozen=True)
class Result:
    """What is on an image.

    Attributes:
        label: the most confident class; None if all are below the threshold that was asked for.
        confidence: of it, from 0 to 1; None if there is no label.
        predictions: the most confident classes, the best first.
        model: the name of the model that answered.
        version: its version.
        cached: whether the service knew the answer already.
        abstained: whether all classes are below the threshold.
        json: the whole answer.
    """

    label: str | None
    confidence: float | None
    predictions: tuple[Score, ...]
    model: str
    version: int
    cached: bool
    abstained: bool
    json: Mapping[str, Any]

    @classmethod
    def of(cls, answer: Mapping[str, Any]) -> "Result":
        """Read the service's answer for one image."""
        scores = tuple(Score(one["label"], one["index"], one["confidence"]) for one in answer["predictions"])
        model = answer["model"]
        best, confidence = answer["predicted_label"], answer["confidence"]
        cached, abstained = answer["cached"], answer.get("abstained", False)
        return cls(best, confidence, scores, model["name"], model["version"], cached, abstained, answer)
