"""Machines of different releases on one store: what one cannot read keeps no other waiting for long."""

from collections.abc import Callable

from predictor.cluster.log import REFUSED, Change
from tests.cluster.conftest import Machine, until

Make = Callable[[str], Machine]
NEWER = b'{"serial": 1, "form": "that of another release"}'


def test_announcement_of_another_release(machine: Make) -> None:
    """A machine refuses what it cannot read, so that its author learns of it at once."""
    a = machine("a").start()
    a.bucket.create(f"pending/{1:012d}", NEWER)

    until(lambda: a.log.acknowledged(1)[REFUSED] == {"a"})
    assert "another release" in a.log.refusal(1, "a").detail

    before = a.models.own()
    a.log.decide(Change(1, {}, {}, "newer").abort("newer", before))
    until(lambda: a.status.serial == 1)
    a.store.upload(b"next")
    assert a.content() == b"next"


def test_decision_of_another_release(machine: Make) -> None:
    """A machine that cannot read what was decided is not waited for, and says so, until it can."""
    a = machine("a").start()
    own = a.models.own()
    a.bucket.create(f"pending/{1:012d}", NEWER)
    a.bucket.create(f"changes/{1:012d}", NEWER)

    until(lambda: a.status.fault)
    until(lambda: not a.machines.alive("a"))

    a.log.decide(Change(2, own.names, own.manifests, "newer"))
    until(lambda: a.status.serial == 2)
    until(lambda: a.machines.alive("a"))
    assert a.status.fault is None
