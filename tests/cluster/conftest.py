"""Machines on one bucket, each with a store of models of its own, in this process."""

import random
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore, MemoryStore

from predictor.cluster.blobs import Blobs
from predictor.cluster.bucket import Bucket, Unavailable
from predictor.cluster.coordinator import Coordinator
from predictor.cluster.follower import Follower
from predictor.cluster.local import LocalModels
from predictor.cluster.log import ChangeLog
from predictor.cluster.machine_status import MachineStatus
from predictor.cluster.machines import Machines
from tests.patience import PATIENCE
from tests.store.conftest import Store

POLL_SECONDS, BEAT_SECONDS, DEAD_SECONDS = 0.02, 0.1, 1.0


class Interrupted(Bucket):
    """A bucket that can fall silent for one machine.

    Attributes:
        silent: whether it does.
        before: called with the operation and the key before each write that is made only once.
    """

    silent = False
    before: Callable[[str], None] = staticmethod(lambda _: None)

    def create(self, key: str, data: bytes) -> bool:
        """Write, unless it is silent."""
        self.before(key)
        return super().create(key, data)

    def _told(self, operation: str) -> Any:
        if self.silent:
            raise Unavailable(f"{operation}: silence.")
        return super()._told(operation)


class Machine:
    """One machine: its models, and what it does with the bucket."""

    def __init__(
        self, folder: Path, shared: Any, name: str, chance: Callable[[], float] = random.random
    ) -> None:
        self.name = name
        self.store = Store(folder)
        self.status = MachineStatus(memoryview(bytearray(72)).cast("q"))
        self.bucket = Interrupted(shared)
        self.log = ChangeLog(self.bucket)
        self.machines = Machines(self.bucket, name, self.status, POLL_SECONDS, chance)
        self.machines.beat_seconds, self.machines.dead_seconds = BEAT_SECONDS, DEAD_SECONDS
        self.models = LocalModels(self.store.transactions, Blobs(self.bucket))
        self.coordinator = Coordinator(self.log, self.machines, self.models, self.status)
        self.store.transactions.other_machines = self.coordinator
        self.follower = Follower(
            self.log, self.machines, self.models, self.coordinator, self.store.transactions, self.status
        )

    def live(self, name: str = "default") -> int | None:
        """The version of a name that serves."""
        return self.store.registry.read().live().get(name)

    def content(self, name: str = "default") -> bytes:
        """The bytes of the version that serves, which must be those of its manifest."""
        version = self.store.registry.version(name, self.live(name) or 0)
        version.verify()
        return version.path.read_bytes()

    def start(self) -> "Machine":
        """Follow the bucket, and wait until that may be relied on."""
        self.follower.start()
        until(lambda: self.status.caught_up)
        return self

    def die(self) -> None:
        """Follow no more, as if this machine had been cut off."""
        self.bucket.silent = True
        self.follower.stop()


def until(condition: Callable[[], object]) -> None:
    """Wait for what other threads do, but not for ever."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "this did not become true"
        time.sleep(0.01)


@pytest.fixture(params=["memory", "folder"])
def shared(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """A bucket in memory, and one in a folder."""
    return MemoryStore() if request.param == "memory" else LocalStore(str(tmp_path / "bucket"), mkdir=True)


@pytest.fixture
def memory() -> Any:
    """A bucket in memory."""
    return MemoryStore()


@pytest.fixture
def machine(tmp_path: Path, memory: Any) -> Iterator[Callable[..., Machine]]:
    """Make machines of one bucket; they end with the test."""
    with ExitStack() as made:

        def make(name: str, chance: Callable[[], float] = random.random) -> Machine:
            one = Machine(tmp_path / name, memory, name, chance)
            made.callback(one.follower.stop)
            return one

        yield make
