"""Builds one worker's objects from the settings, once, after the fork.

Nothing that a model, a GPU or a disk does may stop a worker from starting, because a worker that
fails at its start stops the whole server: trouble is kept, logged and shown by `/readyz`.
"""

import faulthandler
import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager, ExitStack, nullcontext, suppress
from functools import cached_property, partial
from pathlib import Path
from typing import Any

from predictor.checking.report import Report, Request
from predictor.checking.runner import try_on
from predictor.config import BUNDLED_MODEL, Settings
from predictor.discovery.discover import discover
from predictor.errors import ModelConflict, NotReady, PredictorError, StorageFull
from predictor.explaining.explainer import Explainer
from predictor.explaining.feature_maps import FeatureMaps
from predictor.inference.active_models import ActiveModels, ModelCache
from predictor.inference.cache import Cache
from predictor.inference.engine import Engine
from predictor.inference.loader import LoadedModel, Loader, chosen, loading_alone, loading_in_turn
from predictor.inference.watchdog import Watchdog
from predictor.metrics import Metrics, exporter
from predictor.model.device import Device, memory
from predictor.model.session import Stop, load
from predictor.runtime.evaluations import Evaluations
from predictor.runtime.golden import Gate
from predictor.runtime.optimisations import Optimisations, warn, warned
from predictor.runtime.parts import Health, at_this_moment, fetcher, make_folders, membership
from predictor.runtime.reload import Follower
from predictor.runtime.uploads import Uploads
from predictor.store.commit import ModelTransactions
from predictor.store.lookup import not_served
from predictor.store.members import WorkerRecord, WorkerRegistry
from predictor.store.names import GoldenSets, Loading
from predictor.store.publish import Publisher
from predictor.store.registry import DEFAULT, ModelVersion, Registry
from predictor.store.stamp import Stamp

log = logging.getLogger(__name__)


class Worker:
    """Everything that serves the requests of one process.

    Attributes:
        settings: what it was built from.
        engine: predicts.
        cache: answers already computed.
        health: what does not work although predictions succeed.
        metrics: counters and histograms.
        exporter: the owner of `/metrics`.
        registry: the models on disk.
        transactions: changes of live versions.
        publisher: changes models.
        loading: takes models out of service and puts them back.
        uploads: takes uploads.
        evaluations: says how well models do.
        explainer: says why a model answers what it does.
        gate: judges versions by golden images before they serve.
        optimisations: makes models faster.
        live: the models that serve.
        device: where models run; None until one could be chosen.
        cluster: this machine as one of several; None without `PREDICTOR_STORE`.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        make_folders(settings)
        self.registry = Registry(settings.data, BUNDLED_MODEL)
        self.exporter = exporter(
            self._refresh,
            self._live_versions,
            lambda: self.engine.admission.waiting,
            lambda: at_this_moment(self.health, self.cluster),
        )
        self.metrics = Metrics(self.exporter.registry)
        self.transactions = ModelTransactions(
            self.registry,
            Stamp(settings.data / "stamp"),
            WorkerRegistry(settings.data / "workers"),
            observe=self.metrics.observe_step,
        )
        self.publisher = Publisher(self.registry, self.transactions)
        self.loading = Loading(self.registry, self.transactions)
        self.uploads = Uploads(
            settings, self.transactions, self.publisher, self.metrics, self._try, self._share
        )
        self.cluster = membership(settings, self.transactions, self.exporter.registry, self._share)
        self.live = ActiveModels(self.transactions.stamp)
        self.cache = Cache(settings, self.metrics.count_cache)
        store = (lambda: None) if self.cluster is None else self.cluster.degraded
        self.health = Health(settings.data, self.cache, self.transactions.stamp, store=store)
        self.device: Device | None = None
        self._record: WorkerRecord | None = None
        self._watchdog: Watchdog | None = None
        self._follower: Follower | None = None
        self._loader: Loader | None = None
        self.engine = self._engine()
        self.explainer = Explainer(settings, self.engine, FeatureMaps(self._watch))
        self.evaluations = Evaluations(settings, self.engine)
        self.gate = Gate(GoldenSets(self.registry, self.transactions), self.evaluations, self.load)
        self.uploads.judge = self.gate.judge
        self.optimisations = Optimisations(settings, self.uploads, self._folder, self.report)
        self._start()
        self._join()

    def _engine(self) -> Engine:
        settings = self.settings
        self._model_cache = ModelCache(self.load)
        return Engine(
            settings, self.cache, self.metrics, fetcher(settings), live=self.live, other=self._other
        )

    def _start(self) -> None:
        try:
            record = self._registered()
            with loading_alone(self.settings.data):
                self.device = chosen(self.settings)
                log.info("Device: %s. %s", self.device.name, self.device.reason)
                self._follow(self.device, record)
        except PredictorError as error:
            log.error("Not ready: %s", error.detail)
            self.live.problem = NotReady(error.detail)
        except Exception:
            log.exception("Not ready: the model could not be loaded")
            self.live.problem = NotReady("The model could not be loaded; the log has the reason.")

    def _join(self) -> None:
        if self.cluster is not None:
            self.engine.joined = self.cluster.check_joined
            self.cluster.start()

    def _registered(self) -> WorkerRecord:
        with ExitStack() as held:
            try:
                held.enter_context(self.transactions.commit_lock())
            except StorageFull:
                log.warning("The folder PREDICTOR_DATA cannot be written; no model can be changed")
            self._record = self.transactions.workers.register()
        # A crash in native code leaves a trace of its thread in the crash report.
        faulthandler.enable(self._record.crash_file, all_threads=False)
        return self._record

    def _follow(self, device: Device, record: WorkerRecord) -> None:
        self._watchdog = Watchdog(record, self.settings.run_seconds)
        metrics = self.metrics
        self._loader = Loader(
            device,
            self.settings,
            folder=self._folder,
            observe=metrics.batch_size.observe,
            watchdog=self._watchdog,
            count=metrics.count_run,
        )
        # What cannot be read here is dealt with by the follower.
        with suppress(PredictorError):
            for name, number in self.registry.read().live().items():
                self._share(self.registry.at(name, number))
        turn = partial(loading_in_turn, self.settings.data)
        self._follower = Follower(self.transactions, self.publisher, record, self.live, self.load, turn)
        self._follower.start()
        for model in self.live.serving.values():
            version = model.version
            log.info("Ready: model %s version %d on %s", version.name, version.version, model.provider)

    def report(self, version: ModelVersion) -> Mapping[str, Any]:
        """What the check of a version found; empty if nothing is known.

        The bundled model says it itself: it was not checked, so that its report has no figures of runs.
        """
        if version.manifest is not None:
            return warned(version.manifest.report, self.device)
        try:
            return self._bundled_report
        except PredictorError:
            return {}

    @cached_property
    def _bundled_report(self) -> Mapping[str, Any]:
        live = self.live.serving.get(DEFAULT)
        if live is not None and live.version.manifest is None:
            return live.spec.to_json()
        return discover(load(BUNDLED_MODEL, Device("cpu")).graph).to_json()

    def close(self) -> None:
        """Stop following the store, and deregister this worker."""
        for part in (self.cluster, self._follower, self._watchdog):
            if part is not None:
                part.stop()
        self.cache.close()
        if self._loader is not None:
            self._loader.close()
        if self._record is not None:
            self._record.deregister()

    def _try(self, folder: Path, request: Request) -> Report:
        """Try an upload on what this worker uses; the others of the machine use the same kind of device."""
        return try_on(folder, request, self.device)

    def _folder(self, version: ModelVersion) -> Path:
        """Where files about a version lie: beside it, or in the store for one that ships with the service."""
        if version.manifest is None:
            return self.registry.folder(version.name, version.version)
        return version.path.parent

    def _watch(self, model: str, stop: Stop) -> AbstractContextManager[None]:
        return nullcontext() if self._watchdog is None else self._watchdog.watching(model, stop)

    def _share(self, version: ModelVersion) -> None:
        if self._loader is not None:
            self._loader.share_weights(version)

    def load(self, version: ModelVersion) -> LoadedModel:
        """Load a version, or a candidate to be one, on this worker's device."""
        if self._loader is None:
            raise NotReady("The service is still starting; try again.")
        warn(version, self.device)
        return self._loader.load(version)

    def _other(self, name: str, version: int | None) -> LoadedModel:
        """A version that is not live; without a version the sentence on why the model has no live one."""
        known = self.registry.name(name)
        if version is not None and (why := known.quarantined.get(version)):
            raise ModelConflict(f"Version {version} is quarantined: {why}")
        if version is None or known.live is None:
            raise not_served(name, known)
        try:
            return self._model_cache.get(self.registry.version(name, version))
        except (PredictorError, OSError):
            # Where it was deleted while it was loaded, that is the reason.
            self.registry.version(name, version)
            raise

    def _live_versions(self) -> list[tuple[str, int, str]]:
        """Name, number and digest of the versions that serve at this moment."""
        with suppress(PredictorError):
            self.live.models()
        served = self.live.serving.values()
        return [(one.version.name, one.version.version, one.version.digest) for one in served]

    def _refresh(self) -> None:
        """Read what is measured only when asked."""
        if self.device is not None and (figures := memory(self.device)) is not None:
            for kind, value in zip(("used", "total"), figures, strict=True):
                self.metrics.device_memory.labels(self.device.label, kind).set(value)
