"""Have each image of a set classified, several at a time, and keep what came of it."""

import base64
import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from predictor.errors import PredictorError
from predictor.evaluation.images import Picture
from predictor.evaluation.tables import Classes
from predictor.image.decode import Limits
from predictor.image.preview import thumbnail
from predictor.model.scores import Ranked, activated, answered, logits, parted
from predictor.model.spec import ModelSpec

TOP = 5
"""Classes that an answer must have at least, unless the model has fewer."""

UNSURE = 0.5
"""Below this confidence an answer counts as unsure, unless the version has thresholds of its own."""
THUMBNAILS = 1000
"""Images that are wrong or unsure of which a report has a small copy."""
_SIDE = 96

_In = TypeVar("_In")
_Out = TypeVar("_Out")


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
    logits: npt.NDArray[np.float32] | None = None
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
        return cls(ranked, seconds, values.astype(np.float32), named, threshold)


Classify = Callable[[bytes], Answer]
"""From the bytes of an image to the answer, or a PredictorError."""


@dataclass(frozen=True)
class Progress:
    """How many runs are done, of how many."""

    done: int
    of: int


@dataclass(frozen=True)
class Notice:
    """What is noticed before anything runs.

    Attributes:
        sentence: for the person who waits.
    """

    sentence: str


@dataclass(frozen=True)
class ImageResult:
    """What came of one image.

    Attributes:
        name: its path within the set.
        truth: the index of its class; None if nothing names one.
        answer: the model's answer; None if there is none.
        problem: why there is no answer or no truth.
        also: the indices of other classes that apply to it.
        thumbnail: a small copy of it as a data: URL, if it is wrong or unsure.
        digest: of its bytes, the same for equal images; empty where there is no answer.
    """

    name: str
    truth: int | None
    answer: Answer | None
    problem: str | None = None
    also: tuple[int, ...] = ()
    thumbnail: str | None = None
    digest: bytes = b""

    @property
    def truths(self) -> tuple[int, ...]:
        """The indices of all classes that apply to it."""
        return () if self.truth is None else (self.truth, *self.also)

    @property
    def right(self) -> bool:
        """Whether the most confident class applies to it."""
        return self.answer is not None and self.answer.ranked[0][0] in self.truths

    @property
    def unsure(self) -> bool:
        """Whether the most confident class is below the threshold."""
        return self.answer is not None and self.answer.ranked[0][1] < self.answer.threshold

    def without_logits(self) -> "ImageResult":
        """The same without what only a calibration needs."""
        return self if self.answer is None else replace(self, answer=replace(self.answer, logits=None))


class Thumbnails:
    """Makes small copies of images as data: URLs, as long as there are not too many.

    Args:
        limits: of images; None if no copies are wanted.
    """

    def __init__(self, limits: Limits | None) -> None:
        self._limits = limits
        self._left = iter(range(THUMBNAILS))

    def of(self, data: bytes) -> str | None:
        """The copy of an image; None if it cannot be opened, or is not wanted any more."""
        if self._limits is None or next(self._left, None) is None:
            return None
        try:
            small = base64.b64encode(thumbnail(data, self._limits, _SIDE)).decode()
        except PredictorError:
            return None
        return f"data:image/jpeg;base64,{small}"


def classify_all(
    pictures: Iterable[Picture],
    classes: Classes,
    classify: Classify,
    threads: int,
    limits: Limits | None = None,
) -> Iterator[ImageResult]:
    """Classify the images whose class is known, and give what came of each image, in their order.

    Args:
        pictures: the images.
        classes: the model's classes.
        classify: classifies one; called from several threads.
        threads: images that are worked on at a time.
        limits: of images, if small copies of those that are wrong or unsure are wanted.
    """
    thumbnails = Thumbnails(limits)

    def work(picture: Picture) -> ImageResult:
        result, data = classified(picture, classes, classify)
        worth = result.answer is not None and (not result.right or result.unsure)
        return replace(result, thumbnail=thumbnails.of(data)) if worth else result

    return parallel_map(work, pictures, threads)


def parallel_map(work: Callable[[_In], _Out], items: Iterable[_In], threads: int) -> Iterator[_Out]:
    """Do the work for a few things at a time, and give the results in their order.

    Unlike with the pool's own `map`, little is submitted before it is wanted, and a reader who stops reading
    stops the work: what is at work comes to its end, and nothing else is begun.
    """
    with ThreadPoolExecutor(threads, thread_name_prefix="evaluation") as pool:
        try:
            yield from in_order(lambda thing: pool.submit(work, thing), items, 2 * threads)
        finally:
            pool.shutdown(wait=False, cancel_futures=True)


def in_order(submit: Callable[[_In], Future[_Out]], items: Iterable[_In], most: int) -> Iterator[_Out]:
    """Submit things as results are read, at most so many before the first result; the results in order."""
    rest = iter(items)
    waiting = deque(map(submit, itertools.islice(rest, most)))
    while waiting:
        result = waiting.popleft().result()
        waiting.extend(map(submit, itertools.islice(rest, 1)))
        yield result


def classified(picture: Picture, classes: Classes, classify: Classify) -> tuple[ImageResult, bytes]:
    """What came of an image, and its bytes, which are empty where it was not read."""
    if picture.left_out:
        return ImageResult(picture.name, None, None, picture.left_out), b""
    if not (truths := classes.all_of(picture.said)):
        return ImageResult(picture.name, None, None, no_class(picture, classes.model)), b""
    try:
        data = picture.read()
        digest = hashlib.sha256(data).digest()
        return ImageResult(picture.name, truths[0], classify(data), also=truths[1:], digest=digest), data
    except PredictorError as error:
        return ImageResult(picture.name, truths[0], None, error.detail), b""


def no_class(picture: Picture, model: str = "the model") -> str:
    """Why the class of an image is not known; `model` is what the sentence calls the model."""
    if not picture.truth:
        return "Nothing says its class."
    return f"{picture.truth[0][:100]} is not a class of {model}."
