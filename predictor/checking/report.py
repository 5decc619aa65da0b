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

Provider = Literal["cpu", "cuda"]

SERVED = "served.onnx"
"""The file, beside an uploaded model, of the graph that is to be served in its place."""

BEGUN = "begun"
"""The first line of a check on a GPU, once CUDA works there: what fails after it is the model's doing."""


class Refused(InvalidModel):
    """A model did not pass its check; `reason` says why in one of the words of `REASONS`."""

    def __init__(self, reason: Reason, sentence: str) -> None:
        super().__init__(sentence)
        self.reason: Reason = reason


@dataclass(frozen=True)
class Limits:
    """What a check may use and what a model may hold.

    Attributes:
        seconds: time of the whole check, without that for which it waits for a processor of a busy machine.
        cpu_seconds: processor time of the whole check.
        wall_seconds: time of the whole check by the clock.
        memory_bytes: address space, or memory of a GPU, to which four times the size of the file is added.
        descriptors: open files.
        model_bytes: size of the file.
        companion_bytes: size of the labels, and of the preprocessing.
        nodes: operators, those of a function counted each time that it is called.
        functions: functions of the model's own.
        depth: functions that call each other in a chain.
        idle: whether it may use only what others leave of the processors.
    """

    seconds: float = 60.0
    cpu_seconds: int = 30
    wall_seconds: float = 300.0
    memory_bytes: int = 2_000_000_000
    descriptors: int = 32
    model_bytes: int = 1_024_000_000
    companion_bytes: int = 4_000_000
    nodes: int = 100_000
    functions: int = 1_000
    depth: int = 32
    idle: bool = False

    def memory_for(self, file_bytes: int) -> int:
        """The memory that a model in a file of that size may use, in bytes."""
        return self.memory_bytes + 4 * file_bytes


@dataclass(frozen=True)
class Request:
    """What is to be checked; paths are relative to the folder in which the check runs.

    Attributes:
        model: the ONNX file.
        labels: the labels that came with it, in place of those in its metadata.
        preprocessing: the same for the preprocessing.
        data: files that may hold weights of the model, by the names that its uploader gave them.
        unsure: which of labels and preprocessing were only found among the files of the upload, with the
            uploader's path for each: they are used if they fit.
        guessed: whether only the form of the labels suggests that they are; what the model says of itself
            goes before them then.
        served: descriptor of the empty file `SERVED`, to which the graph is written that is to be served in
            place of the uploaded one; None where it is known that none is needed.
        limits: what the check may use.
        allow_control_flow: whether the model may hold loops, so that no trial can foretell its run time.
        provider: what the model is tried on; `cuda` is the one GPU that the check sees.
    """

    model: str
    labels: str | None = None
    preprocessing: str | None = None
    data: Mapping[str, str] = field(default_factory=dict)
    unsure: Mapping[str, str] = field(default_factory=dict)
    guessed: bool = False
    served: int | None = None
    limits: Limits = field(default_factory=Limits)
    allow_control_flow: bool = False
    provider: Provider = "cpu"

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
        if request.provider not in get_args(Provider):
            raise ValueError("A model is checked on the CPU or with CUDA.")
        return request


@dataclass(frozen=True)
class Best:
    """What a model answers to one trial image, in short, so that two devices can be compared.

    Attributes:
        classes: indices of the classes with the highest scores, the highest first.
        scores: theirs.
        spread: the highest score of all less the lowest.
    """

    classes: tuple[int, ...]
    scores: tuple[float, ...]
    spread: float


@dataclass(frozen=True)
class OnGpu:
    """The figures of a model on a GPU; those that `Report` has as well mean the same there.

    Attributes:
        device: the GPU's name.
        memory_bytes: how much more of the GPU's memory was used after the runs than before the load, by
            whomever; None if the driver does not tell.
    """

    device: str
    load_seconds: float
    run_seconds: float
    batch: int
    batch_seconds: float
    memory_bytes: int | None


LISTS = ("warnings", "adapted", "weights", "heads", "beside", "unused")
"""The fields of a report that are lists of texts."""


@dataclass(frozen=True)
class Report:
    """What a check found out about a model that passed.

    Attributes:
        spec: inputs, outputs, preprocessing, activation, classes and reasons, as `ModelSpec` gives them.
        nodes: operators in the file.
        load_seconds: time to load the model.
        run_seconds: time of one run with the smallest batch; the best of several.
        batch: images in the largest batch that was tried.
        batch_seconds: time of one run with that batch; the best of several.
        memory_bytes: the most memory that the check had, its interpreter and libraries included.
        warnings: sentences for the uploader.
        adapted: sentences about what was changed in the model, so that it can be served.
        weights: files that hold weights of the model, by the names that its uploader gave them.
        heads: outputs that may hold class scores, if there are several; the preprocessing's `output` chooses.
        beside: names on the disk of those that must stay beside the model.
        unused: names on the disk of labels and preprocessing that were passed over.
        best: the best classes of each trial image.
        gpu_bytes: memory of the GPU, if this check used one; as in `OnGpu`.
        final_layers: how a network with a class activation map ends, as `FinalLayers` writes it.
        cuda: what a second check on a GPU showed.
    """

    spec: dict[str, Any]
    nodes: int
    load_seconds: float
    run_seconds: float
    batch: int
    batch_seconds: float
    memory_bytes: int
    warnings: tuple[str, ...] = ()
    adapted: tuple[str, ...] = ()
    weights: tuple[str, ...] = ()
    heads: tuple[str, ...] = ()
    beside: tuple[str, ...] = ()
    unused: tuple[str, ...] = ()
    best: tuple[Best, ...] = ()
    gpu_bytes: int | None = None
    final_layers: dict[str, Any] | None = None
    cuda: OnGpu | None = None

    @property
    def all_warnings(self) -> list[str]:
        """Those of the spec, such as what had to be assumed, and those of the trial runs."""
        return [*self.spec.get("warnings", ()), *self.warnings]

    def to_json(self) -> dict[str, Any]:
        """The report for scripts, without what there is nothing to say of."""
        lists = {name: list(getattr(self, name)) for name in LISTS}
        found = {**dataclasses.asdict(self), **lists}
        return {name: value for name, value in found.items() if value is not None}
