"""From one image to its ranked classes: the cache, the download, the queue of the model.

Equal images that are asked for at the same time are computed once.
"""

import hashlib
import re
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from predictor.config import Settings
from predictor.errors import Overloaded
from predictor.fetch.client import Download, Fetcher
from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import to_tensor
from predictor.inference.cache import Cache
from predictor.inference.job import Array, Job, Run
from predictor.inference.prediction import (
    EncodedImage,
    ImageSource,
    ImageUrl,
    Prediction,
    PreparedImage,
    Question,
    Trace,
)

Content = bytes | Array
"""An image's file, or the model's own input that was made of it."""

_DIGEST = re.compile("[0-9a-f]{64}")


@dataclass(frozen=True)
class _Begun:
    """An image that was looked up, and whose answer is known or on its way.

    Attributes:
        known: the answer that was kept.
        run: where the answer comes from otherwise.
        job: how this request has it computed; None if another request does so already.
        key: where the answer is to be kept, if anywhere.
    """

    known: Any = None
    run: Future[Run] | None = None
    job: Job | None = None
    key: str | None = None


Answer = Callable[[], Prediction]
"""Gives an image's answer, or raises its error."""


class Answers:
    """Finds or computes the answers for images.

    Args:
        settings: limits.
        cache: answers already computed.
        fetcher: downloads images.
        count: told what each look-up in the cache gave: hit, miss or shared.
    """

    def __init__(
        self, settings: Settings, cache: Cache, fetcher: Fetcher, count: Callable[[str], None]
    ) -> None:
        self._cache = cache
        self._fetcher = fetcher
        self._count = count
        self._limits = Limits.of(settings)
        self._url_seconds = settings.cache_seconds
        # Downloads wait side by side: there is a thread for each image that may be accepted.
        max_downloads = max(settings.max_queue, settings.max_batch)
        self._pool = ThreadPoolExecutor(max_downloads, thread_name_prefix="download")

    def begin(self, asked: Sequence[Question], images: Sequence[ImageSource]) -> list[Answer]:
        """Begin with all images of a request: downloads go side by side, and what is here runs together.

        Args:
            asked: what each image is asked for; all ask the same model.
            images: at least one.

        Returns:
            What gives each answer, or raises its error.
        """
        if len(images) == 1:
            return [partial(self._alone, asked[0], images[0])]
        # First what may fail: others may wait from then on for an image that is looked up.
        downloads = self._downloads(asked, images)
        answers, jobs = list[Answer](), list[Job]()
        for one, image in zip(asked, images, strict=True):
            if isinstance(image, ImageUrl):
                answers.append(next(downloads).result)
            elif isinstance(image, EncodedImage | PreparedImage):
                begun = self._looked_up_or_failed(one, image.data)
                jobs += [begun.job] if begun.job else []
                answers.append(partial(self._finish, one, image.data, begun))
            else:
                answers.append(_failed(image).result)
        if jobs:
            asked[0].model.submit(jobs)
        return answers

    def _downloads(self, asked: Sequence[Question], images: Sequence[ImageSource]) -> Iterator[Future[Any]]:
        """The answers for all URLs of a request, which are on their way from now on."""
        pairs = zip(asked, images, strict=True)
        urls = [(one, image.url) for one, image in pairs if isinstance(image, ImageUrl)]
        try:
            return iter([self._pool.submit(self._remote, *one) for one in urls])
        except RuntimeError as error:
            raise Overloaded("No thread can be started for a download; try again.") from error

    def _alone(self, asked: Question, image: ImageSource) -> Prediction:
        """Answer for the only image of a request, in this thread."""
        if isinstance(image, ImageUrl):
            return self._remote(asked, image.url)
        if isinstance(image, EncodedImage | PreparedImage):
            return self._encoded(asked, image.data)
        raise image

    def _remote(self, asked: Question, url: str) -> Prediction:
        """Answer for a URL, once for all who ask the same at the same time."""
        if not asked.cacheable:
            return self._encoded(asked, self._fetched(asked, url).data)
        url_key = f"url:{_sha256(url.encode(errors='surrogatepass'))}"  # the download refuses half a letter
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
                self._count("shared")
            return replace(prediction, cached=True) if shared else prediction

    def _known_or_fetched(self, asked: Question, url: str, url_key: str) -> Prediction:
        """What a URL's image was a short while ago may be answered already; else it is fetched."""
        digest = self._cache.find(url_key, _as_digest)
        if digest is not None and (kept := self._cache.known(asked.key_of(digest), asked.read)):
            self._count("hit")
            return asked.prediction(kept, cached=True)
        download = self._fetched(asked, url)
        seconds = self._url_seconds if download.reusable is None else download.reusable
        if seconds > 0:
            self._cache.keep(url_key, _sha256(download.data), min(seconds, self._url_seconds))
        elif digest is not None:
            self._cache.forget(url_key)
        return self._encoded(asked, download.data)

    def _fetched(self, asked: Question, url: str) -> Download:
        with asked.phases.measure("fetch"):
            return self._fetcher.download(url)

    def _encoded(self, asked: Question, data: Content) -> Prediction:
        begun = self._looked_up(asked, data)
        if begun.job:
            asked.model.run(begun.job)
        return self._finish(asked, data, begun)

    def _looked_up_or_failed(self, asked: Question, data: Content) -> _Begun:
        """Look an image up; what fails here fails when its answer is asked for."""
        try:
            return self._looked_up(asked, data)
        except Exception as error:  # noqa: BLE001 (raised again in `_finish`)
            return _Begun(run=_failed(error))

    def _looked_up(self, asked: Question, data: Content) -> _Begun:
        if not (self._cache.enabled and asked.cacheable):
            job = self._job(asked, data)
            return _Begun(run=job.future, job=job)
        key = asked.key_of(_digest(data))
        while (known := self._cache.known(key, asked.read)) is None:
            job = self._job(asked, data)
            run = self._cache.share(key, job.future, lambda run: run.value)
            if run is not None:
                return _Begun(run=run, job=job, key=key) if run is job.future else _Begun(run=run)
        return _Begun(known=known)

    def _job(self, asked: Question, data: Content) -> Job:
        return asked.model.job(partial(self._tensor, asked, data), asked.finish, asked.check)

    def _finish(self, asked: Question, data: Content, begun: _Begun) -> Prediction:
        """Wait for an image's answer, and keep it."""
        if begun.run is None:
            self._count("hit")
            return asked.prediction(begun.known, cached=True)
        try:
            run = begun.run.result()
        except Overloaded as error:
            # It may be another caller who waits no longer, and whose answer this one shared.
            if begun.job or not asked.deadline.still_wanted():
                raise
            error.bare()
            return self._encoded(asked, data)
        if begun.job is None:
            self._count("shared")
            return asked.prediction(run.value, cached=True)
        return self._computed(asked, run, begun.job, begun.key)

    def _computed(self, asked: Question, run: Run, job: Job, key: str | None) -> Prediction:
        asked.phases.add("queue", run.queued, job.since)
        asked.phases.add("infer", run.ran, run.began)
        if key is not None:
            self._count("miss")
            self._cache.keep(key, run.value)
        prediction = asked.prediction(run.value, cached=False)
        if asked.options.debug and job.tensor is not None:
            return replace(prediction, trace=Trace(job.tensor, asked.phases))
        return prediction

    def _tensor(self, asked: Question, data: Content) -> Array:
        if not isinstance(data, bytes):
            return data
        preprocessing = asked.model.spec.preprocessing
        start = time.perf_counter()
        shortest = 0 if asked.options.exact else preprocessing.shortest
        image = decode_scaled(data, self._limits, shortest, mode=preprocessing.mode)
        decoded = time.perf_counter()
        tensor = to_tensor(image, preprocessing, exact=asked.options.exact)
        asked.phases.add("decode", decoded - start, start)
        asked.phases.add("preprocess", time.perf_counter() - decoded, decoded)
        return tensor


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _digest(data: Content) -> str:
    """What an answer is kept under; a tensor has another key than a file of the same bytes."""
    return _sha256(data) if isinstance(data, bytes) else f"tensor:{hashlib.sha256(data.data).hexdigest()}"


def _as_digest(kept: object) -> str | None:
    return kept if isinstance(kept, str) and _DIGEST.fullmatch(kept) else None


def _failed(error: Exception) -> Future[Any]:
    future = Future[Any]()
    future.set_exception(error)
    return future
