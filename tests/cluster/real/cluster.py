"""Three machines on one store, with load."""

import itertools
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

from predictor.cluster.machines import DEAD_POLLS
from tests.cluster.real.ceph import BUCKET, PORT, Ceph
from tests.cluster.real.judge import Upload
from tests.cluster.real.machine import POLL_SECONDS, Machine
from tests.cluster.real.network import Host
from tests.cluster.real.wire import Wire
from tests.live.load import Sent
from tests.live.models import eventually
from tests.live.steady import steady

RATE = 8.0
"""Requests a second to each machine."""
DEAD = max(3.0, DEAD_POLLS * POLL_SECONDS)
"""Seconds without a heartbeat after which a machine is not waited for."""


class Cluster:
    """Machines that share a store, each by a wire of its own.

    Args:
        folder: what all of them write to.
        store: the store.
        image: what is asked about.
        first: the number of the first machine.
    """

    def __init__(self, folder: Path, store: Ceph, image: Path, first: int = 1) -> None:
        self.store = store
        self.image = image
        self.machines: list[Machine] = []
        self.wires: dict[Machine, Wire] = {}
        self.url = f"s3://{BUCKET}/cluster-{first}"
        self._folder = folder
        self._hosts = itertools.count(first)
        self._number = 0
        self._open = ExitStack()

    def close(self) -> None:
        """Stop all machines."""
        self._open.close()

    def add(self, **settings: object) -> Machine:
        """A further machine, which is not started."""
        number = next(self._hosts)
        wire = self._open.enter_context(Wire(self.store.address, (self.store.address, PORT)))
        folder = self._folder / f"m{number}"
        told = self.store.environment(wire.url)
        machine = Machine(Host.add(number), folder, told, **{"store": self.url, **settings})
        self._open.callback(machine.stop)
        self.machines.append(machine)
        self.wires[machine] = wire
        return machine

    def remove(self, machine: Machine) -> None:
        """Stop a machine for good."""
        machine.stop()
        self.machines.remove(machine)

    def next_number(self) -> int:
        """A number that no model had."""
        self._number += 1
        return self._number

    def upload(self, machine: Machine) -> Upload:
        """Upload a new model, which must succeed."""
        number = self.next_number()
        answer = machine.upload(number)
        assert answer.status_code == 200, answer.text
        return Upload(number, time.time())

    def upload_soon(self, machine: Machine, seconds: float) -> Upload:
        """Upload a new model as soon as that succeeds, within a time."""
        end = time.monotonic() + seconds
        number = self.next_number()
        while True:
            answer = machine.upload(number)
            if answer.status_code == 200:
                return Upload(number, time.time())
            assert time.monotonic() < end, answer.text
            time.sleep(0.2)

    def agree(self, number: int, machines: Sequence[Machine] = (), seconds: float = 60) -> float:
        """Wait until machines, by default all, answer with a version; the seconds it took."""
        image, asked = self.image.read_bytes(), machines or self.machines
        took = eventually(lambda: all(machine.predict(image) == number for machine in asked), seconds)
        assert len({machine.live() for machine in asked}) == 1
        return took

    @contextmanager
    def load(self, *machines: Machine) -> Iterator[list[Sent]]:
        """Load machines, by default all, while the block lasts; then it has what came of each request."""
        found = list[Sent]()
        with ExitStack() as running:
            parts = [
                running.enter_context(steady(one, self.image, RATE)) for one in machines or self.machines
            ]
            yield found
        for part in parts:
            found += part


@contextmanager
def in_background(call: Callable[[], object]) -> Iterator["Future[object]"]:
    """Make a call while the block lasts; it ends with the call."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(call)


def killed(machine: Machine) -> Callable[[], bool]:
    """What kills a machine when a wire sees a request, which is not passed on."""

    def kill() -> bool:
        machine.kill()
        return False

    return kill


def wait(event: threading.Event, seconds: float = 60) -> None:
    """Wait for what a wire must see."""
    assert event.wait(seconds), "the request was not seen"
