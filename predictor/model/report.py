"""What the check of an upload is asked, and what it answers: values that cross a process border as JSON."""

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from predictor.errors import InvalidModel

Reason = Literal[
    "not_onnx",
    "too_large",
    "external_data",
    "operator",
    "control_flow",
    "too_complex",
    "load_failed",
    "image_input",
    "class_scores",
    "unclear",
    "labels",
    "preprocessing",
    "run_failed",
    "class_count",
    "not_finite",
    "memory",
    "time",
    "crashed",
    "no_answer",
]
REASONS: tuple[Reason, ...] = get_args(Reason)
"""Why an upload can be refused: one short word each, fit for a metric's label."""


class Refused(InvalidModel):
    """A model did not pass its check; `reason` says why in one of the words of `REASONS`."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason: Reason = reason


@dataclass(frozen=True)
class Limits:
    """What a check may use and what a model may hold.

    Attributes:
        seconds: wall clock of the whole check.
        cpu_seconds: processor time of the whole check.
        memory_bytes: address space, to which four times the size of the file is added.
        descriptors: open files.
        model_bytes: size of the file.
        companion_bytes: size of the labels, and of the preprocessing.
        nodes: operators, those of a function counted each time that it is called.
        functions: functions of the model's own.
        depth: functions that call each other in a chain.
    """

    seconds: float = 60.0
    cpu_seconds: int = 30
    memory_bytes: int = 2_000_000_000
    descriptors: int = 32
    model_bytes: int = 1_024_000_000
    companion_bytes: int = 4_000_000
    nodes: int = 100_000
    functions: int = 1_000
    depth: int = 32


@dataclass(frozen=True)
class Request:
    """What is to be checked; paths are relative to the folder in which the check runs.

    Attributes:
        model: the ONNX file.
        labels: the labels that came with it, in place of those in its metadata.
        preprocessing: the same for the preprocessing.
        limits: what the check may use.
        allow_control_flow: whether the model may hold loops, so that no trial can foretell its run time.
        provider: what the model is tried on.
    """

    model: str
    labels: str | None = None
    preprocessing: str | None = None
    limits: Limits = field(default_factory=Limits)
    allow_control_flow: bool = False
    provider: Literal["cpu"] = "cpu"

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Mapping[str, Any]) -> "Request":
        """Read the form that `to_json` writes.

        Raises:
            TypeError: a field is missing or unknown.
            ValueError: no check on that provider.
        """
        request = cls(**{**value, "limits": Limits(**value.get("limits", {}))})
        if request.provider != "cpu":
            raise ValueError("A model is checked on the CPU only.")
        return request


@dataclass(frozen=True)
class Report:
    """What a check found out about a model that passed.

    Attributes:
        spec: inputs, outputs, preprocessing, activation, classes and reasons, as `ModelSpec` gives them.
        nodes: operators in the file.
        load_seconds: time to load the model.
        run_seconds: time of one run with the smallest batch; the best of several.
        batch: pictures in the largest batch that was tried.
        batch_seconds: time of one run with that batch; the best of several.
        memory_bytes: the most memory that the check had, its interpreter and libraries included.
        warnings: sentences for the uploader.
    """

    spec: dict[str, Any]
    nodes: int
    load_seconds: float
    run_seconds: float
    batch: int
    batch_seconds: float
    memory_bytes: int
    warnings: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """The report for people and scripts."""
        return {**dataclasses.asdict(self), "warnings": list(self.warnings)}
