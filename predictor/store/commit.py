"""Two-phase commit: a change of a live version takes effect in all workers or in none.

Prepare: the coordinator announces the change, and every serving worker prepares it beside what it serves and
says so. Commit: the state is written, and the stamp lets the change take effect. The next coordinator ends
what one that died left: a change whose state is written takes effect, any other is aborted.

Two locks: `publish.lock` is held by one coordinator at a time for the whole of a change; `gate.lock`, the
commit lock, is held for moments: to commit, and by a worker that begins to serve, so that none joins unseen.

With other machines (`predictor/cluster`), a change is announced to them before it is prepared here, and they
decide together once all workers here are ready, before the state is written.
"""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from predictor.errors import InvalidModel, ModelConflict, NotReady, PredictorError, StorageFull
from predictor.store.files import Staging, alone, locked, storage_errors
from predictor.store.members import WorkerRegistry
from predictor.store.registry import ModelVersion, Registry
from predictor.store.stamp import Decide, OtherMachines, Stamp, here
from predictor.store.state import Name, State

LOCK_SECONDS = 10.0
"""How long a coordinator waits for another one."""
# Generous, for on a busy machine a worker waits long for a processor. With two checks of 300 s, 90 s for
# locks and doubts and 120 s until all machines serve, it is less than nginx gives an upload.
_READY_SECONDS = 240.0
_POLL_SECONDS = 0.005
_BUSY = "Another change of the models is in progress; try again."
# A worker that began to serve while other machines decided may take this long to load what was decided.
_LATE_SECONDS = 30.0

Observe = Callable[[str, float], None]

log = logging.getLogger(__name__)


class ModelTransactions:
    """Changes of live versions, each as one transaction over all workers.

    Args:
        registry: the models on disk.
        stamp: tells the workers.
        workers: the workers of this machine.
        observe: told each step's name and seconds.
        ready_seconds: how long the workers may take to prepare a change.

    Attributes:
        other_machines: announces changes to the machines of the store; None without a store.
        ready_seconds: how long the workers may take to prepare a change.
    """

    def __init__(
        self,
        registry: Registry,
        stamp: Stamp,
        workers: WorkerRegistry,
        *,
        observe: Observe,
        ready_seconds: float = _READY_SECONDS,
    ) -> None:
        self.registry = registry
        self.stamp = stamp
        self.workers = workers
        self._observe = observe
        self.ready_seconds = ready_seconds
        self._publish_lock_path = registry.data / "publish.lock"
        self._commit_lock_path = registry.data / "gate.lock"
        self.staging = Staging(registry.data / "incoming", self._commit_lock_path)
        self.other_machines: OtherMachines | None = None

    @contextmanager
    def commit_lock(self) -> Iterator[None]:
        """Keep every change from taking effect for a moment; one that is committed takes effect first.

        Raises:
            StorageFull: the data folder cannot be used.
        """
        with contextlib.ExitStack() as held:
            with storage_errors():
                held.enter_context(locked(self._commit_lock_path))
            if (serial := self.registry.read().serial) > self.stamp.live:
                self.stamp.commit(serial)
            yield

    @contextmanager
    def exclusive(self, seconds: float = LOCK_SECONDS) -> Iterator[State]:
        """Be the only coordinator, after recovery from one that died.

        Args:
            seconds: how long to wait for another coordinator.

        Raises:
            ModelConflict: another change is under way.
            StorageFull: the data folder cannot be used.
        """
        if not self.stamp.shared:
            raise StorageFull("The service cannot write to the folder PREDICTOR_DATA; nothing was changed.")
        with alone(self._publish_lock_path, _BUSY, seconds):
            yield self._recovered()

    @contextmanager
    def change(self) -> Iterator[State]:
        """Be the only coordinator, on all machines, with a state that all machines agree on.

        Raises:
            ModelConflict: another change is under way.
            StorageFull: the data folder cannot be used, or the other machines cannot be told.
        """
        if self.other_machines is None:
            with self.exclusive() as state:
                yield state
            return
        self.other_machines.turn(LOCK_SECONDS)
        with self.exclusive() as state:
            yield self.other_machines.current(state)

    def supplied(self, name: str, version: int) -> ModelVersion:
        """A version, whose files come from the other machines, if they have them, where they lack here."""
        if self.other_machines is not None:
            self.other_machines.supply(name, version)
        return self.registry.version(name, version)

    def commit(self, state: State, name: str, after: Name | None, decide: Decide | None = None) -> None:
        """Have all workers serve a name's new live version, or abort; the caller holds `exclusive`.

        Args:
            state: the present state.
            name: whose live version changes.
            after: what is to be known of the name afterwards; None if it is to be gone.
            decide: decides once all workers are ready; by default all machines do.

        Raises:
            InvalidModel, NotReady: a worker cannot serve it, or is not ready in time; nothing has changed.
            StorageFull: there is no room; nothing has changed.
        """
        if decide is None:
            with self._announced(state, name, after) as together:
                self.commit(state, name, after, together)
            return
        prepared = state.with_pending(name, None if after is None else after.live)
        self.registry.write(prepared)
        self.stamp.prepare(prepared.issued)
        try:
            start = time.perf_counter()
            self._commit_when_ready(prepared, name, after, decide)
            self._observe("switch", time.perf_counter() - start)
        except BaseException:
            self.stamp.prepare(self.stamp.live)
            with contextlib.suppress(PredictorError):
                self.registry.write(dataclasses.replace(prepared, pending=None))
            raise

    def record(self, state: State, name: str, after: Name) -> None:
        """Write what else is to be known of a name whose live version stays; the caller holds `change`.

        Raises:
            NotReady: another machine cannot do the same; nothing has changed.
            StorageFull: there is no room; nothing has changed.
        """
        with self._announced(state, name, after) as decide:
            decide()
            self.registry.write(state.replaced(name, after))

    def _announced(self, state: State, name: str, after: Name | None) -> AbstractContextManager[Decide]:
        if self.other_machines is None:
            return nullcontext(here)
        return self.other_machines.announced(state, name, after)

    @property
    def in_progress(self) -> bool:
        """Whether a change is prepared and not committed; its coordinator may be dead."""
        return self.stamp.preparing != self.stamp.live

    def recover(self) -> None:
        """Commit or abort what a dead coordinator left, unless another one is at work.

        Raises:
            StorageFull: the data folder cannot be used.
        """
        with contextlib.suppress(ModelConflict), self.exclusive(0):
            pass

    def _recovered(self) -> State:
        """The state, after recovery from a coordinator that died."""
        with self.commit_lock():
            state = self.registry.read()
            self.staging.remove_abandoned()
            found = state
            if state.pending is not None:
                log.warning("A change of %s was aborted: the worker that made it died", state.pending.name)
                state = dataclasses.replace(state, pending=None)
            if state.serial < self.stamp.live:
                state = dataclasses.replace(state, serial=self.stamp.live)
            if state is not found:
                self.registry.write(state)
            self.registry.remove_unknown(state)
            self.stamp.commit(self.stamp.live)
        return state

    def _commit_when_ready(self, prepared: State, name: str, after: Name | None, decide: Decide) -> None:
        """Wait until every serving worker is ready, and commit the change if it is decided so."""
        committed = dataclasses.replace(prepared.replaced(name, after), serial=prepared.issued, pending=None)

        def take_effect() -> None:
            self.registry.write(committed)
            self.stamp.commit(committed.serial)

        if decide is here:
            self._when_ready(committed.serial, self.ready_seconds, take_effect)
            return
        self._when_ready(committed.serial, self.ready_seconds, here)
        decide()
        try:
            self._when_ready(committed.serial, _LATE_SECONDS, take_effect)
        except (InvalidModel, NotReady):
            # It is decided; a worker that came too late loads it by itself.
            with self.commit_lock():
                take_effect()

    def _when_ready(self, serial: int, seconds: float, then: Callable[[], None]) -> None:
        """Do something once every serving worker is ready, while none can begin to serve."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            with self.commit_lock():
                if self._all_ready(serial):
                    then()
                    return
            time.sleep(_POLL_SECONDS)
        raise NotReady("Not every worker loaded the model in time; nothing was changed. Try again.")

    def _all_ready(self, serial: int) -> bool:
        """Whether every worker that answers requests could serve the change at once.

        Raises:
            InvalidModel, NotReady: one of them cannot.
        """
        serving = [report for report in self.workers.statuses() if report.serving]
        for report in serving:
            if report.refused == serial:
                raise report.refusal
        return all(report.ready == serial for report in serving)
