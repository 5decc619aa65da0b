"""Builds one worker's objects from the settings, once, after the fork.

Nothing that a model, a GPU or a disk does may stop a worker from starting, because a worker that
fails at its start stops the whole server: trouble is kept, logged and shown by `/readyz`.
"""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from predictor.config import BUNDLED_MODEL, Settings
from predictor.errors import NotReady, PredictorError
from predictor.fetch.client import Fetcher
from predictor.model.device import Device, choose, memory
from predictor.runtime.cache import Cache, cache_folder
from predictor.runtime.engine import Engine
from predictor.runtime.loaded import load_model
from predictor.runtime.metrics import Metrics, exporter
from predictor.store.lock import locked
from predictor.store.registry import Registry

_LOCK_SECONDS = 60.0

log = logging.getLogger(__name__)


class Worker:
    """Everything that serves the requests of one process.

    Attributes:
        settings: what it was built from.
        engine: predicts.
        cache: answers already computed.
        metrics: counters and histograms.
        exporter: the owner of `/metrics`.
        device: where models run; None until one could be chosen.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.exporter = exporter(self._refresh)
        self.metrics = Metrics(self.exporter.registry)
        self.cache = Cache(settings, lambda result: self.metrics.cache_requests.labels(result).inc())
        fetcher = Fetcher(
            allow=settings.fetch_allow, seconds=settings.fetch_seconds, max_bytes=settings.max_image_bytes
        )
        self.engine = Engine(settings, self.cache, self.metrics, fetcher)
        self.registry = Registry(BUNDLED_MODEL)
        self.device: Device | None = None
        _make_folders(settings)
        self._load()

    def _load(self) -> None:
        try:
            with self._loading_alone():
                self.device = choose(self.settings.device)
                log.info("Device: %s. %s", self.device.name, self.device.reason)
                self._serve(self.device)
        except PredictorError as error:
            log.error("Not ready: %s", error.detail)
            self.engine.problem = NotReady(error.detail)
        except Exception:
            log.exception("Not ready: the model could not be loaded")
            self.engine.problem = NotReady("The model could not be loaded; the log says why.")

    def _serve(self, device: Device) -> None:
        live = self.registry.live()
        observe = self.metrics.batch_size.observe
        model = load_model(live, device, self.settings, slots=self.engine.slots, observe=observe)
        self.engine.serve(model)
        log.info("Ready: model %s version %d on %s", live.name, live.version, model.provider)

    @contextmanager
    def _loading_alone(self) -> Iterator[None]:
        """Hold the machine's device lock until the session has its memory, so that workers spread out."""
        with ExitStack() as stack:
            try:
                stack.enter_context(locked(self.settings.data / "device.lock", _LOCK_SECONDS))
            except OSError:
                log.warning("The device lock cannot be had; workers that start together may share a GPU")
            yield

    def _refresh(self) -> None:
        """Read what is measured only when asked."""
        if self.device is None or (figures := memory(self.device)) is None:
            return
        for kind, value in zip(("used", "total"), figures, strict=True):
            self.metrics.device_memory.labels(self.device.label, kind).set(value)


def _make_folders(settings: Settings) -> None:
    try:
        settings.data.mkdir(parents=True, exist_ok=True)
        cache_folder(settings).mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        log.warning("The data folder cannot be used: %s", error.strerror)
