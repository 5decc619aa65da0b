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
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial

from predictor.config import Settings
from predictor.errors import Internal, ModelNotFound, Overloaded, PredictorError
from predictor.fetch.client import Fetcher
from predictor.image.decode import Limits, decode
from predictor.image.preprocess import to_tensor
from predictor.image.thumbnail import thumbnail
from predictor.model.scores import Ranked, as_ranked, rank
from predictor.runtime.admission import Admission, Caller
from predictor.runtime.batch import Array
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
from predictor.runtime.together import Tensor, Together
from predictor.store.registry import DEFAULT

_DIGEST = re.compile("[0-9a-f]{64}")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Asked:
    """What one picture is asked for, and its times so far.

    Attributes:
        together: runs it with other pictures of the same request.
        place: names it there.
        key: where its answer is kept, if that is known already.
        missing: whether it was looked for there in vain.
    """

    model: LoadedModel
    options: Options
    caller: Caller
    phases: Phases
    together: Together | None = None
    place: int = 0
    key: str | None = None
    missing: bool = False

    def wanted(self) -> None:
        """Raise Overloaded if by now nobody waits for the answer."""
        if not self.caller.waits():
            raise Overloaded("The answer would come after its deadline.")

    def key_of(self, digest: str) -> str:
        """Where the answer is kept that a picture of this digest has."""
        return f"answer:{self.model.version.digest}:{self.options.top_k}:{digest}"

    def read(self, kept: object) -> Ranked | None:
        """The answer that was kept there; None if it cannot be this model's."""
        spec = self.model.spec
        return as_ranked(kept, len(spec.labels), spec.activation, self.options.top_k)


_Picture = tuple[_Asked, Picture]


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
            results = self._many(model, asked) if len(asked) > 1 else [self._attempt(*asked[0])]
        return Outcome(model, tuple(results), self._observed([ask.phases for ask, _ in asked]))

    def _many(self, model: LoadedModel, asked: list[_Picture]) -> list[Prediction | PredictorError]:
        # Downloads wait side by side, and begin before anything is computed.
        groups = [[place] for place, (_, picture) in enumerate(asked) if isinstance(picture, Remote)]
        threads = len(groups) + model.processor.threads
        here = [place for place, (_, picture) in enumerate(asked) if not isinstance(picture, Remote)]
        size = model.processor.together(model.runner, len(here))
        groups += [here[first : first + size] for first in range(0, len(here), size or 1)]

        def answer(places: list[int]) -> list[Prediction | PredictorError]:
            return self._together([asked[place] for place in places])

        results = dict[int, Prediction | PredictorError]()
        for places, found in zip(groups, by_threads(self._pool, threads, answer, groups), strict=True):
            results |= zip(places, found, strict=True)
        return [results[place] for place in range(len(asked))]

    def _together(self, group: list[_Picture]) -> list[Prediction | PredictorError]:
        """Answer what one thread takes of a request; what must be computed runs together."""
        if len(group) == 1:
            return [self._attempt(*group[0])]
        model, wanted = group[0][0].model, group[0][0].wanted
        together = Together(lambda prepare, most: model.run(prepare, wanted, most))
        joined = group
        # What fails here fails again where it is the error of a single picture.
        with suppress(Exception):
            joined = [
                (self._join(together, replace(asked, place=place), picture), picture)
                for place, (asked, picture) in enumerate(group)
            ]
        return [self._attempt(asked, picture) for asked, picture in joined]

    def _join(self, together: Together, asked: _Asked, picture: Picture) -> _Asked:
        """Have a picture run with the others if it must be computed."""
        # An answer that says how it came about has a run of its own.
        if not isinstance(picture, Encoded) or asked.options.debug:
            return asked
        if self._cache.enabled and not asked.options.fresh:
            key = asked.key_of(_sha256(picture.data))
            asked = replace(asked, key=key, missing=self._cache.known(key, asked.read) is None)
            if not asked.missing:
                return asked
        together.add(asked.place, partial(self._tensor, asked, picture.data), asked.key)
        return replace(asked, together=together)

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
        prediction, shared = self._cache.once(asked.key_of(url_key), answer)
        if shared:
            self._metrics.count_cache("shared")
        return replace(prediction, cached=True) if shared else prediction

    def _known_or_fetched(self, asked: _Asked, url: str, url_key: str) -> Prediction:
        """What an address's picture was a short while ago may be answered already; else it is fetched."""
        digest = self._cache.find(url_key, _as_digest)
        if digest is not None and (kept := self._cache.known(asked.key_of(digest), asked.read)):
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
        key = asked.key or asked.key_of(_sha256(data))
        ranked, cached = self._cache.answer(key, answer, asked.read, missing=asked.missing)
        return _prediction(asked.model, ranked, cached=cached)

    def _ranked(self, asked: _Asked, prepare: Tensor) -> Ranked:
        if asked.together:
            run = asked.together.run(asked.place, prepare)
        else:
            run = asked.model.run(lambda: [prepare()], asked.wanted)
        asked.phases.add("queue", run.queued)
        asked.phases.add("infer", run.ran)
        return rank(run.scores[0], asked.model.spec.activation, asked.options.top_k)

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


def _as_digest(kept: object) -> str | None:
    return kept if isinstance(kept, str) and _DIGEST.fullmatch(kept) else None


def _prediction(model: LoadedModel, ranked: Ranked, *, cached: bool) -> Prediction:
    return Prediction([(index, confidence) for index, confidence in ranked], model.spec.labels, cached)
