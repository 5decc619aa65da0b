"""The answers that the client gives as the service sends them, as types.

`/openapi.json` says what each field is. A field that only some answers have is `NotRequired`; an answer may
have more fields than stand here.
"""

from typing import Any, NotRequired, TypedDict


class ModelRef(TypedDict):
    """The model that answered."""

    name: str
    version: int
    digest: str


class Machines(TypedDict):
    """The machines that share a store: those that serve a change, and all that live."""

    serving: int
    of: int


class Changed(ModelRef):
    """The version that is live now."""

    status: str
    machines: NotRequired[Machines | None]


class Uploaded(Changed):
    """The version that an upload made live, with the report of its check."""

    model: str
    labels: str | None
    report: dict[str, Any]
    unchanged: bool


class Deleted(TypedDict):
    """What is deleted: a `version`, or a name with its `versions`."""

    status: str
    name: str
    version: NotRequired[int]
    versions: NotRequired[list[int]]
    machines: NotRequired[Machines | None]


class Version(TypedDict):
    """One version of a model."""

    version: int
    digest: str
    live: bool
    created: str | None
    model: str
    labels: str | None
    files: dict[str, dict[str, Any]]
    quarantined: str | None
    classes: int | None
    preprocessing: dict[str, Any] | None
    report: dict[str, Any] | None


class Event(TypedDict):
    """A change of the live version."""

    time: str
    action: str
    version: int | None


class Model(TypedDict):
    """A model with its versions, the newest first."""

    name: str
    live: int | None
    before: int | None
    versions: list[Version]
    history: list[Event]


class Share(TypedDict):
    """A share of images, with its 95 % confidence interval."""

    value: float
    low: float
    high: float
    hits: int
    of: int


class LeftOut(TypedDict):
    """An image that was left out."""

    file: str
    problem: str


class Evaluation(TypedDict):
    """How well a model does on labelled images."""

    model: ModelRef
    pictures: int
    left_out: int
    problems: list[LeftOut]
    accuracy: Share
    top1: Share
    top5: Share
    f1: dict[str, float]
    classes: list[dict[str, Any]]
    confusions: list[dict[str, Any]]
    matrix: dict[str, Any] | None
    calibration: dict[str, Any]
    latency: dict[str, Any]
    images: list[dict[str, Any]]
    labels_from: NotRequired[str | None]
    notice: NotRequired[str | None]


class OtherRef(TypedDict):
    """The second model of a comparison; a candidate has no version."""

    name: str
    version: int | None
    digest: str


class Comparison(TypedDict):
    """Two models on the same labelled images."""

    model: ModelRef
    other: OtherRef
    pictures: int
    left_out: int
    problems: list[LeftOut]
    accuracy: list[Share]
    top1: list[Share]
    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int
    difference: dict[str, float]
    p_value: float
    lacking: dict[str, Any] | None
    agreement: Share
    calibration_error: list[float]
    latency: list[dict[str, Any]]
    memory: list[dict[str, Any]]
    images: list[dict[str, Any]]


class GoldenImage(TypedDict):
    """A golden image."""

    file: str
    label: str


class Golden(TypedDict):
    """The golden images of a model, and how many of them a version must get right."""

    name: str
    images: list[GoldenImage]
    least: int
    created: str | None
    live: NotRequired[dict[str, Any] | None]
    machines: NotRequired[Machines | None]


Explanation = TypedDict(
    "Explanation",
    {
        "class": dict[str, Any],
        "name": NotRequired[str | None],
        "confidence": float,
        "method": str,
        "runs": int,
        "fidelity": float | None,
        "grid": list[list[float]],
        "image": dict[str, int],
        "box": list[float],
        "model": ModelRef,
        "overlay": NotRequired[str | None],
    },
)
"""Which parts of an image speak for a class, and which against it."""
