"""The loaded models of one worker; `predict` takes images from end to end.

A prediction takes one reference to the live model and keeps it to the end, so a switch of models
never mixes two in one answer.
"""

import functools
import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace

from predictor.config import Settings
from predictor.errors import Internal, PredictorError
from predictor.fetch.client import Fetcher
from predictor.image.decode import Limits
from predictor.image.preview import thumbnail
from predictor.inference.active_models import ActiveModels
from predictor.inference.admission import Admission, Deadline
from predictor.inference.answers import Answer, Answers
from predictor.inference.cache import Cache
from predictor.inference.loader import LoadedModel
from predictor.inference.prediction import (
    PHASES,
    ImageSource,
    Options,
    Outcome,
    Phases,
    Prediction,
    Question,
)
from predictor.metrics import Metrics
from predictor.statistics import Outcome as Counted
from predictor.store.registry import DEFAULT

log = logging.getLogger(__name__)


class Engine:
    """Predicts, for every way in: pages, API, command line.

    Args:
        settings: limits.
        cache: answers already computed.
        metrics: counters.
        fetcher: downloads images.
        live: the models that serve.
        other: gives a version that is not live, by its name and number; without a number it raises the
            error of a name that has no live model.

    Attributes:
        admission: counts the images that were accepted.
        fetcher: downloads images.
        joined: raises NotReady until this machine serves what the others do; None if there are none.
    """

    def __init__(
        self,
        settings: Settings,
        cache: Cache,
        metrics: Metrics,
        fetcher: Fetcher,
        *,
        live: ActiveModels,
        other: Callable[[str, int | None], LoadedModel],
    ) -> None:
        self._metrics = metrics
        # `labels` checks its arguments and takes a lock, which costs more than the counting itself.
        self._phase_seconds = functools.cache(metrics.phase_seconds.labels)
        # A series that is made now opens its file now, which may be gone later.
        for phase in PHASES:
            self._phase_seconds(phase, DEFAULT)
        self._limits = Limits.of(settings)
        self._exact = settings.jpeg == "exact"
        self._caching = cache.enabled
        self._answers = Answers(settings, cache, fetcher, metrics.count_cache)
        self.admission = Admission(settings)
        self.fetcher = fetcher
        self._previews = threading.Semaphore(settings.concurrency)
        self._active = live
        self._other = other
        self.joined: Callable[[], None] | None = None

    def model(self, name: str = DEFAULT, version: int | None = None) -> LoadedModel:
        """The model that answers a request.

        Raises:
            NotReady: nothing is loaded; the sentence says why.
            ModelNotFound: no model has that name and version.
        """
        if self.joined is not None:
            self.joined()
        model = self._active.models().get(name)
        if model is None or version not in (None, model.version.version):
            return self._other(name, version)
        return model

    def predict(
        self,
        images: Sequence[ImageSource],
        options: Options,
        deadline: Deadline | None = None,
        model: LoadedModel | None = None,
    ) -> Outcome:
        """Say what is on each image; one bad image never fails the others.

        Args:
            images: what to look at.
            options: what was chosen.
            deadline: until when the answer is wanted; by default however long it takes.
            model: what answers; by default the one that the options name.

        Raises:
            NotReady: no model can answer.
            ModelNotFound: no model has the name and version asked for.
            Overloaded: too many images are waiting.
        """
        start, deadline = time.perf_counter(), deadline or Deadline()
        model = model or self.model(options.model, options.version)
        chosen = replace(options, exact=True) if self._exact else options
        asked = [Question(model, chosen, deadline) for _ in images]
        with self.admission.reserve(len(images), model.runner.seconds_per_image, deadline):
            answers = self._answers.begin(asked, images)
            lookup = time.perf_counter() - start
            results = [self._attempt(one, answer) for one, answer in zip(asked, answers, strict=True)]
        version, images_phases = model.version, tuple(one.phases for one in asked)
        phases, spent = self._observed(version.name, images_phases), None
        outcome = _outcome(results, cached=self._caching and asked[0].cacheable)
        if outcome in {"miss", "uncached"}:
            spent = {phase: seconds / len(images) for phase, seconds in phases.seconds.items()}
            spent["lookup"] = lookup
        seconds = time.perf_counter() - start
        self._metrics.count_inference(version.name, version.version, outcome, seconds, spent)
        return Outcome(model, tuple(results), phases, images_phases)

    def preview(self, data: bytes) -> bytes:
        """A small copy of an image, as a JPEG; as few are made at a time as images are computed.

        Raises:
            ImageError: the image cannot be opened within the limits.
        """
        with self._previews:
            return thumbnail(data, self._limits)

    def _observed(self, name: str, answered: Sequence[Phases]) -> Phases:
        """Count the phases of every image, and add them up in the order of the work."""
        total = Phases()
        for phase in PHASES:
            for phases in answered:
                if (seconds := phases.seconds.get(phase)) is not None:
                    self._phase_seconds(phase, name).observe(seconds)
                    total.add(phase, seconds)
        return total

    def _attempt(self, asked: Question, answer: Answer) -> Prediction | PredictorError:
        result: Prediction | PredictorError
        try:
            result = answer()
        except PredictorError as error:
            result = error.bare()
        except Exception as error:
            log.exception("An image failed")
            error.with_traceback(None)
            result = Internal("The service failed on this image; its log has the reason.")
        version = asked.model.version
        outcome = result.code if isinstance(result, PredictorError) else "ok"
        self._metrics.count_image(version.name, version.version, outcome)
        return result


def _outcome(results: Sequence[Prediction | PredictorError], *, cached: bool) -> Counted:
    """What became of a request, by its images and by whether the cache was asked."""
    known = [result.cached for result in results if not isinstance(result, PredictorError)]
    if len(known) < len(results):
        return "fail"
    if not cached:
        return "uncached"
    return "hit" if all(known) else "miss"
