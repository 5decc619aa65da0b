"""The loaded models of one worker; `predict` takes pictures from end to end.

A prediction takes one reference to the live model and keeps it to the end, so a switch of models
never mixes two in one answer.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial

from predictor.config import Settings
from predictor.errors import Internal, ModelNotFound, Overloaded, PredictorError
from predictor.fetch.client import Fetcher
from predictor.image.decode import Limits, decode
from predictor.image.preprocess import to_tensor
from predictor.image.thumbnail import thumbnail
from predictor.model.scores import Ranked, rank
from predictor.runtime.admission import Admission, Caller
from predictor.runtime.batch import Array, Prepare
from predictor.runtime.cache import Cache
from predictor.runtime.live import Live
from predictor.runtime.loaded import LoadedModel
from predictor.runtime.many import by_threads
from predictor.runtime.metrics import Metrics
from predictor.runtime.prediction import (
    PHASES,
    Encoded,
    Options,
    Outcome,
    Phases,
    Picture,
    Prediction,
    Remote,
    Trace,
)
from predictor.store.registry import DEFAULT

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Asked:
    """What one picture is asked for, and its times so far."""

    model: LoadedModel
    options: Options
    caller: Caller
    phases: Phases

    def wanted(self) -> None:
        """Raise Overloaded if by now nobody waits for the answer."""
        if not self.caller.waits():
            raise Overloaded("The answer would come after its deadline.")

    def key(self, digest: str) -> str:
        """Where the answer is kept that a picture of this digest has."""
        return f"answer:{self.model.version.digest}:{self.options.top_k}:{digest}"


class Engine:
    """Predicts, for every way in: pages, API, command line.

    Args:
        settings: limits.
        cache: answers already computed.
        metrics: counters.
        fetcher: downloads pictures.

        live: the models that serve.
        other: gives a version that is not live, by its name and number.
    """

    def __init__(
        self,
        settings: Settings,
        cache: Cache,
        metrics: Metrics,
        fetcher: Fetcher,
        *,
        live: Live,
        other: Callable[[str, int], LoadedModel],
    ) -> None:
        self._cache = cache
        self._metrics = metrics
        self._fetcher = fetcher
        self._phase_seconds = {phase: metrics.phase_seconds.labels(phase) for phase in PHASES}
        self._limits = Limits(settings.formats, settings.max_pixels, settings.max_image_bytes)
        self._url_seconds = settings.cache_seconds
        self.admission = Admission(settings)
        # Downloads wait side by side: there is a thread for each picture that may be accepted.
        most = max(settings.max_queue, settings.max_batch)
        self._pool = ThreadPoolExecutor(most, thread_name_prefix="picture")
        self._previews = threading.Semaphore(settings.slots)
        self._live = live
        self._other = other

    def model(self, name: str = DEFAULT, version: int | None = None) -> LoadedModel:
        """The model that answers a request.

        Raises:
            NotReady: nothing is loaded; the sentence says why.
            ModelNotFound: no model has that name and version.
        """
        model = self._live.models().get(name)
        if version is not None and (model is None or version != model.version.version):
            return self._other(name, version)
        if model is None:
            raise ModelNotFound("No model has that name, or no version of it can serve.")
        return model

    def predict(self, pictures: Sequence[Picture], options: Options, caller: Caller | None = None) -> Outcome:
        """Say what is on each picture; one bad picture never fails the others.

        Args:
            pictures: what to look at.
            options: what was chosen.
            caller: who waits; by default somebody who waits as long as it takes.

        Raises:
            NotReady: no model can answer.
            ModelNotFound: no model has the name and version asked for.
            Overloaded: too many pictures are waiting.
        """
        caller = caller or Caller()
        model = self.model(options.model, options.version)
        with self.admission.places(len(pictures), model.runner.seconds_per_image, caller):
            asked = [(_Asked(model, options, caller, Phases()), picture) for picture in pictures]
            threads = model.processor.threads
            results = self._many(asked, threads) if len(asked) > 1 else [self._attempt(*asked[0])]
        return Outcome(model, tuple(results), self._observed([ask.phases for ask, _ in asked]))

    def _many(self, asked: "list[tuple[_Asked, Picture]]", threads: int) -> list[Prediction | PredictorError]:
        # Downloads wait side by side.
        remote = sum(isinstance(picture, Remote) for _, picture in asked)
        return by_threads(self._pool, remote + threads, lambda one: self._attempt(*one), asked)

    def preview(self, data: bytes) -> bytes:
        """A small copy of a picture, as a JPEG; as few are made at a time as pictures are computed.

        Raises:
            ImageError: the picture cannot be opened within the limits.
        """
        with self._previews:
            return thumbnail(data, self._limits)

    def _observed(self, answered: Sequence[Phases]) -> Phases:
        """Count every picture's phases; their sums, in the order in which a picture goes through them."""
        total = Phases()
        for phase in PHASES:
            for phases in answered:
                if (seconds := phases.seconds.get(phase)) is not None:
                    self._phase_seconds[phase].observe(seconds)
                    total.add(phase, seconds)
        return total

    def _attempt(self, asked: _Asked, picture: Picture) -> Prediction | PredictorError:
        result: Prediction | PredictorError
        try:
            result = self._answer(asked, picture)
        except PredictorError as error:
            result = error.bare()
        except Exception as error:
            log.exception("A picture failed")
            error.with_traceback(None)
            result = Internal("Something went wrong with this picture.")
        version = asked.model.version
        outcome = result.code if isinstance(result, PredictorError) else "ok"
        self._metrics.count_image(version.name, version.version, outcome)
        return result

    def _answer(self, asked: _Asked, picture: Picture) -> Prediction:
        if isinstance(picture, PredictorError):
            raise picture
        if asked.options.fresh or asked.options.debug:
            return self._fresh(asked, picture)
        while True:
            try:
                if isinstance(picture, Encoded):
                    return self._encoded(asked, picture.data)
                return self._remote(asked, picture.url)
            except Overloaded as error:
                # It may be another caller who waits no longer, and whose picture this one shared.
                if not asked.caller.waits():
                    raise
                error.bare()

    def _fresh(self, asked: _Asked, picture: Encoded | Remote) -> Prediction:
        """Answer without the cache."""
        data = picture.data if isinstance(picture, Encoded) else self._fetched(asked, picture.url)
        made = list[Array]()

        def prepare() -> Array:
            made.append(self._tensor(asked, data))
            return made[0]

        prediction = _prediction(asked.model, self._ranked(asked, prepare), cached=False)
        return replace(prediction, trace=Trace(made[0], asked.phases)) if asked.options.debug else prediction

    def _remote(self, asked: _Asked, url: str) -> Prediction:
        """Answer for an address, once for all who ask the same at the same time."""
        url_key = f"url:{_sha256(url.encode())}"
        answer = partial(self._known_or_fetched, asked, url, url_key)
        prediction, shared = self._cache.once(asked.key(url_key), answer)
        if shared:
            self._metrics.count_cache("shared")
        return replace(prediction, cached=True) if shared else prediction

    def _known_or_fetched(self, asked: _Asked, url: str, url_key: str) -> Prediction:
        """What an address's picture was a short while ago may be answered already; else it is fetched."""
        if (digest := self._cache.find(url_key)) and (kept := self._cache.known(asked.key(digest))):
            self._metrics.count_cache("hit")
            return _prediction(asked.model, kept, cached=True)
        data = self._fetched(asked, url)
        self._cache.keep(url_key, _sha256(data), self._url_seconds)
        return self._encoded(asked, data)

    def _fetched(self, asked: _Asked, url: str) -> bytes:
        with asked.phases.measure("fetch"):
            return self._fetcher.fetch(url)

    def _encoded(self, asked: _Asked, data: bytes) -> Prediction:
        def answer() -> Ranked:
            return self._ranked(asked, partial(self._tensor, asked, data))

        if not self._cache.enabled:
            return _prediction(asked.model, answer(), cached=False)
        ranked, cached = self._cache.answer(asked.key(_sha256(data)), answer)
        return _prediction(asked.model, ranked, cached=cached)

    def _ranked(self, asked: _Asked, prepare: Prepare) -> Ranked:
        run = asked.model.run(prepare, asked.wanted)
        asked.phases.add("queue", run.queued)
        asked.phases.add("infer", run.ran)
        return rank(run.scores, asked.model.spec.activation, asked.options.top_k)

    def _tensor(self, asked: _Asked, data: bytes) -> Array:
        preprocessing = asked.model.spec.preprocessing
        start = time.perf_counter()
        image = decode(data, self._limits, preprocessing.shortest)
        decoded = time.perf_counter()
        tensor = to_tensor(image, preprocessing)
        asked.phases.add("decode", decoded - start)
        asked.phases.add("preprocess", time.perf_counter() - decoded)
        return tensor


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _prediction(model: LoadedModel, ranked: Ranked, *, cached: bool) -> Prediction:
    return Prediction([(index, confidence) for index, confidence in ranked], model.spec.labels, cached)
