"""Have a set of pictures classified, and report on it at the end."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from predictor.evaluation.classes import Classes
from predictor.evaluation.pictures import Picture
from predictor.evaluation.report import evaluation
from predictor.evaluation.runner import Classify, ImageResult, Progress, classify_all


def evaluate(
    pictures: Sequence[Picture], classes: Classes, classify: Classify, threads: int
) -> Iterator[Progress | dict[str, Any]]:
    """Classify labelled pictures.

    Args:
        pictures: at least one.
        classes: the model's classes.
        classify: classifies one; called from several threads.
        threads: pictures that are worked on at a time.

    Yields:
        The progress, and at last the report as JSON.

    Raises:
        InvalidRequest: no picture has both a known class and an answer.
    """
    start = time.perf_counter()
    found: list[ImageResult] = []
    for one in classify_all(pictures, classes, classify, threads):
        found.append(one)
        yield Progress(len(found), len(pictures))
    yield evaluation(found, classes, time.perf_counter() - start)
