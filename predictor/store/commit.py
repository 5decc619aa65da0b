"""The protocol by which a change of a live version takes effect in all workers or in none.

A change is announced; every serving worker prepares it beside what it serves and says so; then the state is
written, which decides, and the stamp lets it take effect. Whoever takes the publish lock ends what an author
who died left: a decided change takes effect, any other is taken back.

Two locks: `publish.lock` is held by one author at a time for the whole of a change; `gate.lock` is held for
moments, by whoever decides and by whoever begins to serve, so that no worker comes in between unseen.
"""

import contextlib
import dataclasses
import logging
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from predictor.errors import ModelConflict, NotReady, PredictorError, StorageFull
from predictor.store.atomic import remove, storing
from predictor.store.lock import locked
from predictor.store.members import Roster
from predictor.store.registry import Registry
from predictor.store.staging import Incoming
from predictor.store.stamp import Stamp
from predictor.store.state import Name, State

LOCK_SECONDS = 10.0
"""How long an author waits for another one."""
# Generous, for on a busy machine a worker waits long for a processor; with the longest check it is less than
# nginx gives an upload.
_READY_SECONDS = 240.0
_POLL_SECONDS = 0.005

Observe = Callable[[str, float], None]

log = logging.getLogger(__name__)


class Switch:
    """Lets changes take effect.

    Args:
        registry: the models on disk.
        stamp: tells the workers.
        roster: knows the workers.
        observe: told each step's name and seconds.
        ready_seconds: how long the workers may take to prepare a change.
    """

    def __init__(
        self,
        registry: Registry,
        stamp: Stamp,
        roster: Roster,
        *,
        observe: Observe,
        ready_seconds: float = _READY_SECONDS,
    ) -> None:
        self.registry = registry
        self.stamp = stamp
        self.roster = roster
        self._observe = observe
        self._ready_seconds = ready_seconds
        self._publish_lock = registry.data / "publish.lock"
        self._gate_lock = registry.data / "gate.lock"
        self.incoming = Incoming(registry.data / "incoming", self._gate_lock)

    @contextmanager
    def gate(self) -> Iterator[None]:
        """Keep every change from taking effect for a moment; one that is decided takes effect first.

        Raises:
            StorageFull: the data folder cannot be used.
        """
        with contextlib.ExitStack() as held:
            with storing():
                held.enter_context(locked(self._gate_lock))
            if (serial := self.registry.read().serial) > self.stamp.live:
                self.stamp.commit(serial)
            yield

    @contextmanager
    def alone(self, seconds: float = LOCK_SECONDS) -> Iterator[State]:
        """Be the only author, and find nothing that a dead one left.

        Args:
            seconds: how long to wait for another author.

        Raises:
            ModelConflict: another change is under way.
            StorageFull: the data folder cannot be used.
        """
        if not self.stamp.shared:
            raise StorageFull("The service cannot write to its data folder; nothing was changed.")
        with contextlib.ExitStack() as held:
            try:
                with storing():
                    held.enter_context(locked(self._publish_lock, seconds))
            except TimeoutError as error:
                raise ModelConflict("Another change of the models is under way; try again.") from error
            yield self._ended()

    def to(self, state: State, name: str, after: Name) -> None:
        """Have all workers serve a name's new live version; to be called by the only author.

        Args:
            state: the present state.
            name: whose live version changes.
            after: what is to be known of the name afterwards.

        Raises:
            InvalidModel, NotReady: a worker cannot serve it, or is not ready in time; nothing has changed.
            StorageFull: there is no room; nothing has changed.
        """
        announced = state.announcing(name, after.live)
        self.registry.write(announced)
        self.stamp.announce(announced.issued)
        try:
            start = time.perf_counter()
            self._decide(announced, name, after)
            self._observe("switch", time.perf_counter() - start)
        except BaseException:
            self.stamp.announce(self.stamp.live)
            with contextlib.suppress(PredictorError):
                self.registry.write(dataclasses.replace(announced, pending=None))
            raise

    @property
    def under_way(self) -> bool:
        """Whether a change is announced and not decided; its author may be dead."""
        return self.stamp.announced != self.stamp.live

    def recover(self) -> None:
        """End what a dead author left, unless another one is at work.

        Raises:
            StorageFull: the data folder cannot be used.
        """
        with contextlib.suppress(ModelConflict), self.alone(0):
            pass

    def _ended(self) -> State:
        """The state, without anything that a dead author left."""
        with self.gate():
            state = self.registry.read()
            self.incoming.sweep()
            found = state
            if state.pending is not None:
                log.warning("A change of %s was taken back: its author is gone", state.pending.name)
                state = dataclasses.replace(state, pending=None)
            if state.serial < self.stamp.live:
                state = dataclasses.replace(state, serial=self.stamp.live)
            if state is not found:
                self.registry.write(state)
            self._sweep(state)
            self.stamp.commit(self.stamp.live)
        return state

    def _decide(self, announced: State, name: str, after: Name) -> None:
        """Wait until every serving worker is ready, and let the change take effect."""
        serial = announced.issued
        decided = dataclasses.replace(announced.replaced(name, after), serial=serial, pending=None)
        deadline = time.monotonic() + self._ready_seconds
        while time.monotonic() < deadline:
            with self.gate():
                if self._all_ready(serial):
                    self.registry.write(decided)
                    self.stamp.commit(serial)
                    return
            time.sleep(_POLL_SECONDS)
        raise NotReady("Not every worker could load the model in time; nothing was changed.")

    def _all_ready(self, serial: int) -> bool:
        """Whether every worker that answers requests could serve the change at once.

        Raises:
            InvalidModel, NotReady: one of them cannot.
        """
        serving = [report for report in self.roster.living() if report.serving]
        for report in serving:
            if report.refused == serial:
                raise report.refusal
        return all(report.ready == serial for report in serving)

    def _sweep(self, state: State) -> None:
        """Remove the folders of versions that the state does not know."""
        for folder in self.registry.models.glob("*/*"):
            known = state.names.get(folder.parent.name, Name()).versions
            if not (folder.name.isdecimal() and int(folder.name) in known):
                remove(folder)
