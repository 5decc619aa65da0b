"""What a prediction is made of: images and options in, answers and times out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from predictor.errors import PredictorError, TooLate
from predictor.inference.admission import Deadline
from predictor.inference.job import Array
from predictor.inference.loader import LoadedModel
from predictor.model.labels import Label
from predictor.model.scores import Ranked, answered, as_answered, is_packed, packed, parted, unpacked
from predictor.store.registry import DEFAULT

PHASES = ("fetch", "queue", "decode", "preprocess", "infer")
"""The phases of an image's work, in their order."""

# What an answer may have that is kept, some hundred kilobytes: each worker has 500 at hand.
_KEPT_SCORES, _KEPT_CLASSES = 4_000, 1_000

PIPELINE = 2
"""The number of the way from bytes to confidences; a change of confidences raises it, and old answers in the
cache are no longer found."""


@dataclass(frozen=True)
class EncodedImage:
    """An image as the bytes of its file."""

    data: bytes


@dataclass(frozen=True)
class ImageUrl:
    """An image to be fetched from a URL."""

    url: str


@dataclass(frozen=True, eq=False)
class PreparedImage:
    """An image as the model's own input: what the preprocessing would make, without a batch axis."""

    data: Array


ImageSource = EncodedImage | ImageUrl | PreparedImage | PredictorError
"""What a request holds in one place: an image, or the reason why there is none."""


@dataclass(frozen=True)
class Options:
    """What a request may choose.

    Attributes:
        top_k: how many classes to give.
        threshold: the confidence that a class needs to be given, or None. It is applied to each answer on its
            way out, so what is kept does not depend on it.
        model: the model's name.
        version: its version; None for the live one.
        debug: whether the answer is to say how it came about; such an answer is always a new one.
        fresh: whether the answer is neither to be looked up nor to be kept, and a URL is to be fetched.
        exact: whether JPEGs are decoded whole, however large they are.
        scores: whether the answer is to be the model's own scores, without activation and ranking.
    """

    top_k: int = 5
    threshold: float | None = None
    model: str = DEFAULT
    version: int | None = None
    debug: bool = False
    fresh: bool = False
    exact: bool = False
    scores: bool = False


@dataclass(frozen=True)
class Trace:
    """How an answer came about.

    Attributes:
        tensor: what went into the model, without a batch axis.
        phases: the times of this image.
    """

    tensor: Array
    phases: "Phases"


@dataclass(frozen=True)
class Prediction:
    """The answer for one image.

    Attributes:
        ranked: class indices with their confidences, the most confident first; none if scores were asked.
        labels: all classes of the model.
        cached: whether the model did not run for this answer.
        trace: how it came about, if that was asked for.
        scores: what the model gave, without a batch axis, if that was asked for.
        raw: of a calibrated version, the confidences of `ranked` without the calibration; else none.
    """

    ranked: Ranked
    labels: tuple[Label, ...]
    cached: bool
    trace: Trace | None = None
    scores: Array | None = None
    raw: tuple[float, ...] = ()


@dataclass
class Phases:
    """Seconds spent on an image, by phase; for many images, the sum of theirs.

    Attributes:
        seconds: of each phase.
        starts: when each phase first began, by the performance counter; empty for many images.
    """

    seconds: dict[str, float] = field(default_factory=dict)
    starts: dict[str, float] = field(default_factory=dict)

    def add(self, phase: str, seconds: float, start: float | None = None) -> None:
        """Count seconds to a phase, which began at a time of the performance counter."""
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds
        if start is not None:
            self.starts.setdefault(phase, start)

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Count the time of a block to a phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(phase, time.perf_counter() - start, start)


@dataclass(frozen=True)
class Question:
    """What one image is asked for, and its times so far."""

    model: LoadedModel
    options: Options
    deadline: Deadline
    phases: Phases = field(default_factory=Phases)

    @property
    def cacheable(self) -> bool:
        """Whether the answer may be looked up and kept; a long one may not."""
        options, classes = self.options, len(self.model.spec.labels)
        long = classes > _KEPT_SCORES if options.scores else min(options.top_k, classes) > _KEPT_CLASSES
        return not (options.fresh or options.debug or long)

    def check(self) -> None:
        """Raise TooLate if by now nobody waits for the answer."""
        if not self.deadline.still_wanted():
            raise TooLate("The image would not run before its deadline.")

    def key_of(self, digest: str) -> str:
        """Where the answer is kept that an image of this digest has."""
        way = f"{PIPELINE}-{'exact' if self.options.exact else 'fast'}"
        form = "scores" if self.options.scores else self.options.top_k
        return f"answer:{way}:{self.model.version.digest}:{form}:{digest}"

    def read(self, kept: object) -> Any:
        """The answer that was kept there; None if it cannot be this model's."""
        spec = self.model.spec
        if self.options.scores:
            return kept if is_packed(kept, spec.scores) else None
        return as_answered(kept, spec, self.options.top_k)

    def finish(self, scores: Array) -> Any:
        """The answer that the model's scores of one image give, in the form in which it is kept."""
        if self.options.scores:
            return packed(scores)
        return answered(scores, self.model.spec, self.options.top_k)

    def prediction(self, kept: Any, *, cached: bool) -> Prediction:
        """The prediction of an answer that `finish` or `read` gave."""
        labels = self.model.spec.labels
        if self.options.scores:
            return Prediction([], labels, cached, scores=unpacked(kept))
        ranked, raw = parted(kept)
        return Prediction(ranked, labels, cached, raw=raw)


@dataclass(frozen=True)
class Outcome:
    """What came of a request.

    Attributes:
        model: what answered.
        results: for each image its answer or error.
        phases: the times of all images together.
        images: the times of each image.
    """

    model: LoadedModel
    results: tuple[Prediction | PredictorError, ...]
    phases: Phases
    images: tuple[Phases, ...] = ()
