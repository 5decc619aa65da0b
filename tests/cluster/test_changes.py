"""Many machines change together or not at all, whichever of them fails at whichever step."""

import dataclasses
import itertools
import shutil
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from predictor.cluster.blobs import Blobs
from predictor.cluster.bucket import Bucket, Entry, Unavailable
from predictor.cluster.follower import Follower
from predictor.cluster.heartbeat import Heartbeat
from predictor.cluster.log import ChangeLog
from predictor.cluster.machine_status import MachineStatus
from predictor.cluster.machines import Machines
from predictor.errors import InvalidModel, ModelConflict, NotReady, PredictorError, StorageFull
from predictor.store.state import CRASHED, State
from tests.cluster.conftest import DEAD_SECONDS, POLL_SECONDS, Machine, until
from tests.store.conftest import Follower as Worker
from tests.store.conftest import Store

Make = Callable[[str], Machine]


@pytest.fixture
def three(machine: Make) -> list[Machine]:
    """Three machines that follow the bucket."""
    return [machine(name).start() for name in ("a", "b", "c")]


def agree(machines: list[Machine], serial: int) -> bool:
    """Whether machines serve a change, and know the same of their models."""
    positions = [one.models.position() for one in machines]
    return all(found is not None and found.serial == serial for found in positions)


@pytest.mark.promise("C1")
def test_upload(three: list[Machine]) -> None:
    """An upload to any machine is served by all of them once it is answered, under one number."""
    for number, author in enumerate(three, 1):
        author.store.upload(b"model %d" % number)

        assert [one.content() for one in three] == [b"model %d" % number] * 3
        assert [one.live() for one in three] == [number + 1] * 3
        assert author.status.machines == (3, 3)
    assert agree(three, 3)


@pytest.mark.promise("C1")
def test_every_change(three: list[Machine]) -> None:
    """Activation, rollback and deletion of versions and names are changes of all machines."""
    a, b, c = three
    a.store.upload(b"one")
    b.store.upload(b"two")

    c.store.publisher.activate("default", 2)
    assert [one.live() for one in three] == [2] * 3
    a.store.publisher.rollback("default")
    assert [one.live() for one in three] == [3] * 3
    b.store.publisher.delete("default", 2)
    assert [one.store.folders() for one in three] == [[3]] * 3
    c.store.upload(b"dog", "dogs")
    assert [one.content("dogs") for one in three] == [b"dog"] * 3
    a.store.publisher.delete_name("dogs")
    assert [one.live("dogs") for one in three] == [None] * 3
    assert len({str(one.models.shared_names(one.store.registry.read())) for one in three}) == 1


def test_old_versions_go_everywhere(three: list[Machine]) -> None:
    """The versions that are too many are removed on all machines."""
    for number in range(7):
        three[number % 3].store.upload(b"model %d" % number)

    until(lambda: all(one.store.folders() == [4, 5, 6, 7, 8] for one in three))


@pytest.mark.promise("C1")
def test_one_machine_refuses(three: list[Machine]) -> None:
    """A machine that cannot serve a change keeps it from all, and the error names it."""
    author, _, other = three
    refusing = Worker(other.store, InvalidModel("It has no legs."))
    refusing.start()

    with pytest.raises(InvalidModel, match=r"machine c .* no legs"):
        author.store.upload(b"bad")
    refusing.ended.set()
    refusing.join()
    refusing.record.deregister()

    assert [one.live() for one in three] == [1] * 3
    three[1].store.upload(b"good")
    assert [one.content() for one in three] == [b"good"] * 3


@pytest.mark.promise("C1")
def test_two_authors(three: list[Machine]) -> None:
    """Uploads at the same time to all machines: each is made whole or refused, and all machines agree."""
    outcomes: list[str] = []

    def upload(one: Machine) -> None:
        try:
            one.store.upload(one.name.encode())
            outcomes.append("made")
        except ModelConflict:
            outcomes.append("conflict")

    threads = [threading.Thread(target=upload, args=(one,)) for one in three]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert "made" in outcomes
    until(lambda: len({one.live() for one in three}) == 1)
    assert len({one.content() for one in three}) == 1
    assert three[0].live() == 1 + outcomes.count("made")


def refuse(key: str, data: bytes) -> str | None:
    """Take nothing."""
    raise Unavailable("The store refuses to write.")


class _Killed(BaseException):
    """The end of an author in the middle of a change."""


def killed_at(author: Machine, prefix: str) -> None:
    """Have an author die before it writes an object."""

    def before(key: str) -> None:
        if key.startswith(prefix):
            author.bucket.before = lambda _: None
            author.die()
            raise _Killed

    author.bucket.before = before


@pytest.mark.promise("C2")
@pytest.mark.parametrize("step", ["pending/", "changes/"])
def test_author_dies(three: list[Machine], step: str) -> None:
    """A machine that dies before it announces or decides a change blocks nobody for long."""
    author, *others = three
    killed_at(author, step)

    with pytest.raises(_Killed):
        author.store.upload(b"lost")
    others[0].store.upload(b"next")

    assert [one.content() for one in others] == [b"next"] * 2
    assert others[0].status.machines == (2, 2)


@pytest.mark.promise("C2")
def test_author_process_dies(three: list[Machine]) -> None:
    """A worker that dies between announcing and deciding, on a machine that lives, blocks nobody either."""
    author, other, _ = three

    def before(key: str) -> None:
        if key.startswith("changes/"):
            author.bucket.before = lambda _: None
            raise _Killed

    # An author whose process is killed withdraws nothing.
    author.coordinator.abort = lambda *_: None  # type: ignore[method-assign]
    author.bucket.before = before
    with pytest.raises(_Killed):
        author.store.upload(b"lost")
    del author.coordinator.abort

    other.store.upload(b"next")
    assert [one.content() for one in three] == [b"next"] * 3


@pytest.mark.promise("C2")
def test_dead_machine_returns(machine: Make, three: list[Machine]) -> None:
    """A machine that is gone is not waited for; when it is back it has what the others have."""
    a, b, c = three
    c.die()
    a.store.upload(b"meanwhile")
    b.store.upload(b"later")
    assert [one.content() for one in (a, b)] == [b"later"] * 2

    again = machine("c").start()

    assert again.content() == b"later"
    assert again.live() == a.live()


@pytest.mark.promise("C5")
def test_cold_machine(machine: Make) -> None:
    """A new machine has the models of the others before it may be sent requests, and is waited for then."""
    a = machine("a").start()
    a.store.upload(b"one")
    a.store.upload(b"two")
    a.store.upload(b"dog", "dogs")

    b = machine("b").start()

    assert (b.content(), b.content("dogs")) == (b"two", b"dog")
    until(lambda: b.store.folders() == [2, 3])
    a.store.publisher.activate("default", 2)
    assert b.content() == b"one"


def test_first_machine_brings_its_models(machine: Make) -> None:
    """The models of a machine that had some become those of an empty store; a later machine's own do not."""
    a, b = machine("a"), machine("b")
    for one, content in ((a, b"of a"), (b, b"of b")):
        one.store.transactions.other_machines = None
        one.store.upload(content)
        one.store.transactions.other_machines = one.coordinator

    a.start()
    until(lambda: agree([a], 1))
    b.start()

    assert (a.content(), b.content()) == (b"of a", b"of a")


def test_models_that_the_store_replaces(machine: Make) -> None:
    """Models that a machine alone has when it joins, or joins again, are kept in its data folder."""
    a, b = machine("a").start(), machine("b")
    a.store.upload(b"of all")
    b.store.transactions.other_machines = None
    b.store.upload(b"of b")
    b.store.set_golden(b"an image")
    b.start()
    b.die()
    alone = Store(b.store.data)
    alone.upload(b"of b alone")

    again = machine("b").start()

    assert again.content() == b"of all"
    kept = {path.read_bytes() for path in (b.store.data / "before-store").rglob("model.onnx")}
    assert kept == {b"of b", b"of all", b"of b alone"}
    assert b"an image" in {path.read_bytes() for path in b.store.data.glob("before-store/*/golden/*/*/*")}
    assert len(list(b.store.data.glob("before-store/*/state.json"))) == 2
    assert list(a.store.data.glob("before-store")) == []


@pytest.mark.promise("C3")
def test_silent_store(three: list[Machine]) -> None:
    """Without the store models serve on and are not changed; when it is back, changes are made again."""
    for one in three:
        one.bucket.silent = True
    with pytest.raises(StorageFull):
        three[0].store.upload(b"no")
    assert [one.live() for one in three] == [1] * 3

    for one in three:
        one.bucket.silent = False
    three[1].store.upload(b"yes")
    until(lambda: [one.content() for one in three] == [b"yes"] * 3)


@pytest.mark.promise("C2")
def test_decision_in_doubt(three: list[Machine]) -> None:
    """An author whose decision was written, but not answered, finds it once the store answers again."""
    author, *others = three
    lost = threading.Event()

    def before(key: str) -> None:
        if key.startswith("changes/") and not lost.is_set():
            lost.set()
            change = author.log.pending(int(key.rpartition("/")[2]))
            assert change is not None
            others[0].log.decide(change)
            raise Unavailable("The answer was lost.")

    author.bucket.before = before
    author.store.upload(b"decided")

    assert lost.is_set()
    assert [one.content() for one in three] == [b"decided"] * 3


@pytest.mark.promise("C2")
def test_disk_full_after_the_decision(three: list[Machine], monkeypatch: pytest.MonkeyPatch) -> None:
    """An author whose disk is full once its change was decided does not deny it, and serves it later."""
    author, *others = three
    write, full = author.store.registry.write, threading.Event()

    def write_if_free(state: State) -> None:
        if full.is_set():
            raise StorageFull("The disk is full; nothing was changed.")
        write(state)

    monkeypatch.setattr(author.store.registry, "write", write_if_free)
    author.bucket.before = lambda key: full.set() if key.startswith("changes/") else None
    version = author.store.upload(b"decided")

    assert version.version == 2
    assert [one.content() for one in others] == [b"decided"] * 2
    full.clear()
    until(lambda: author.live() == 2)
    assert author.content() == b"decided"


@pytest.mark.promise("C2")
def test_cut_off_between_ready_and_decision(three: list[Machine]) -> None:
    """A machine that is cut off after it was ready serves the old version until it is back."""
    author, other, cut = three

    def before(key: str) -> None:
        if key.startswith("changes/"):
            cut.bucket.silent = True
            author.bucket.before = lambda _: None

    author.bucket.before = before
    author.store.upload(b"new")
    assert [one.content() for one in (author, other)] == [b"new"] * 2
    assert cut.live() == 1

    cut.bucket.silent = False
    until(lambda: cut.live() == 2)
    assert cut.content() == b"new"


@pytest.mark.promise("C6")
def test_quarantine_is_proposed(three: list[Machine]) -> None:
    """A version that crashed the workers of one machine is put away there at once, and then on all."""
    a, b, c = three
    a.store.upload(b"good")
    a.store.upload(b"bad")

    b.store.publisher.quarantine("default", 3, CRASHED)

    assert b.live() == 2
    until(lambda: [one.live() for one in three] == [2] * 3)
    assert all(3 in one.store.registry.read().names["default"].quarantined for one in (a, c))
    with pytest.raises(ModelConflict, match="quarantined"):
        c.store.publisher.activate("default", 3)


@pytest.mark.promise("C6")
def test_damaged_file_is_fetched_again(three: list[Machine]) -> None:
    """A file that is damaged on one machine comes again from the store, and no other machine is touched."""
    a, b, _ = three
    a.store.upload(b"good")
    a.store.upload(b"better")
    b.store.registry.version("default", 3).path.write_bytes(b"damaged")

    b.store.publisher.quarantine("default", 3, "A file of version 3 is missing or damaged.")

    until(lambda: b.live() == 3)
    assert b.content() == b"better"
    assert a.live() == 3
    assert agree(three, 2)


@pytest.mark.promise("C4")
def test_older_store(three: list[Machine], memory: Any) -> None:
    """Where the store lost changes, machines serve on, and refuse changes until they are adopted."""
    a, *_ = three
    a.store.upload(b"one")
    a.store.upload(b"two")
    for prefix in ("changes/", "pending/", "blobs/"):
        a.bucket.remove([entry.key for entry in a.bucket.entries(prefix)])

    until(lambda: a.status.fault)
    with pytest.raises(StorageFull, match="adopt"):
        a.store.upload(b"three")
    assert [one.content() for one in three] == [b"two"] * 3


def test_trimmed_bucket(three: list[Machine]) -> None:
    """Every tenth change tidies the bucket; a file that no version names goes after a day."""
    a = three[0]
    for number in range(10):
        a.store.upload(b"model %d" % number)

    until(lambda: {int(entry.key.split("/")[1]) for entry in a.bucket.entries("acks/")} <= {9, 10})
    assert len(a.bucket.entries("blobs/")) == 20


def test_files_of_nobody(machine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that no version names goes when it is older than a day by the store's clock."""
    a = machine("a").start()
    a.store.upload(b"one")
    a.bucket.put("blobs/sha256:00", b"left by an author that died")
    position = a.models.position()
    assert position is not None
    present = a.status.store_time or 0.0

    a.models.sweep(position, present + 3600)
    assert a.bucket.find("blobs/sha256:00") is not None
    a.models.sweep(position, present + 100_000)

    assert len(a.bucket.entries("blobs/")) == 2


def test_file_that_is_needed_again_while_the_bucket_is_swept(machine: Make) -> None:
    """A file that is written again after it was listed as one of nobody stays: it will have a name soon."""
    a = machine("a").start()
    a.store.upload(b"one")
    position = a.models.position()
    assert position is not None
    a.bucket.put("blobs/sha256:00", b"old")
    entries, present = a.bucket.entries, a.status.store_time or 0.0

    def as_of_yesterday(prefix: str) -> list[Entry]:
        return [dataclasses.replace(entry, time=entry.time - 100_000) for entry in entries(prefix)]

    a.bucket.entries = as_of_yesterday  # type: ignore[assignment]
    a.models.sweep(position, present)

    assert a.bucket.find("blobs/sha256:00") is not None


def test_file_of_nobody_is_needed_again(machine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that may soon be swept is written again for a version that needs it; a recent one is not."""
    a = machine("a").start()
    a.store.upload(b"one")
    (key,) = [entry.key for entry in a.bucket.entries("blobs/") if a.bucket.get(entry.key) == b"one"]
    folder, blobs = a.store.registry.version("default", 2).path.parent, Blobs(a.bucket)
    first = a.bucket.find(key)
    assert first is not None

    blobs.publish(folder)
    assert a.bucket.find(key) == first
    # What was written before the manifest counts as old then.
    monkeypatch.setattr("predictor.cluster.blobs._UNNAMED_SECONDS", -1.0)
    blobs.publish(folder)

    second = a.bucket.find(key)
    assert second is not None
    assert second.time > first.time


def test_survey(memory: Any, tmp_path: Path) -> None:
    """A machine that is due to look through the log stays in step, however long its models keep it busy."""
    numbers = memoryview(bytearray(72)).cast("q")
    bucket, status = Bucket(memory), MachineStatus(numbers)
    heartbeat = Heartbeat(ChangeLog(bucket), Machines(bucket, "a", status, POLL_SECONDS), status, tmp_path)
    heartbeat.unsure = False
    contacts = list[float]()

    for _ in range(30):
        time.sleep(0.01)
        heartbeat.begin()
        contacts.append(time.monotonic() - status.lag)
    heartbeat.stop()

    assert heartbeat.due
    assert all(later - earlier > 0.005 for earlier, later in itertools.pairwise(contacts))


@pytest.mark.parametrize("live", [False, True])
def test_nothing_is_swept_without_a_version(machine: Make, live: bool) -> None:
    """A machine that lacks a version removes nothing from the bucket, and goes on once it has the version."""
    a, b = machine("a").start(), machine("b").start()
    a.store.upload(b"one")
    a.store.upload(b"two")
    a.bucket.put("blobs/sha256:00", b"of nobody")
    a.follower.stop()
    position = a.models.position()
    assert position is not None
    present, version = (a.status.store_time or 0.0) + 100_000, 3 if live else 2
    shutil.rmtree(a.store.registry.folder("default", version))

    a.models.sweep(position, present)
    assert len(b.bucket.entries("blobs/")) == 5
    b.models.sweep(position, present)

    assert len(b.bucket.entries("blobs/")) == 4


@pytest.mark.promise("C6")
def test_lost_file_of_an_old_version(machine: Make, three: list[Machine]) -> None:
    """A file that is lost in the store, of a version that does not serve, keeps no machine from changes."""
    a = three[0]
    a.store.upload(b"old")
    a.store.upload(b"new")
    a.bucket.remove([entry.key for entry in a.bucket.entries("blobs/") if a.bucket.get(entry.key) == b"old"])

    late = machine("late").start()
    late.store.upload(b"newer")

    assert [one.content() for one in (*three, late)] == [b"newer"] * 4


def test_errors_are_the_callers(three: list[Machine]) -> None:
    """What a caller may not do is refused as on one machine, and announces nothing."""
    a = three[0]
    for wrong in (
        lambda: a.store.publisher.activate("default", 9),
        lambda: a.store.publisher.rollback("default"),
        lambda: a.store.publisher.delete("default", 1),
        lambda: a.store.publisher.delete_name("default"),
    ):
        with pytest.raises(PredictorError):
            wrong()

    assert a.bucket.entries("pending/") == []


def test_store_that_was_silent_at_the_start(machine: Make) -> None:
    """A store that could not be proved at the start is proved before it is used."""
    a = machine("a")
    a.bucket.create = lambda key, data: bool(a.bucket.put(key, data) or True)  # type: ignore[method-assign]

    a.follower.start()

    until(lambda: a.status.fault)
    with pytest.raises(StorageFull, match="overwrites"):
        a.store.upload(b"no")
    assert not a.status.caught_up


@pytest.mark.promise("C3")
@pytest.mark.parametrize("started_again", [False, True])
def test_store_that_may_only_be_read(machine: Make, started_again: bool) -> None:
    """Where a machine cannot write its heartbeat, changes are refused as with a store that is full."""
    a = machine("a").start()
    a.store.upload(b"one")
    if started_again:
        a.follower.stop()
        a = machine("a")
    a.bucket.put = refuse  # type: ignore[method-assign]
    if started_again:
        a.follower.start()
    until(lambda: not a.machines.heard())

    with pytest.raises(StorageFull, match="takes no heartbeat of this machine"):
        a.coordinator.turn(0.0)
    assert a.content() == b"one"


def test_silent_before_it_served(machine: Make, caplog: pytest.LogCaptureFixture) -> None:
    """A machine that never served what the others do does not say that its predictions go on."""
    a = machine("a")
    a.bucket.silent = True

    a.follower.start()

    until(lambda: "this machine does not serve yet" in caplog.text)
    assert "predictions go on" not in caplog.text
    a.bucket.silent = False
    until(lambda: a.status.caught_up)
    a.bucket.silent = True
    until(lambda: "predictions go on" in caplog.text)


def test_two_machines_of_one_name(machine: Make, tmp_path: Path, memory: Any) -> None:
    """Machines that were given one name notice it, and change nothing: each would be taken for the other."""
    a = machine("a").start()
    again = Machine(tmp_path / "another", memory, "a").start()

    until(lambda: a.status.fault and again.status.fault)
    with pytest.raises(StorageFull, match="PREDICTOR_MACHINE"):
        a.store.upload(b"no")
    until(lambda: a.status.lag > DEAD_SECONDS)
    again.follower.stop()

    until(lambda: a.status.fault is None)
    a.store.upload(b"yes")


def test_two_services_of_one_folder(machine: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    """A service whose data folder another one uses says so, and follows the store once that one has ended."""
    monkeypatch.setattr("predictor.cluster.follower._LEFT_OUT_SECONDS", 0.0)
    a = machine("a").start()
    worker = Follower(a.log, a.machines, a.models, a.coordinator, a.store.transactions, a.status)
    worker.start()
    again = machine("a")
    again.follower.start()

    until(lambda: again.status.fault)
    with pytest.raises(StorageFull, match="Another service uses this PREDICTOR_DATA"):
        again.store.upload(b"no")
    worker.stop()
    assert not again.status.caught_up
    assert a.status.fault is None
    a.follower.stop()

    until(lambda: again.status.caught_up and again.status.fault is None)
    again.store.upload(b"yes")


def test_aborted_while_the_author_waits(three: list[Machine]) -> None:
    """An author whose change another machine aborts does not wait any longer for those that are not ready."""
    author, other, busy = three
    before = other.models.own()
    with busy.store.transactions.exclusive(0), ThreadPoolExecutor(1) as pool:
        upload = pool.submit(author.store.upload, b"new")
        until(lambda: other.log.pending(1))
        pending = other.log.pending(1)
        assert pending is not None
        other.log.decide(pending.abort(other.name, before))

        with pytest.raises(NotReady, match="aborted"):
            upload.result()


class _WaitsForOthers(Worker):
    """A worker of a machine that is ready once all other machines are."""

    def __init__(self, machine: Machine, others: list[Machine]) -> None:
        super().__init__(machine.store)
        self._names, self._told = {one.name for one in others}, machine.log

    def run(self) -> None:
        """Prepare one change."""
        until(lambda: self._told.acknowledged(1)["ready"] >= self._names)
        super().run()


def test_machines_load_at_the_same_time(three: list[Machine], monkeypatch: pytest.MonkeyPatch) -> None:
    """The time that the others have runs from the announcement, not after that of the author's workers."""
    monkeypatch.setattr("predictor.cluster.coordinator._READY_SECONDS", 0.0)
    author, *others = three
    worker = _WaitsForOthers(author, others)
    worker.start()

    author.store.upload(b"new")
    worker.ended.set()
    worker.join()

    assert [one.content() for one in three] == [b"new"] * 3


def test_upload_right_after_silence(three: list[Machine]) -> None:
    """A store that was silent made every machine look dead: the next author waits for their heartbeats."""
    for one in three:
        one.bucket.silent = True
    time.sleep(1.5 * DEAD_SECONDS)
    for one in three:
        one.bucket.silent = False

    three[0].store.upload(b"new")

    assert [one.content() for one in three] == [b"new"] * 3
