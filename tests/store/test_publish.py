"""New versions, going back, removing, and keeping bad versions from serving."""

import json
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from predictor.config import BUNDLED_MODEL
from predictor.errors import InvalidModel, ModelConflict, ModelNotFound, NotReady, StorageFull
from predictor.store.members import CrashedWorker
from predictor.store.registry import DEFAULT


def live(store: Any, name: str = DEFAULT) -> int | None:
    """The version that serves."""
    found: int | None = store.registry.read().names[name].live
    return found


class TestUpload:
    """An upload is the next version."""

    def test_grows(self, store: Any) -> None:
        """Versions only grow, each name for itself."""
        assert [store.upload(b"%d" % number).version for number in range(3)] == [2, 3, 4]
        assert store.upload(name="dogs").version == 1
        assert store.registry.read().live() == {DEFAULT: 4, "dogs": 1}

    def test_lies_whole(self, store: Any) -> None:
        """The version's files are what was uploaded."""
        version = store.upload(b"content")

        assert version.path.read_bytes() == b"content"
        version.verify()
        assert store.registry.version(DEFAULT, 2) == version

    @pytest.mark.promise("U7")
    def test_retention(self, store: Any) -> None:
        """The newest five are kept, with the one that ships with the service."""
        for number in range(8):
            store.upload(b"%d" % number)

        assert store.registry.name(DEFAULT).versions == (1, 5, 6, 7, 8, 9)
        assert store.folders() == [5, 6, 7, 8, 9]

    def test_numbers_are_not_used_again(self, store: Any) -> None:
        """A removed version's number is not given to another model."""
        store.upload()
        store.upload()
        store.publisher.rollback(DEFAULT)
        store.publisher.delete(DEFAULT, 3)

        assert store.upload().version == 4

    def test_full_disk(self, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A state that cannot be written leaves all as it was."""
        store.upload()

        def full(state: object) -> None:
            raise StorageFull("No room is left.")

        monkeypatch.setattr(store.registry, "write", full)
        with pytest.raises(StorageFull):
            store.upload()
        monkeypatch.undo()

        assert live(store) == 2
        assert store.folders() == [2]
        assert store.upload().version == 3


class TestUnchanged:
    """An upload of the live version's files makes no new version."""

    def test_same(self, store: Any) -> None:
        """The live version stays, nothing is written, and the answer says so."""
        first = store.upload(b"model")
        state = store.registry.read()

        again = store.publish(b"model")

        assert (again.version, again.unchanged) == (first, True)
        assert store.registry.read() == state
        assert store.folders() == [2]
        assert list((store.data / "incoming").iterdir()) == []

    def test_bundled(self, store: Any) -> None:
        """The model that ships with the service is one like any other."""
        again = store.publish(BUNDLED_MODEL.read_bytes())

        assert (again.version.version, again.unchanged) == (1, True)
        assert store.folders() == []

    def test_earlier(self, store: Any) -> None:
        """The files of a version that is not live become a new version, which is live."""
        store.upload(b"first")
        store.upload(b"second")

        again = store.publish(b"first")

        assert (again.version.version, again.unchanged) == (4, False)
        assert live(store) == 4
        assert store.publisher.rollback(DEFAULT).version == 3

    def test_other_name(self, store: Any) -> None:
        """Each name has its own live version."""
        store.upload(b"model")

        assert not store.publish(b"model", "dogs").unchanged

    @pytest.mark.parametrize("damage", ["missing", "changed", "manifest"])
    def test_damaged(self, store: Any, damage: str) -> None:
        """A live version that is not whole on the disk is replaced by an upload of its files."""
        broken = store.upload(b"model")
        if damage == "missing":
            broken.path.unlink()
        elif damage == "changed":
            broken.path.write_bytes(b"motel")
        else:
            (broken.path.parent / "manifest.json").write_bytes(b"{}")

        again = store.publish(b"model")

        assert (again.version.version, again.unchanged) == (3, False)
        again.version.verify()

    def test_believes_the_disk(self, store: Any) -> None:
        """What a manifest says of files that are not there counts for nothing."""
        version = store.upload(b"model")
        path = version.path.parent / "manifest.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | {"files": {}}))
        version.path.write_bytes(b"motel")

        assert store.publish(b"model").version.version == 3

    @pytest.mark.promise("U4")
    def test_at_once(self, store: Any, follow: Callable[..., Any]) -> None:
        """Of equal uploads that come at once one is published."""
        follow()
        with ThreadPoolExecutor(4) as pool:
            published = list(pool.map(store.publish, [b"model"] * 8))

        assert {one.version.version for one in published} == {2}
        assert sorted(one.unchanged for one in published) == [False] + 7 * [True]


class TestGoingBack:
    """Earlier versions can be had again."""

    def test_rollback(self, store: Any) -> None:
        """Each rollback puts the version back that was live before; past the first there is none."""
        store.upload()
        store.upload()

        assert [store.publisher.rollback(DEFAULT).version for _ in range(2)] == [2, 1]
        with pytest.raises(ModelConflict):
            store.publisher.rollback(DEFAULT)
        assert live(store) == 1

    def test_activate(self, store: Any) -> None:
        """Any version that is there can be made live; the live one stays so without a change."""
        store.upload()
        store.upload()

        assert store.publisher.activate(DEFAULT, 1).version == 1
        serial = store.registry.read().serial
        assert store.publisher.activate(DEFAULT, 1).version == 1
        assert (live(store), store.registry.read().serial) == (1, serial)

    @pytest.mark.parametrize(("name", "version"), [(DEFAULT, 7), ("dogs", 1)])
    def test_unknown(self, store: Any, name: str, version: int) -> None:
        """What is not there cannot be made live, nor removed."""
        for change in (store.publisher.activate, store.publisher.delete):
            with pytest.raises(ModelNotFound):
                change(name, version)

    def test_damaged(self, store: Any) -> None:
        """A version whose file is damaged is not made live again."""
        first = store.upload()
        store.upload()
        first.path.write_bytes(b"rotten")

        with pytest.raises(InvalidModel):
            store.publisher.rollback(DEFAULT)

        assert live(store) == 3


class TestDelete:
    """Versions that do not serve can be removed."""

    def test_gone(self, store: Any) -> None:
        """A removed version leaves neither files nor a way back to it."""
        store.upload()
        store.upload()
        store.publisher.delete(DEFAULT, 2)

        assert store.folders() == [3]
        assert store.publisher.rollback(DEFAULT).version == 1

    def test_kept(self, store: Any) -> None:
        """Neither the live version nor the one that ships with the service is removed."""
        store.upload()
        for version in (1, 2):
            with pytest.raises(ModelConflict):
                store.publisher.delete(DEFAULT, version)

    def test_reasons(self, store: Any) -> None:
        """Who cannot delete a version is told why, and what can be done, if anything."""

        def refusal(name: str, version: int) -> str:
            with pytest.raises(ModelConflict) as caught:
                store.publisher.delete(name, version)
            return caught.value.detail

        store.upload(name="dogs")
        assert "send DELETE /models/dogs" in refusal("dogs", 1)
        store.upload(name="dogs")
        assert "activate another version first, such as 1." in refusal("dogs", 2)
        store.publisher.quarantine("dogs", 1, "It crashed.")
        assert "send DELETE /models/dogs" in refusal("dogs", 2)
        assert refusal(DEFAULT, 1) == "Version 1 of default ships with the service and cannot be deleted."


class TestDeleteName:
    """A name can be removed with all its versions, except the one that always serves."""

    def test_gone(self, store: Any, follow: Callable[..., Any]) -> None:
        """The name is unknown afterwards, and leaves no files; other names stay."""
        follow()
        for _ in range(2):
            store.upload(name="dogs")
        store.upload(name="cats")

        assert store.publisher.delete_name("dogs") == (1, 2)

        assert store.registry.read().live() == {DEFAULT: 1, "cats": 1}
        assert [path.name for path in (store.data / "models").iterdir()] == ["cats"]
        with pytest.raises(ModelNotFound):
            store.registry.name("dogs")
        with pytest.raises(ModelNotFound):
            store.publisher.delete_name("dogs")

    def test_comes_again(self, store: Any) -> None:
        """The name may be given again; its versions begin with 1."""
        store.upload(b"model", "dogs")
        store.publisher.delete_name("dogs")

        again = store.publish(b"model", "dogs")

        assert (again.version.version, again.unchanged) == (1, False)

    def test_default(self, store: Any) -> None:
        """The name that requests mean when they give none is kept."""
        with pytest.raises(ModelConflict, match="default cannot be deleted"):
            store.publisher.delete_name(DEFAULT)

        assert live(store) == 1

    def test_all_or_none(self, store: Any, follow: Callable[..., Any]) -> None:
        """If one worker cannot change, all serve the name as before."""
        version = store.upload(name="dogs")
        follow()
        follow(NotReady("Not now."))

        with pytest.raises(NotReady):
            store.publisher.delete_name("dogs")

        assert live(store, "dogs") == 1
        version.verify()

    def test_no_live_version(self, store: Any) -> None:
        """A name of which no version can serve is removed, too."""
        store.upload(name="dogs")
        store.publisher.quarantine("dogs", 1, "It is bad.")

        assert store.publisher.delete_name("dogs") == (1,)

    def test_quarantined_afterwards(self, store: Any) -> None:
        """A version that is found to be bad when its name is gone changes nothing."""
        store.publisher.quarantine("dogs", 1, "It is bad.")

        assert store.registry.read().live() == {DEFAULT: 1}


class TestQuarantine:
    """A version that brings workers down twice within ten minutes does not serve any more."""

    def die(self, store: Any, monkeypatch: pytest.MonkeyPatch, *running: str) -> None:
        """Have a worker found dead."""
        dead = [CrashedWorker(frozenset(running), "Segmentation fault")]
        monkeypatch.setattr(store.workers, "reap", lambda: [dead.pop()] if dead else [])
        store.publisher.handle_crashes()

    @pytest.mark.promise("M7")
    def test_second_death(
        self, store: Any, monkeypatch: pytest.MonkeyPatch, follow: Callable[..., Any]
    ) -> None:
        """The second death puts the version before it back, in all workers."""
        store.upload()
        follow()

        self.die(store, monkeypatch, "default/2")
        assert live(store) == 2
        self.die(store, monkeypatch, "default/2")

        known = store.registry.name(DEFAULT)
        assert known.live == 1
        assert known.history[-1].action == "quarantine"
        assert "crashed workers" in known.quarantined[2]
        with pytest.raises(ModelConflict):
            store.publisher.activate(DEFAULT, 2)

    def test_comes_again(self, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A quarantined model is not published again, unless its version is removed first."""
        store.upload(b"bad")
        for _ in range(2):
            self.die(store, monkeypatch, "default/2")

        with pytest.raises(ModelConflict, match="version 2, which is quarantined"):
            store.upload(b"bad")
        assert store.upload(b"good").version == 3
        store.publisher.delete(DEFAULT, 2)
        assert store.upload(b"bad").version == 4

    def test_damaged_comes_again(self, store: Any) -> None:
        """A model that was quarantined because its file was damaged is welcome as it was."""
        store.upload(b"good").path.write_bytes(b"rotten")
        store.publisher.quarantine(DEFAULT, 2, "Its file is damaged.")

        assert store.upload(b"good").version == 3

    def test_two_versions(self, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """Deaths of different versions are not added up."""
        store.upload()
        store.upload()
        self.die(store, monkeypatch, "default/2")
        self.die(store, monkeypatch, "default/3")

        assert live(store) == 3
        assert store.registry.name(DEFAULT).quarantined == {}

    def test_long_apart(self, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """After ten minutes a death is forgotten."""
        store.upload()
        self.die(store, monkeypatch, "default/2")
        later = time.time() + 601
        monkeypatch.setattr(time, "time", lambda: later)
        self.die(store, monkeypatch, "default/2")

        assert live(store) == 2

    def test_not_live(self, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A version that was asked for by its number is quarantined, and the live one serves on."""
        store.upload()
        store.upload()
        for _ in range(2):
            self.die(store, monkeypatch, "default/2")

        assert live(store) == 3
        assert set(store.registry.name(DEFAULT).quarantined) == {2}

    def test_nothing_before(self, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """A name whose only version is bad serves nothing; the others serve on."""
        store.upload(name="dogs")
        for _ in range(2):
            self.die(store, monkeypatch, "dogs/1")

        assert live(store, "dogs") is None
        assert store.registry.read().live() == {DEFAULT: 1}
        assert store.upload(b"other", name="dogs").version == 2

    def test_ships_with_the_service(self, store: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        """There is always something to go back to."""
        for _ in range(3):
            self.die(store, monkeypatch, "default/1", "unknown/7", "rubbish")

        assert live(store) == 1
        assert store.registry.name(DEFAULT).quarantined == {}
