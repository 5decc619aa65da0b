"""The log of changes: each number is announced once and decided once, whoever writes at the same time."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import Any

import pytest

from predictor.cluster.bucket import Bucket
from predictor.cluster.log import KEPT, READY, REFUSED, SERVING, Change, ChangeLog
from predictor.errors import InvalidModel, NotReady
from predictor.store.state import Event, Name

WRITERS = 16
NAMES = {
    "default": Name(
        live=2, last=2, versions=(1, 2), former=(1,), quarantined={1: "It is bad."},
        history=(Event("2026-01-01T00:00:00+00:00", "upload", 2),), golden="0a" * 32,
    )
}  # fmt: skip


def change(serial: int, author: str = "a") -> Change:
    """A change with some state."""
    return Change(serial, NAMES, {"default/2": "sha256:00"}, author, "default")


def at_once(shared: Any, attempt: Any) -> list[Any]:
    """What many writers get who try at the same moment."""
    barrier = Barrier(WRITERS)

    def one(number: int) -> Any:
        log = ChangeLog(Bucket(shared))
        barrier.wait()
        return attempt(log, number)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(one, range(WRITERS)))


@pytest.mark.promise("C1")
def test_one_announcement(shared: Any) -> None:
    """Of many authors one gets the number, and all read the announcement of that one."""
    for serial in (1, 2, 3):
        made = {number: change(serial, f"m{number}") for number in range(WRITERS)}

        won = at_once(shared, lambda log, number, made=made: log.announce(made[number]))

        assert won.count(True) == 1
        assert ChangeLog(Bucket(shared)).pending(serial) == made[won.index(True)]


@pytest.mark.promise("C1")
def test_one_decision(shared: Any) -> None:
    """A commit and many aborts exclude each other, and everybody learns which it was."""
    for serial in (1, 2, 3):
        wanted = change(serial)
        made = [wanted, *(wanted.abort(f"m{number}", change(serial - 1)) for number in range(1, WRITERS))]

        told = at_once(shared, lambda log, number, made=made: log.decide(made[number]))

        assert len({one.token for one in told}) == 1
        assert told[0] == ChangeLog(Bucket(shared)).outcome(serial)


def test_own_attempt_is_known(shared: Any) -> None:
    """An author whose answer was lost announces and decides again, and finds its own."""
    log, wanted = ChangeLog(Bucket(shared)), change(1)
    log.announce(wanted)
    log.decide(wanted)

    assert log.announce(wanted)
    assert log.decide(wanted).token == wanted.token


def test_what_is_written_is_read(shared: Any) -> None:
    """A record comes back with the whole state; an aborted one has the state before."""
    log, before = ChangeLog(Bucket(shared)), Change(4, {"cats": Name(live=1, last=1, versions=(1,))}, {})
    log.decide(change(5).abort("b", before))
    found = log.outcome(5)

    assert found is not None
    assert (found.aborted, found.names, found.manifests) == ("b", before.names, before.manifests)
    assert log.outcome(4) is None
    assert log.pending(5) is None


@pytest.mark.parametrize(
    "record",
    [
        b'{"serial": 1}',
        b"[]",
        b"\xff",
        Change(1, {"../elsewhere": Name()}, {}).to_bytes(),
        Change(1, {"a/b": Name()}, {}).to_bytes(),
        Change(1, {"ab": Name(golden="../elsewhere")}, {}).to_bytes(),
    ],
)
def test_another_form(record: bytes) -> None:
    """A record that another release wrote, or whose names would lead elsewhere, is an error that says so."""
    with pytest.raises(NotReady, match="another release"):
        Change.from_bytes(record)


def test_former_release() -> None:
    """A record that knows nothing of golden images is read."""
    written = json.loads(change(1).to_bytes())
    del written["names"]["default"]["golden"]

    found = Change.from_bytes(json.dumps(written).encode())

    assert (found.names["default"].live, found.names["default"].golden) == (2, None)


def test_newer_release() -> None:
    """What a newer release knows of the models is read, and stays in whatever this one writes after it."""
    written = json.loads(change(1).to_bytes())
    written["store"] = "7f"
    written["names"]["default"]["colour"] = "red"
    found = Change.from_bytes(json.dumps(written).encode())
    renamed = {"default": NAMES["default"], "other": NAMES["default"]}

    for one in (found, found.followed(renamed, {}, "b", "other"), change(2).abort("b", found)):
        again = json.loads(one.to_bytes())
        assert again["store"] == "7f"
        assert again["names"]["default"]["colour"] == "red"
        assert again["author"] == one.author
    assert "colour" not in json.loads(found.followed(renamed, {}, "b", "other").to_bytes())["names"]["other"]
    assert found.followed({}, {}, "b", "default").names == {}
    assert json.loads(found.followed({}, {}, "b", "default").to_bytes())["names"] == {}


def test_latest(shared: Any) -> None:
    """The last decision is found, also after a number and past a gap."""
    log = ChangeLog(Bucket(shared))
    assert log.latest() == 0
    for serial in (1, 2, 3, 101):
        log.decide(change(serial))

    assert (log.latest(), log.latest(2), log.latest(200)) == (101, 101, 0)
    assert (log.decided(3), log.decided(4)) == (True, False)


def test_acknowledgements(shared: Any) -> None:
    """Who is ready, refuses and serves is read at once; the reason of a refusal keeps its kind."""
    log = ChangeLog(Bucket(shared))
    log.acknowledge(1, "web-1.example", READY)
    log.acknowledge(1, "web-2", REFUSED, InvalidModel("It has no legs."))
    log.acknowledge(1, "web-3", REFUSED, NotReady("No memory is left."))
    log.acknowledge(2, "web-1.example", SERVING)

    told = log.acknowledged(1)
    assert (told[READY], told[REFUSED], told[SERVING]) == ({"web-1.example"}, {"web-2", "web-3"}, set())
    assert type(log.refusal(1, "web-2")) is InvalidModel
    assert "web-3" in log.refusal(1, "web-3").detail
    assert "No memory is left." in log.refusal(1, "web-3").detail


def test_trimmed(shared: Any) -> None:
    """The log keeps the last changes, the acknowledgements of the last two, and no proofs of former days."""
    bucket = Bucket(shared)
    log, last = ChangeLog(bucket), KEPT + 20
    for serial in range(1, last + 1):
        log.announce(change(serial))
        log.decide(change(serial))
        log.acknowledge(serial, "a", SERVING)

    bucket.put("proof/00", b"left by a process that was killed")

    log.trim(last, time.time() + 3600)
    assert len(bucket.entries("proof/")) == 1
    log.trim(last, time.time() + 100_000)

    assert len(bucket.entries("changes/")) == len(bucket.entries("pending/")) == KEPT + 1
    assert len(bucket.entries("acks/")) == 2
    assert bucket.entries("proof/") == []
    assert log.latest() == last
