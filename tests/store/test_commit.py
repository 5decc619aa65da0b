"""A change of a live version takes effect in all workers or in none, whoever dies on the way."""

import dataclasses
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from predictor.errors import InvalidModel, ModelConflict, NotReady, StorageFull
from predictor.store.files import locked
from predictor.store.registry import DEFAULT
from tests.patience import PATIENCE


def test_no_workers(store: Any) -> None:
    """Without a worker a change takes effect at once."""
    version = store.upload()

    assert (version.version, store.registry.read().live()) == (2, {DEFAULT: 2})
    assert store.stamp.live == store.stamp.preparing == store.registry.read().serial
    assert store.steps == ["switch"]


def test_all_ready(store: Any, follow: Callable[..., Any]) -> None:
    """With every worker ready the change takes effect, and not before."""
    followers = [follow() for _ in range(3)]

    store.upload()

    assert store.registry.read().live() == {DEFAULT: 2}
    assert all(follower.seen[-1] in {1, 2} for follower in followers)


@pytest.mark.parametrize("error", [InvalidModel("It has no legs."), NotReady("No memory is left.")])
def test_one_refuses(store: Any, follow: Callable[..., Any], error: Exception) -> None:
    """One worker that cannot serve the change keeps it from all, and the reason is told."""
    follow()
    follow(error)
    before = store.stamp.live

    with pytest.raises(type(error)) as caught:
        store.upload()

    assert str(caught.value) == str(error)
    assert store.registry.read().live() == {DEFAULT: 1}
    assert store.stamp.live == store.stamp.preparing == before
    assert store.folders() == []


def test_one_is_stuck(store: Any, follow: Callable[..., Any]) -> None:
    """A worker that never gets ready keeps the change from all when the time is up."""
    store.transactions.ready_seconds = 0.2
    follow()
    follow(stuck=True)

    with pytest.raises(NotReady):
        store.upload()

    assert store.registry.read().live() == {DEFAULT: 1}
    assert not store.transactions.in_progress
    assert store.registry.read().pending is None


def test_a_worker_that_starts_does_not_count(store: Any, follow: Callable[..., Any]) -> None:
    """A worker that answers no requests yet is not waited for."""
    follow()
    starting = store.workers.register()

    store.upload()

    assert starting is not None
    assert store.registry.read().live() == {DEFAULT: 2}


def test_numbers_are_not_used_twice(store: Any, follow: Callable[..., Any]) -> None:
    """What a worker prepared for a change that was taken back can never be taken for a later one."""
    refusing = follow(NotReady("Not now."))
    with pytest.raises(NotReady):
        store.upload()
    first = store.registry.read().issued
    refusing.ended.set()
    refusing.join()
    refusing.record.deregister()

    store.upload()

    assert store.registry.read().serial > first


class TestDeadAuthors:
    """An author may die after any of his steps."""

    def test_after_the_announcement(self, store: Any) -> None:
        """An announced change is taken back, with its folder."""
        state = store.registry.read()
        announced = state.with_pending(DEFAULT, 2)
        (store.data / "models" / DEFAULT / "2").mkdir(parents=True)
        store.registry.write(announced)
        store.stamp.prepare(announced.issued)
        assert store.transactions.in_progress

        store.transactions.recover()

        assert store.registry.read().live() == {DEFAULT: 1}
        assert store.registry.read().pending is None
        assert not store.transactions.in_progress
        assert store.folders() == []

    def test_before_the_stamp(self, store: Any) -> None:
        """A decided change takes effect for whoever looks next."""
        store.upload()
        state = store.registry.read()
        after = dataclasses.replace(state.names[DEFAULT], live=1)
        store.registry.write(dataclasses.replace(state.replaced(DEFAULT, after), serial=9, issued=9))
        store.stamp.prepare(9)

        with store.transactions.commit_lock():
            assert store.stamp.live == 9

        store.transactions.recover()
        assert store.registry.read().live() == {DEFAULT: 1}
        assert not store.transactions.in_progress

    def test_before_the_announcement(self, store: Any) -> None:
        """A folder that no state ever knew is swept away before the next change."""
        (store.data / "models" / DEFAULT / "2").mkdir(parents=True)

        version = store.upload()

        assert version.version == 2
        assert store.folders() == [2]
        version.verify()

    def test_while_receiving(self, store: Any) -> None:
        """What a dead uploader left in its folder is swept away; what a living one writes is not."""
        left = store.data / "incoming" / "left"
        left.mkdir(parents=True)
        (left / "part-0").write_bytes(b"half")

        with store.transactions.staging.new_folder() as folder:
            store.transactions.recover()
            assert folder.is_dir()

        assert list((store.data / "incoming").iterdir()) == []

    def test_a_living_author_is_left_alone(self, store: Any) -> None:
        """Nobody ends the change of an author who is at work."""
        with store.transactions.exclusive() as state:
            announced = state.with_pending(DEFAULT, 2)
            store.registry.write(announced)
            store.stamp.prepare(announced.issued)
            store.transactions.recover()

            assert store.transactions.in_progress


def test_one_author_at_a_time(store: Any) -> None:
    """A second author waits, and gives up with a conflict."""
    with store.transactions.exclusive(), pytest.raises(ModelConflict), store.transactions.exclusive(0.05):
        pass


def test_the_gate_keeps_changes_away(store: Any) -> None:
    """While a worker begins to serve nothing takes effect."""
    with store.transactions.commit_lock():
        author = threading.Thread(target=store.upload, daemon=True)
        author.start()
        author.join(0.2)
        assert author.is_alive()
        assert store.registry.read().live() == {DEFAULT: 1}

    author.join(PATIENCE)
    assert store.registry.read().live() == {DEFAULT: 2}


def test_state_older_than_the_stamp(store: Any) -> None:
    """A store whose state was lost goes on from the number that its workers know."""
    for _ in range(3):
        store.upload()
    known = store.stamp.live
    for name in ("state.json", "state.copy.json"):
        (store.data / name).unlink()

    store.upload()

    assert store.registry.read().serial > known
    assert store.registry.read().live() == {DEFAULT: 5}


def test_unusable_folder(store: Any, tmp_path: Path) -> None:
    """Where nothing can be written changes are refused."""
    nowhere = type(store)(tmp_path / "other")
    nowhere.stamp.shared = False

    with pytest.raises(StorageFull):
        nowhere.publisher.rollback(DEFAULT)


def test_locks_are_files(store: Any) -> None:
    """Another process that holds the publish lock is waited for like a thread."""
    with (
        locked(store.data / "publish.lock"),
        pytest.raises(ModelConflict),
        store.transactions.exclusive(0.05),
    ):
        pass
