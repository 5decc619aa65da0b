"""What the disposable process of an optimisation is asked, and what it answers: values that cross as JSON."""

import dataclasses
import errno
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, get_args

import pydantic

from predictor.checking.report import Limits, Provider

Task = Literal["make", "judge", "pace"]

LIMITS = Limits(
    seconds=1200.0,
    cpu_seconds=1200,
    wall_seconds=3600.0,
    memory_bytes=4_000_000_000,
    descriptors=64,
    idle=True,
)
"""What each of these processes may use: calibration runs many images, and predictions go first."""

ORIGINAL, CALIBRATION, JUDGED = "original.onnx", "calibration.npy", "judged.npy"
"""The files in the folder of the process: the model, and the tensors of each half of the images."""
SCORES = "scores.npy"
"""What judging writes: the scores of each image, shape [images, classes]."""


@dataclass(frozen=True)
class Job:
    """What is to be done; files are named relative to the folder of the process.

    Attributes:
        task: `make` candidates of a model, `judge` one model by its scores, or measure the `pace` of two.
        models: their files.
        names: of the model's input and output.
        batch: the fixed batch size; None if it is free.
        seconds: how long the pace is measured.
        gpu: whether candidates are made for a GPU.
        provider: what judging and pace run on.
        limits: what may be used.
    """

    task: Task
    models: tuple[str, ...]
    names: tuple[str, str]
    batch: int | None = None
    seconds: float = 0.0
    gpu: bool = False
    provider: Provider = "cpu"
    limits: Limits = field(default=LIMITS)

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Job":
        """Read the form that `to_json` writes.

        Raises:
            TypeError: a field is missing or unknown.
            ValueError: there is no such task.
        """
        image, scores = value["names"]
        lists = {"models": tuple(value["models"]), "names": (image, scores)}
        job = cls(**{**value, **lists, "limits": Limits(**value["limits"])})
        if job.task not in get_args(Task):
            raise ValueError("The task is make, judge or pace.")
        return job


class _Answer(pydantic.BaseModel, extra="forbid"):
    pass


class Failed(_Answer):
    """It could not be done; `reason` is a sentence for a person, `full` says that the disk has no room."""

    ok: Literal[False]
    full: bool = False
    reason: Annotated[str, pydantic.Field(min_length=1, max_length=500)]


class Made(_Answer):
    """A candidate that was made.

    Attributes:
        key: its name, and that of its file without the suffix.
        what: sentences about how it was made.
    """

    key: Annotated[str, pydantic.Field(pattern=r"^[a-z0-9_]{1,32}$")]
    what: list[str]


class Making(_Answer):
    """What came of `make`.

    Attributes:
        made: the candidates.
        skipped: sentences about those that were not made.
        saturates: whether 8-bit weights overflow on this processor.
    """

    ok: Literal[True]
    made: list[Made]
    skipped: list[str]
    saturates: bool


class Judging(_Answer):
    """What came of `judge`; the scores lie in a file.

    Attributes:
        load_seconds: the time to load the model.
        memory_bytes: how much the memory of the process rose by the model and its runs, at its peak.
    """

    ok: Literal[True]
    load_seconds: pydantic.NonNegativeFloat
    memory_bytes: pydantic.NonNegativeInt


class Paced(_Answer):
    """How fast one of the models ran.

    Attributes:
        turns: processor seconds for an image, turn by turn.
        p50_ms, p99_ms: milliseconds of a run by the clock.
        runs: how many there were.
    """

    turns: list[pydantic.PositiveFloat]
    p50_ms: pydantic.NonNegativeFloat
    p99_ms: pydantic.NonNegativeFloat
    runs: pydantic.PositiveInt


class Pacing(_Answer):
    """What came of `pace`: each model, in the order of the job."""

    ok: Literal[True]
    models: list[Paced]


def is_full(error: Exception) -> bool:
    """Whether the disk of the present folder is full, which onnxruntime fails by without a word."""
    if isinstance(error, OSError) and error.errno in {errno.ENOSPC, errno.EDQUOT}:
        return True
    disk = os.statvfs(".")
    return disk.f_bavail == 0 < disk.f_blocks
