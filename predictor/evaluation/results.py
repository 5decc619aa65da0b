"""What a model answers for a labelled image, and what that is worth."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.model.scores import Ranked, activated, answered, logits, parted
from predictor.model.spec import ModelSpec

TOP = 5
"""Classes that an answer must have at least, unless the model has fewer."""

UNSURE = 0.5
"""Below this confidence an answer counts as unsure, unless the version has thresholds of its own."""


@dataclass(frozen=True)
class Answer:
    """A model's answer for one image.

    Attributes:
        ranked: at least the five most confident classes, the most confident first.
        seconds: from the image's bytes to the answer.
        logits: of all classes; None where they are not known.
        named: of a model whose classes are independent, those that reach their threshold, or `UNSURE`; None
            of any other model.
        threshold: below which the most confident class is unsure.
    """

    ranked: Ranked
    seconds: float
    logits: npt.NDArray[np.float64] | None = None
    named: frozenset[int] | None = None
    threshold: float = UNSURE

    @classmethod
    def of(cls, scores: npt.NDArray[Any], spec: ModelSpec, seconds: float) -> "Answer":
        """The answer that a model's scores of an image give.

        Raises:
            Internal: the model gave something that is not a number.
        """
        ranked, _ = parted(answered(scores, spec, TOP))
        values, own = logits(scores, spec), spec.calibration
        limits = own is not None and own.thresholds
        named = None
        if spec.independent:
            scaled = values if own is None else own.scaled(values)
            least = np.array(limits or UNSURE)
            named = frozenset(np.flatnonzero(activated(scaled, independent=True) >= least).tolist())
        threshold = own.threshold(ranked[0][0]) if own is not None and limits else UNSURE
        return cls(ranked, seconds, values, named, threshold)


@dataclass(frozen=True)
class ImageResult:
    """What came of one image.

    Attributes:
        name: its path within the set.
        truth: the index of its class; None if nothing names one, or none applies.
        answer: the model's answer; None if there is none.
        problem: why there is no answer or no truth.
        also: the indices of other classes that apply to it.
        thumbnail: a small copy of it as a data: URL, if it is wrong or unsure.
        unknown: whether what names its class is no class of the model.
        digest: of its bytes, the same for equal images; empty where there is no answer.
    """

    name: str
    truth: int | None
    answer: Answer | None
    problem: str | None = None
    also: tuple[int, ...] = ()
    thumbnail: str | None = None
    unknown: bool = False
    digest: bytes = b""

    @property
    def truths(self) -> tuple[int, ...]:
        """The indices of all classes that apply to it."""
        return () if self.truth is None else (self.truth, *self.also)

    @property
    def judged(self) -> bool:
        """Whether there is an answer, and it is known which classes apply."""
        return self.answer is not None and (self.truth is not None or self.answer.named is not None)

    @property
    def best_applies(self) -> bool:
        """Whether the most confident class applies to it."""
        return self.answer is not None and self.answer.ranked[0][0] in self.truths

    @property
    def right(self) -> bool:
        """Whether the most confident class applies; of independent classes, whether just those are named."""
        return self.best_applies if self._named is None else self._named == set(self.truths)

    @property
    def missed(self) -> tuple[int, ...]:
        """Of independent classes those that apply and are not named."""
        return () if self._named is None else tuple(one for one in self.truths if one not in self._named)

    @property
    def extra(self) -> tuple[int, ...]:
        """Of independent classes those that are named and do not apply."""
        return tuple(sorted((self._named or frozenset()).difference(self.truths)))

    @property
    def unsure(self) -> bool:
        """Whether the most confident class is below the threshold; independent classes are named or not."""
        if self.answer is None or self._named is not None:
            return False
        return self.answer.ranked[0][1] < self.answer.threshold

    @property
    def _named(self) -> frozenset[int] | None:
        return None if self.answer is None else self.answer.named

    def without_logits(self) -> "ImageResult":
        """The same without what only a calibration needs."""
        return self if self.answer is None else replace(self, answer=replace(self.answer, logits=None))
