"""The loaded models of one worker; `predict` takes pictures from end to end.

A prediction takes one reference to the live model and keeps it to the end, so a switch of models
never mixes two in one answer.
"""

import hashlib
import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial

from predictor.config import Settings
from predictor.errors import Internal, ModelNotFound, Overloaded, PredictorError
from predictor.fetch.client import Fetcher
from predictor.image.decode import Limits, decode
from predictor.image.preprocess import to_tensor
from predictor.model.scores import Ranked, rank
from predictor.runtime.batch import Array
from predictor.runtime.cache import Cache
from predictor.runtime.live import Live
from predictor.runtime.loaded import LoadedModel
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
        self._cores = threading.Semaphore(settings.slots)
        self._cache = cache
        self._metrics = metrics
        self._fetcher = fetcher
        self._phase_seconds = {phase: metrics.phase_seconds.labels(phase) for phase in PHASES}
        self._limits = Limits(settings.formats, settings.max_pixels, settings.max_image_bytes)
        self._url_seconds = settings.cache_seconds
        self._max_queue = settings.max_queue
        self._pool = ThreadPoolExecutor(settings.threads, thread_name_prefix="picture")
        self._live = live
        self._other = other
        self._accepted = 0
        self._lock = threading.Lock()

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

    def predict(self, pictures: Sequence[Picture], options: Options) -> Outcome:
        """Say what is on each picture; one bad picture never fails the others.

        Raises:
            NotReady: no model can answer.
            ModelNotFound: no model has the name and version asked for.
            Overloaded: too many pictures are waiting.
        """
        model = self.model(options.model, options.version)
        answer = partial(self._attempt, model, options)
        with self._places(len(pictures), model):
            if len(pictures) == 1:
                answered = [answer(pictures[0])]
            else:
                answered = list(self._pool.map(answer, pictures))
        return Outcome(model, tuple(result for result, _ in answered), self._observed(answered))

    def _observed(self, answered: Sequence[tuple[object, Phases]]) -> Phases:
        """Count every picture's phases; their sums, in the order in which a picture goes through them."""
        total = Phases()
        for phase in PHASES:
            for _, phases in answered:
                if (seconds := phases.seconds.get(phase)) is not None:
                    self._phase_seconds[phase].observe(seconds)
                    total.add(phase, seconds)
        return total

    @contextmanager
    def _places(self, images: int, model: LoadedModel) -> Iterator[None]:
        """Room for a request's pictures; a request that finds nobody waiting is always accepted."""
        with self._lock:
            if self._accepted and self._accepted + images > self._max_queue:
                wait = math.ceil(self._accepted * model.seconds_per_image)
                raise Overloaded("Too many pictures are waiting.", retry_after=max(1, wait))
            self._accepted += images
        self._metrics.queue_images.inc(images)
        try:
            yield
        finally:
            self._metrics.queue_images.dec(images)
            with self._lock:
                self._accepted -= images

    def _attempt(
        self, model: LoadedModel, options: Options, picture: Picture
    ) -> tuple[Prediction | PredictorError, Phases]:
        phases = Phases()
        result: Prediction | PredictorError
        try:
            result = self._answer(model, options, picture, phases)
        except PredictorError as error:
            result = error.bare()
        except Exception:
            log.exception("A picture failed")
            result = Internal("Something went wrong with this picture.")
        outcome = result.code if isinstance(result, PredictorError) else "ok"
        self._metrics.images.labels(model.version.name, model.version.version, outcome).inc()
        return result, phases

    def _answer(self, model: LoadedModel, options: Options, picture: Picture, phases: Phases) -> Prediction:
        if isinstance(picture, PredictorError):
            raise picture
        if options.fresh or options.debug:
            return self._fresh(model, options, picture, phases)
        if isinstance(picture, Encoded):
            return self._encoded(model, options.top_k, picture.data, phases)
        return self._remote(model, options.top_k, picture.url, phases)

    def _fresh(
        self, model: LoadedModel, options: Options, picture: Encoded | Remote, phases: Phases
    ) -> Prediction:
        """Answer without the cache."""
        data = picture.data if isinstance(picture, Encoded) else self._fetched(picture.url, phases)
        tensor = self._tensor(model, data, phases)
        prediction = _prediction(model, self._ranked(model, options.top_k, tensor, phases), cached=False)
        return replace(prediction, trace=Trace(tensor, phases)) if options.debug else prediction

    def _remote(self, model: LoadedModel, top_k: int, url: str, phases: Phases) -> Prediction:
        """Answer for an address, once for all who ask the same at the same time."""
        url_key = f"url:{_sha256(url.encode())}"
        answer = partial(self._known_or_fetched, model, top_k, url, url_key, phases)
        prediction, shared = self._cache.once(_key(model, top_k, url_key), answer)
        if shared:
            self._metrics.cache_requests.labels("shared").inc()
        return replace(prediction, cached=True) if shared else prediction

    def _known_or_fetched(
        self, model: LoadedModel, top_k: int, url: str, url_key: str, phases: Phases
    ) -> Prediction:
        """What an address's picture was a short while ago may be answered already; else it is fetched."""
        if (digest := self._cache.find(url_key)) and (kept := self._cache.find(_key(model, top_k, digest))):
            self._metrics.cache_requests.labels("hit").inc()
            return _prediction(model, kept, cached=True)
        data = self._fetched(url, phases)
        self._cache.keep(url_key, _sha256(data), self._url_seconds)
        return self._encoded(model, top_k, data, phases)

    def _fetched(self, url: str, phases: Phases) -> bytes:
        with phases.measure("fetch"):
            return self._fetcher.fetch(url)

    def _encoded(self, model: LoadedModel, top_k: int, data: bytes, phases: Phases) -> Prediction:
        def answer() -> Ranked:
            return self._ranked(model, top_k, self._tensor(model, data, phases), phases)

        if not self._cache.enabled:
            return _prediction(model, answer(), cached=False)
        ranked, cached = self._cache.answer(_key(model, top_k, _sha256(data)), answer)
        return _prediction(model, ranked, cached=cached)

    def _ranked(self, model: LoadedModel, top_k: int, tensor: Array, phases: Phases) -> Ranked:
        run = model.run(tensor)
        phases.add("queue", run.queued)
        phases.add("infer", run.ran)
        return rank(run.scores, model.spec.activation, top_k)

    def _tensor(self, model: LoadedModel, data: bytes, phases: Phases) -> Array:
        """Prepare a picture when a core is free: more threads at work would only take turns."""
        preprocessing = model.spec.preprocessing
        start = time.perf_counter()
        with self._cores:
            phases.add("queue", time.perf_counter() - start)
            with phases.measure("decode"):
                image = decode(data, self._limits, preprocessing.shortest)
            with phases.measure("preprocess"):
                return to_tensor(image, preprocessing)


def _key(model: LoadedModel, top_k: int, digest: str) -> str:
    return f"answer:{model.version.digest}:{top_k}:{digest}"


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _prediction(model: LoadedModel, ranked: Ranked, *, cached: bool) -> Prediction:
    return Prediction([(index, confidence) for index, confidence in ranked], model.spec.labels, cached)
