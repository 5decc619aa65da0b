"""What a prediction is made of: pictures and options in, answers and times out."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

from predictor.errors import Overloaded, PredictorError
from predictor.inference.admission import Deadline
from predictor.inference.job import Array
from predictor.inference.loader import LoadedModel
from predictor.model.labels import Label
from predictor.model.scores import Ranked, as_ranked, rank
from predictor.store.registry import DEFAULT

PHASES = ("fetch", "queue", "decode", "preprocess", "infer")
"""The phases of a picture's work, in their order."""

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


ImageSource = EncodedImage | ImageUrl | PredictorError
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
    """

    top_k: int = 5
    threshold: float | None = None
    model: str = DEFAULT
    version: int | None = None
    debug: bool = False
    fresh: bool = False
    exact: bool = False


@dataclass(frozen=True)
class Trace:
    """How an answer came about.

    Attributes:
        tensor: what went into the model, without a batch axis.
        phases: the times of this picture.
    """

    tensor: Array
    phases: "Phases"


@dataclass(frozen=True)
class Prediction:
    """The answer for one picture.

    Attributes:
        ranked: class indices with their confidences, the most confident first.
        labels: all classes of the model.
        cached: whether the model did not run for this answer.
        trace: how it came about, if that was asked for.
    """

    ranked: Ranked
    labels: tuple[Label, ...]
    cached: bool
    trace: Trace | None = None


@dataclass
class Phases:
    """Seconds spent on a picture, by phase; for many pictures, the sum of theirs."""

    seconds: dict[str, float] = field(default_factory=dict)

    def add(self, phase: str, seconds: float) -> None:
        """Count seconds to a phase."""
        self.seconds[phase] = self.seconds.get(phase, 0.0) + seconds

    @contextmanager
    def measure(self, phase: str) -> Iterator[None]:
        """Count the time of a block to a phase."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.add(phase, time.perf_counter() - start)


@dataclass(frozen=True)
class Question:
    """What one image is asked for, and its times so far."""

    model: LoadedModel
    options: Options
    deadline: Deadline
    phases: Phases = field(default_factory=Phases)

    @property
    def cacheable(self) -> bool:
        """Whether the answer may be looked up and kept."""
        return not (self.options.fresh or self.options.debug)

    def check(self) -> None:
        """Raise Overloaded if by now nobody waits for the answer."""
        if not self.deadline.still_wanted():
            raise Overloaded("The image would not run before its deadline.")

    def key_of(self, digest: str) -> str:
        """Where the answer is kept that an image of this digest has."""
        way = f"{PIPELINE}-{'exact' if self.options.exact else 'fast'}"
        return f"answer:{way}:{self.model.version.digest}:{self.options.top_k}:{digest}"

    def read(self, kept: object) -> Ranked | None:
        """The answer that was kept there; None if it cannot be this model's."""
        spec = self.model.spec
        return as_ranked(kept, len(spec.labels), spec.activation, self.options.top_k)

    def rank(self, scores: Array) -> Ranked:
        """The answer that the model's scores give, of shape [classes]."""
        return rank(scores, self.model.spec.activation, self.options.top_k)


@dataclass(frozen=True)
class Outcome:
    """What came of a request: the model that answered, and for each picture its answer or error."""

    model: LoadedModel
    results: tuple[Prediction | PredictorError, ...]
    phases: Phases
