"""Heartbeats: which machines live, and when an author may rely on them."""

import time
from collections.abc import Callable
from typing import Any

from predictor.cluster.bucket import Bucket, Unavailable
from predictor.cluster.machine_status import MachineStatus
from predictor.cluster.machines import Machines
from tests.cluster.conftest import POLL_SECONDS, Machine, until

BEAT_SECONDS, DEAD_SECONDS = 0.2, 0.8


def machines(memory: Any, name: str, pace: float = 1) -> Machines:
    """The machines of a bucket as one of them sees them, which was just started, with longer pauses."""
    found = Machines(Bucket(memory), name, MachineStatus(memoryview(bytearray(72)).cast("q")), POLL_SECONDS)
    found.beat_seconds, found.dead_seconds = pace * BEAT_SECONDS, pace * DEAD_SECONDS
    return found


def test_alone(memory: Any) -> None:
    """A machine alone waits for nobody, from its first heartbeat on."""
    a = machines(memory, "a")
    assert not a.settled()

    a.beat()

    assert a.settled()


def test_others_live(memory: Any) -> None:
    """Nor does one that starts while all others give heartbeats."""
    a, b = machines(memory, "a"), machines(memory, "b")
    b.beat()

    a.beat()

    assert a.settled()
    assert a.living() == {"a", "b"}


def test_started_after_a_silence(memory: Any) -> None:
    """One that starts when a silence of the store ends gives the others time for a heartbeat."""
    a, b = machines(memory, "a"), machines(memory, "b")
    b.beat()
    time.sleep(1.2 * DEAD_SECONDS)

    a.beat()

    assert a.living() == {"a"}
    assert not a.settled()
    b.beat()
    assert a.settled()
    assert a.living() == {"a", "b"}


def test_short_silence(memory: Any) -> None:
    """After a silence in which others may look dead that were heard last a moment before this machine."""
    a, b = machines(memory, "a"), machines(memory, "b")
    for one in (b, a):
        one.beat()
    time.sleep(DEAD_SECONDS - BEAT_SECONDS / 2)

    a.beat()

    assert not a.settled()


def test_gone(memory: Any) -> None:
    """A machine that is gone delays an author after a silence no longer than a heartbeat takes."""
    a, b = machines(memory, "a"), machines(memory, "b")
    b.beat()
    time.sleep(1.2 * DEAD_SECONDS)
    a.beat()
    assert not a.settled()

    def settled() -> bool:
        a.beat()
        return a.settled()

    until(settled)
    assert a.living() == {"a"}


def test_heartbeats_refused(machine: Callable[[str], Machine]) -> None:
    """A machine that reads the log is late where its heartbeats are refused: others change without it."""
    a = machine("a").start()
    assert a.status.lag < DEAD_SECONDS

    def refuse(key: str, data: bytes) -> None:
        raise Unavailable("It may only read.")

    a.bucket.put = refuse  # type: ignore[method-assign]

    until(lambda: a.status.lag > DEAD_SECONDS)


def test_slower_machine(memory: Any) -> None:
    """A machine lives as long as its own pace allows, if that is slower than the reader's."""
    a, slow = machines(memory, "a"), machines(memory, "slow", 10)
    slow.beat()
    time.sleep(1.2 * DEAD_SECONDS)

    seen = a.beat()

    assert seen["slow"].lives
    assert a.living() == {"a", "slow"}
    assert a.alive("slow")


def test_waits_for_a_slower_machine(memory: Any) -> None:
    """After a silence the others have time for a heartbeat at their own pace."""
    a, slow = machines(memory, "a"), machines(memory, "slow", 10)
    slow.beat()
    time.sleep(1.2 * DEAD_SECONDS)

    a.beat()
    time.sleep(BEAT_SECONDS + 0.6)
    a.beat()

    assert not a.settled()


def test_heartbeat_of_a_former_release(memory: Any) -> None:
    """A heartbeat that does not say its pace counts by the reader's."""
    a = machines(memory, "a")
    Bucket(memory).put("machines/former", b"1.0 00000000000000000000000000000000")
    a.beat()
    assert a.alive("former")
    time.sleep(1.2 * DEAD_SECONDS)

    seen = a.beat()

    assert not seen["former"].lives
