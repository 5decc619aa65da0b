"""Have each image of a set classified, several at a time, and keep what came of it."""

import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import TypeVar

from predictor.errors import PredictorError
from predictor.evaluation.images import Picture
from predictor.evaluation.tables import Classes
from predictor.model.scores import Ranked

TOP = 5
"""Classes that an answer must have at least, unless the model has fewer."""

_In = TypeVar("_In")
_Out = TypeVar("_Out")


@dataclass(frozen=True)
class Answer:
    """A model's answer for one image.

    Attributes:
        ranked: at least the five most confident classes, the most confident first.
        seconds: from the image's bytes to the answer.
    """

    ranked: Ranked
    seconds: float


Classify = Callable[[bytes], Answer]
"""From the bytes of an image to the answer, or a PredictorError."""


@dataclass(frozen=True)
class Progress:
    """How many runs are done, of how many."""

    done: int
    of: int


@dataclass(frozen=True)
class ImageResult:
    """What came of one image.

    Attributes:
        name: its path within the set.
        truth: the index of its class; None if nothing names one.
        answer: the model's answer; None if there is none.
        problem: why there is no answer or no truth.
    """

    name: str
    truth: int | None
    answer: Answer | None
    problem: str | None = None


def classify_all(
    pictures: Iterable[Picture], classes: Classes, classify: Classify, threads: int
) -> Iterator[ImageResult]:
    """Classify images, and give what came of each, in their order."""
    return parallel_map(lambda picture: _classify(picture, classes, classify), pictures, threads)


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


def _classify(picture: Picture, classes: Classes, classify: Classify) -> ImageResult:
    if picture.left_out:
        return ImageResult(picture.name, None, None, picture.left_out)
    truth = classes.find(picture.truth)
    try:
        answer = classify(picture.read())
    except PredictorError as error:
        return ImageResult(picture.name, truth, None, error.detail)
    return ImageResult(picture.name, truth, answer, None if truth is not None else no_class(picture))


def no_class(picture: Picture) -> str:
    """Why the class of an image is not known."""
    if not picture.truth:
        return "Nothing says its class."
    return f"{picture.truth[0][:100]} is not a class of the model."
