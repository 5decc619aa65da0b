"""Have each image of a set classified, several at a time, and keep what came of it."""

import base64
import hashlib
import itertools
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import TypeVar

from predictor.errors import PredictorError
from predictor.evaluation.classes import Classes
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.results import Answer, ImageResult
from predictor.image.decode import Limits
from predictor.image.preview import thumbnail

THUMBNAILS = 1000
"""Images that are wrong or unsure of which a report has a small copy."""
_SIDE = 96

_In = TypeVar("_In")
_Out = TypeVar("_Out")


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
    images: Iterable[LabelledImage],
    classes: Classes,
    classify: Classify,
    threads: int,
    limits: Limits | None = None,
) -> Iterator[ImageResult]:
    """Classify the images whose class is known, and give what came of each image, in their order.

    Args:
        images: the images.
        classes: the model's classes.
        classify: classifies one; called from several threads.
        threads: images that are worked on at a time.
        limits: of images, if small copies of those that are wrong or unsure are wanted.
    """
    thumbnails = Thumbnails(limits)

    def work(image: LabelledImage) -> ImageResult:
        result, data = classified(image, classes, classify)
        worth = result.answer is not None and (not result.right or result.unsure)
        return replace(result, thumbnail=thumbnails.of(data)) if worth else result

    return parallel_map(work, images, threads)


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


def classified(image: LabelledImage, classes: Classes, classify: Classify) -> tuple[ImageResult, bytes]:
    """What came of an image, and its bytes, which are empty where it was not read."""
    if image.left_out:
        return ImageResult(image.name, None, None, image.left_out), b""
    truths = classes.all_of(image.said)
    if not truths and not (image.classless and classes.independent):
        problem = no_class(image, classes.model)
        return ImageResult(image.name, None, None, problem, unknown=bool(image.said)), b""
    truth = truths[0] if truths else None
    try:
        data = image.read()
        digest = hashlib.sha256(data).digest()
        return ImageResult(image.name, truth, classify(data), also=truths[1:], digest=digest), data
    except PredictorError as error:
        return ImageResult(image.name, truth, None, error.detail), b""


def no_class(image: LabelledImage, model: str = "the model") -> str:
    """Why the class of an image is not known; `model` is what the sentence calls the model."""
    if not image.truth:
        return "Nothing says its class."
    return f"{image.called[:100]} is not a class of {model}."
