"""Explanations of a worker's models: the choice of a method, its runs, and what comes of them.

A class activation map is one run, in the queue of the predictions. The runs with masks go through the same
batcher, but only while no prediction waits there; the places of the admission and the deadline are those of
a prediction.
"""

import hashlib
import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import numpy as np

from predictor.config import Settings
from predictor.cores import cores
from predictor.errors import InvalidRequest, NotReady, Overloaded, PredictorError
from predictor.explaining import methods
from predictor.explaining.explanation import AskedImage, Explanation, Method, Wanted, overlay
from predictor.explaining.feature_maps import FeatureMaps
from predictor.explaining.methods import Features
from predictor.image.decode import Limits
from predictor.inference.admission import Deadline
from predictor.inference.engine import Engine
from predictor.inference.job import Array, Job, Runner
from predictor.inference.loader import LoadedModel
from predictor.inference.prediction import EncodedImage, ImageSource, ImageUrl
from predictor.model.scores import calibrated
from predictor.model.session import Stop

RUNS = (256, 128)
"""Masks of an explanation, the more the better; fewer where the deadline is near."""

_AT_ONCE = 16
_CPU = "CPUExecutionProvider"
_NO_FEATURES = (
    "The scores of this model are not a linear layer of features that are averaged over all places, so it "
    "has no class activation map. Use the method masks or auto."
)


class Explainer:
    """Explains what a worker's models answer.

    Args:
        settings: limits.
        engine: takes on images, and downloads them.
        maps: models with their features.
    """

    def __init__(self, settings: Settings, engine: Engine, maps: FeatureMaps) -> None:
        self._limits = Limits.of(settings)
        self._exact = settings.jpeg == "exact"
        self._engine = engine
        self._maps = maps
        # Each holds a thread of the server for seconds.
        self._turns = threading.BoundedSemaphore(max(1, settings.threads // 8))
        self._overlays = threading.Semaphore(settings.concurrency)

    def explain(
        self, model: LoadedModel, image: ImageSource, wanted: Wanted, deadline: Deadline | None = None
    ) -> Explanation:
        """Find out which parts of an image speak for a class.

        Args:
            model: whose answer is explained.
            image: as bytes or as a URL.
            wanted: the class and the method.
            deadline: until when the answer is wanted.

        Raises:
            InvalidRequest: the model has no class activation map, and only that was wanted.
            NotReady: whether it has one cannot be found out now, and only that was wanted.
            Overloaded: too much waits, or there is not enough time.
            FetchError, ImageError: the image cannot be had or opened.
        """
        deadline = deadline or Deadline()
        with self._engine.admission.reserve(1, model.runner.seconds_per_image, deadline):
            asked = self._asked(model, image, deadline, exact=wanted.exact or self._exact)
            features = self._features(model, wanted.method, deadline)
            if features is not None:
                return _by_features(asked, features, wanted.index)
            count = _affordable(model, deadline)
            with self._turn(_seconds(model, count)):
                return _by_masks(asked, count, wanted.index)

    def overlay(self, explanation: Explanation) -> bytes:
        """The map over its image, as a PNG; as few are made at a time as images are computed."""
        width, height = explanation.size
        left, top, right, bottom = explanation.box
        box = left / width, top / height, right / width, bottom / height
        with self._overlays:
            return overlay(explanation.image, explanation.grid, box, explanation.text())

    def _asked(
        self, model: LoadedModel, image: ImageSource, deadline: Deadline, *, exact: bool
    ) -> AskedImage:
        start = time.perf_counter()
        if isinstance(image, PredictorError):
            raise image
        if isinstance(image, ImageUrl):
            data = self._engine.fetcher.download(image.url).data
        elif isinstance(image, EncodedImage):
            data = image.data
        else:
            raise InvalidRequest("Send the image as a file or its URL.")
        asked = AskedImage(data, model, self._limits, deadline, exact=exact)
        if isinstance(image, ImageUrl):
            asked.phases.add("fetch", time.perf_counter() - start)
        return asked

    def _features(self, model: LoadedModel, method: Method, deadline: Deadline) -> Features | None:
        """The model with its features; None for masks."""
        if method == "masks":
            return None
        try:
            found = self._maps.of(model, deadline)
        except NotReady:
            if method == "cam":
                raise
            return None
        if found is None and method == "cam":
            raise InvalidRequest(_NO_FEATURES)
        return found

    @contextmanager
    def _turn(self, seconds: float) -> Iterator[None]:
        if not self._turns.acquire(blocking=False):
            raise Overloaded(
                "Other explanations by masks are under way; try again.", retry_after=max(1, round(seconds))
            )
        try:
            yield
        finally:
            self._turns.release()


def _affordable(model: LoadedModel, deadline: Deadline) -> int:
    """How many masks there is time for.

    Raises:
        Overloaded: not enough of them.
    """
    # One core is left to predictions.
    free = max(1, cores() - 1)
    count = next((count for count in RUNS if deadline.still_wanted(_seconds(model, count) / free)), None)
    if count is None:
        seconds = _seconds(model, RUNS[-1]) / free
        raise Overloaded(
            f"An explanation by masks needs {RUNS[-1]} masked images, about {seconds:.0f} s, and its "
            "deadline is sooner. Send a later one as X-Request-Deadline-Ms."
        )
    return count


def _seconds(model: LoadedModel, count: int) -> float:
    """What so many masks take a core; those that share a run of a graph of fixed batch size take one run."""
    runner, batch = model.runner, model.spec.batch
    if batch is None:
        return count * runner.seconds_per_image
    return math.ceil(count / batch) * runner.seconds_per_run


def _same(scores: Array) -> Array:
    # A batch of scores is not kept for one row of it.
    return scores.copy()


def _by_features(asked: AskedImage, features: Features, index: int | None) -> Explanation:
    model = asked.model
    row = _run(asked, Job(features.runner, asked.tensor, _same, asked.check))
    scores, places = features.split(row)
    found = calibrated(scores, model.spec)
    chosen = int(found.argmax()) if index is None else index
    return asked.explained(chosen, found, features.class_map(places, chosen), 1)


def _by_masks(asked: AskedImage, count: int, index: int | None) -> Explanation:
    model = asked.model
    job = Job(model.runner, asked.tensor, _same, asked.check)
    found = calibrated(_run(asked, job), model.spec)
    chosen = int(found.argmax()) if index is None else index
    # Of the bytes, so that an image is explained the same way each time.
    seed = int.from_bytes(hashlib.sha256(asked.data).digest()[:8], "big")
    shown = methods.patterns(count, seed)
    with asked.phases.measure("infer"):
        masker = methods.Masker(asked.seen.tensor, model.spec.preprocessing.layout)
        values = _masked(asked, masker, shown, chosen)
    fit = methods.fit(shown, np.array(values))
    return asked.explained(chosen, found, fit.grid, count, fit.fidelity)


def _masked(asked: AskedImage, masker: methods.Masker, shown: Array, index: int) -> list[float]:
    """The confidence of a class under each mask."""
    model = asked.model
    # Small runs on a CPU, which end for a prediction.
    stops = model.provider == _CPU
    small = stops and model.spec.batch is None
    runner = Runner(
        model.runner,
        max_batch=1 if small else model.runner.max_batch,
        seconds=model.runner.seconds_per_image,
        observe=lambda _: None,
    )

    def confidence(scores: Array) -> float:
        return float(calibrated(scores, model.spec)[index])

    values = list[float]()
    # As many as fill a batch on each core: one of a graph of fixed size takes as long if it is not full.
    step = max(_AT_ONCE, runner.max_batch * (cores() if stops else 2))
    for first in range(0, len(shown), step):
        jobs = [
            Job(
                runner,
                partial(masker.hidden, pattern),
                confidence,
                asked.check,
                stop=Stop() if stops else None,
            )
            for pattern in shown[first : first + step]
        ]
        model.batcher.run_spare(jobs)
        values += [job.future.result(0).value for job in jobs]
    return values


def _run(asked: AskedImage, job: Job) -> Array:
    asked.model.run(job)
    run = job.future.result()
    asked.phases.add("queue", run.queued)
    asked.phases.add("infer", run.ran)
    row: Array = run.value
    return row
