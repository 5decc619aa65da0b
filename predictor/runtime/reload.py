"""Keeps this worker's models what the store says: load beside, warm up, say ready, switch, drop."""

import contextlib
import ctypes
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from predictor import background
from predictor.errors import InvalidModel, ModelConflict, NotReady, PredictorError, StorageFull
from predictor.inference.active_models import ActiveModels, Models
from predictor.inference.loader import LoadedModel
from predictor.store.commit import ModelTransactions
from predictor.store.members import WorkerRecord
from predictor.store.publish import Publisher
from predictor.store.registry import ModelVersion

_FOLLOW_SECONDS = 0.02
_GUARD_SECONDS = 0.5
_ATTEMPTS = 10
_AGAIN_SECONDS = 1.0
# After a switch, requests that began before it may hold the old model a little longer.
_TRIM_SECONDS = 1.0

Load = Callable[[ModelVersion], LoadedModel]

log = logging.getLogger(__name__)


class Follower:
    """Follows the store in two threads: one prepares changes, one looks after what the dead left.

    Args:
        switch: the protocol of changes.
        publisher: for what the dead left.
        member: this worker's heartbeat record.
        live: what requests take their models from.
        load: loads and warms up a version.
        turn: entered while a change is loaded, so that workers take turns.
    """

    def __init__(
        self,
        switch: ModelTransactions,
        publisher: Publisher,
        member: WorkerRecord,
        live: ActiveModels,
        load: Load,
        turn: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        self._switch = switch
        self._registry = switch.registry
        self._stamp = switch.stamp
        self._publisher = publisher
        self._member = member
        self._live = live
        self._load = load
        self._turn = turn
        self._handled = 0
        self._trim_at: float | None = None
        self._stopped = threading.Event()

    def start(self) -> None:
        """Serve what the store says is live, and follow it from then on.

        Raises:
            PredictorError: nothing can be served yet; it is tried again when the store changes.
        """
        try:
            self._mourn(seconds=5.0)
            self.catch_up()
        finally:
            for work, pause in ((self.follow, _FOLLOW_SECONDS), (self.guard, _GUARD_SECONDS)):
                threading.Thread(
                    target=self._repeat, args=(work, pause), name=work.__name__, daemon=True
                ).start()

    def stop(self) -> None:
        """End both threads, after what they have begun."""
        self._stopped.set()

    def catch_up(self) -> None:
        """Load what is live and serve it; if it changes meanwhile, load again.

        Raises:
            PredictorError: it cannot be served, nor anything before it.
        """
        for _ in range(_ATTEMPTS):
            with self._gate():
                serial, wanted = self._stamp.live, self._registry.read().live()
            models = {name: self._loaded(name, version) for name, version in wanted.items()}
            if None in models.values():
                continue
            with self._gate():
                if serial == self._stamp.live:
                    self._live.activate(serial, {name: model for name, model in models.items() if model})
                    self._member.serve(serial)
                    return
        raise NotReady("The models change faster than this worker can load them; try again.")

    def follow(self) -> None:
        """Prepare what is announced, switch to what took effect, drop what was taken back."""
        # Read first: whoever announces a change has let every earlier one take effect.
        announced, before = self._stamp.preparing, self._live.serving
        with contextlib.suppress(PredictorError):
            self._live.models()
        if self._live.outdated:
            self.catch_up()
        if announced not in {self._stamp.live, self._handled}:
            self._prepare(announced)
        taken_back = announced == self._stamp.live and self._live.forget()
        if taken_back or self._live.serving is not before:
            self._trim_at = time.monotonic() + _TRIM_SECONDS
        if self._trim_at is not None and time.monotonic() > self._trim_at:
            self._trim_at = None
            ctypes.CDLL(None).malloc_trim(0)

    def guard(self) -> None:
        """End what a dead author left, and look after workers that were brought down."""
        if self._switch.in_progress:
            self._switch.recover()
        self._mourn(seconds=0)

    def _prepare(self, serial: int) -> None:
        pending = self._registry.read().pending
        if pending is None or pending.serial != serial:
            return
        self._handled = serial
        try:
            self._live.prepare(serial, self._with(pending.name, pending.version))
        except PredictorError as error:
            log.warning("Version %s of %s cannot be served: %s", pending.version, pending.name, error.detail)
            self._member.refuse(serial, error)
        except Exception:
            log.exception("Version %s of %s cannot be served", pending.version, pending.name)
            self._member.refuse(
                serial, NotReady("A worker could not load the model; the log has the reason.")
            )
        else:
            self._member.ready(serial)

    def _with(self, name: str, version: int | None) -> Models:
        others = {key: model for key, model in self._live.serving.items() if key != name}
        if version is None:
            return others
        with self._turn():
            return {**others, name: self._load(self._registry.at(name, version))}

    def _loaded(self, name: str, version: int) -> LoadedModel | None:
        """A live version; None if it is damaged and the one before it was put back.

        Raises:
            PredictorError: it cannot be served and nothing can take its place.
        """
        try:
            found = self._registry.at(name, version)
            serving = self._live.serving.get(name)
            if serving is not None and serving.version == found:
                return serving
            found.verify()
            return self._load(found)
        except InvalidModel as error:
            if self._registry.permanent(name, version):
                raise
            self._publisher.quarantine(name, version, error.detail)
            return None

    @contextmanager
    def _gate(self) -> Iterator[None]:
        """Let no change take effect; where the data folder cannot be used there is none."""
        with contextlib.ExitStack() as held:
            with contextlib.suppress(StorageFull):
                held.enter_context(self._switch.commit_lock())
            yield

    def _mourn(self, seconds: float) -> None:
        with contextlib.suppress(ModelConflict, StorageFull):
            self._publisher.handle_crashes(seconds)

    def _repeat(self, work: Callable[[], None], pause: float) -> None:
        background.give_way()
        told = ""
        while not self._stopped.wait(pause):
            try:
                work()
            except Exception as error:  # noqa: BLE001 (logged, once as long as it stays the same)
                told = _tell(error, told)
                self._stopped.wait(_AGAIN_SECONDS)
            else:
                if told:
                    log.info("The models are kept up to date again")
                told = ""


def _tell(error: Exception, told: str) -> str:
    """Log why the models are not up to date, unless that was the last thing told; what is told now."""
    match error:
        case PredictorError():
            reason, trace = error.detail, None
        case OSError():
            reason, trace = error.strerror or type(error).__name__, None
        case _:
            reason, trace = type(error).__name__, error
    if reason != told:
        log.error("The models cannot be kept up to date: %s", reason, exc_info=trace)
    return reason
