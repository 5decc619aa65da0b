"""The loaded models of one worker; `predict` takes pictures from end to end.

A prediction takes one reference to the live model and keeps it to the end, so a switch of models
never mixes two in one answer.
"""

import hashlib
import logging
import re
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from functools import partial

from predictor.config import Settings
from predictor.errors import Internal, ModelNotFound, Overloaded, PredictorError
from predictor.fetch.client import Fetcher
from predictor.image.decode import Limits, decode
from predictor.image.preprocess import to_tensor
from predictor.image.thumbnail import thumbnail
from predictor.inference.active_models import ActiveModels
from predictor.inference.admission import Admission, Deadline
from predictor.inference.batcher import Array, Job, Run
from predictor.inference.cache import Cache
from predictor.inference.loader import LoadedModel
from predictor.inference.prediction import (
    PHASES,
    EncodedImage,
    ImageSource,
    ImageUrl,
    Options,
    Outcome,
    Phases,
    Prediction,
    Trace,
)
from predictor.metrics import Metrics
from predictor.model.scores import Ranked, as_ranked, rank
from predictor.store.registry import DEFAULT

_DIGEST = re.compile("[0-9a-f]{64}")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Request:
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
        return f"answer:{self.model.version.digest}:{self.options.top_k}:{digest}"

    def read(self, kept: object) -> Ranked | None:
        """The answer that was kept there; None if it cannot be this model's."""
        spec = self.model.spec
        return as_ranked(kept, len(spec.labels), spec.activation, self.options.top_k)

    def rank(self, scores: Array) -> Ranked:
        """The answer that the model's scores give, of shape [classes]."""
        return rank(scores, self.model.spec.activation, self.options.top_k)


@dataclass(frozen=True)
class _Begun:
    """An image that was looked up, and whose answer is known or on its way.

    Attributes:
        known: the answer that was kept.
        run: where the answer comes from otherwise.
        job: how this request has it computed; None if another request does so already.
        key: where the answer is to be kept, if anywhere.
    """

    known: Ranked | None = None
    run: Future[Run] | None = None
    job: Job | None = None
    key: str | None = None


Answer = Callable[[], Prediction]
"""Gives an image's answer, or raises its error."""


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
        live: ActiveModels,
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
        max_downloads = max(settings.max_queue, settings.max_batch)
        self._pool = ThreadPoolExecutor(max_downloads, thread_name_prefix="picture")
        self._previews = threading.Semaphore(settings.concurrency)
        self._active = live
        self._other = other

    def model(self, name: str = DEFAULT, version: int | None = None) -> LoadedModel:
        """The model that answers a request.

        Raises:
            NotReady: nothing is loaded; the sentence says why.
            ModelNotFound: no model has that name and version.
        """
        model = self._active.models().get(name)
        if version is not None and (model is None or version != model.version.version):
            return self._other(name, version)
        if model is None:
            raise ModelNotFound("No model has that name, or none of its versions can serve.")
        return model

    def predict(
        self, images: Sequence[ImageSource], options: Options, deadline: Deadline | None = None
    ) -> Outcome:
        """Say what is on each image; one bad image never fails the others.

        Args:
            images: what to look at.
            options: what was chosen.
            deadline: until when the answer is wanted; by default however long it takes.

        Raises:
            NotReady: no model can answer.
            ModelNotFound: no model has the name and version asked for.
            Overloaded: too many pictures are waiting.
        """
        deadline = deadline or Deadline()
        model = self.model(options.model, options.version)
        asked = [_Request(model, options, deadline) for _ in images]
        with self.admission.reserve(len(images), model.runner.seconds_per_image, deadline):
            answers = self._answers(asked, images)
            results = [self._attempt(one, answer) for one, answer in zip(asked, answers, strict=True)]
        return Outcome(model, tuple(results), self._observed([one.phases for one in asked]))

    def _answers(self, asked: Sequence[_Request], images: Sequence[ImageSource]) -> list[Answer]:
        """Begin with all images: downloads go side by side, and what is here already runs together."""
        if len(images) == 1 and isinstance(images[0], ImageUrl):
            return [partial(self._remote, asked[0], images[0].url)]
        answers, jobs = list[Answer](), list[Job]()
        for one, image in zip(asked, images, strict=True):
            if isinstance(image, ImageUrl):
                answers.append(self._pool.submit(self._remote, one, image.url).result)
            elif isinstance(image, EncodedImage):
                begun = self._begin(one, image.data)
                jobs += [begun.job] if begun.job else []
                answers.append(partial(self._finish, one, image.data, begun))
            else:
                answers.append(partial(_fail, image))
        if jobs:
            asked[0].model.submit(jobs)
        return answers

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

    def _attempt(self, asked: _Request, answer: Answer) -> Prediction | PredictorError:
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

    def _remote(self, asked: _Request, url: str) -> Prediction:
        """Answer for a URL, once for all who ask the same at the same time."""
        if not asked.cacheable:
            return self._encoded(asked, self._fetched(asked, url))
        url_key = f"url:{_sha256(url.encode())}"
        while True:
            try:
                answer = partial(self._known_or_fetched, asked, url, url_key)
                prediction, shared = self._cache.once(asked.key_of(url_key), answer)
            except Overloaded as error:
                # It may be another caller who waits no longer, and whose answer this one shared.
                if not asked.deadline.still_wanted():
                    raise
                error.bare()
                continue
            if shared:
                self._metrics.count_cache("shared")
            return replace(prediction, cached=True) if shared else prediction

    def _known_or_fetched(self, asked: _Request, url: str, url_key: str) -> Prediction:
        """What a URL's image was a short while ago may be answered already; else it is fetched."""
        digest = self._cache.find(url_key, _as_digest)
        if digest is not None and (kept := self._cache.known(asked.key_of(digest), asked.read)):
            self._metrics.count_cache("hit")
            return _prediction(asked.model, kept, cached=True)
        data = self._fetched(asked, url)
        self._cache.keep(url_key, _sha256(data), self._url_seconds)
        return self._encoded(asked, data)

    def _fetched(self, asked: _Request, url: str) -> bytes:
        with asked.phases.measure("fetch"):
            return self._fetcher.fetch(url)

    def _encoded(self, asked: _Request, data: bytes) -> Prediction:
        begun = self._begin(asked, data)
        if begun.job:
            asked.model.submit([begun.job])
        return self._finish(asked, data, begun)

    def _begin(self, asked: _Request, data: bytes) -> _Begun:
        """Look an image up; what fails here fails when its answer is asked for."""
        try:
            return self._looked_up(asked, data)
        except Exception as error:  # noqa: BLE001 (raised again in `_finish`)
            failed = Future[Run]()
            failed.set_exception(error)
            return _Begun(run=failed)

    def _looked_up(self, asked: _Request, data: bytes) -> _Begun:
        if not (self._cache.enabled and asked.cacheable):
            job = self._job(asked, data)
            return _Begun(run=job.future, job=job)
        key = asked.key_of(_sha256(data))
        while (known := self._cache.known(key, asked.read)) is None:
            job = self._job(asked, data)
            run = self._cache.share(key, job.future, lambda run: run.value)
            if run is not None:
                return _Begun(run=run, job=job, key=key) if run is job.future else _Begun(run=run)
        return _Begun(known=known)

    def _job(self, asked: _Request, data: bytes) -> Job:
        return asked.model.job(partial(self._tensor, asked, data), asked.rank, asked.check)

    def _finish(self, asked: _Request, data: bytes, begun: _Begun) -> Prediction:
        """Wait for an image's answer, and keep it."""
        if begun.run is None:
            self._metrics.count_cache("hit")
            return _prediction(asked.model, begun.known or [], cached=True)
        try:
            run = begun.run.result()
        except Overloaded as error:
            # It may be another caller who waits no longer, and whose answer this one shared.
            if begun.job or not asked.deadline.still_wanted():
                raise
            error.bare()
            return self._encoded(asked, data)
        if begun.job is None:
            self._metrics.count_cache("shared")
            return _prediction(asked.model, run.value, cached=True)
        return self._computed(asked, run, begun.job, begun.key)

    def _computed(self, asked: _Request, run: Run, job: Job, key: str | None) -> Prediction:
        asked.phases.add("queue", run.queued)
        asked.phases.add("infer", run.ran)
        if key is not None:
            self._metrics.count_cache("miss")
            self._cache.keep(key, run.value)
        prediction = _prediction(asked.model, run.value, cached=False)
        if asked.options.debug and job.tensor is not None:
            return replace(prediction, trace=Trace(job.tensor, asked.phases))
        return prediction

    def _tensor(self, asked: _Request, data: bytes) -> Array:
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


def _as_digest(kept: object) -> str | None:
    return kept if isinstance(kept, str) and _DIGEST.fullmatch(kept) else None


def _fail(error: PredictorError) -> Prediction:
    raise error


def _prediction(model: LoadedModel, ranked: Ranked, *, cached: bool) -> Prediction:
    return Prediction([(index, confidence) for index, confidence in ranked], model.spec.labels, cached)
