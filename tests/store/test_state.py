"""The state of the store is one value, kept in a file that loses nothing."""

import json
from pathlib import Path

import pytest

from predictor.errors import StorageFull
from predictor.store import state
from predictor.store.files import atomic_write
from predictor.store.state import Death, Event, Name, Pending, State

FULL = State(
    serial=7,
    issued=9,
    names={
        "default": Name(
            live=3,
            last=4,
            versions=(1, 2, 3),
            former=(1, 2),
            quarantined={2: "It crashed workers down."},
            deaths=(Death(2, 12.5),),
            history=(Event("2026-01-01T00:00:00+00:00", "upload", 3),),
            golden="0a" * 32,
        ),
        "dogs": Name(),
    },
    pending=Pending(9, "default", 4),
)


def event(version: int) -> Event:
    """A change to a version."""
    return Event("2026-01-01T00:00:00+00:00", "activate", version)


def test_round_trip(tmp_path: Path) -> None:
    """What is written is read back."""
    state.write(tmp_path, FULL)

    assert state.read(tmp_path) == FULL


def test_former_release() -> None:
    """A state that knows nothing of golden images is read, and those that lie there count."""
    written = FULL.to_json()
    del written["names"]["default"]["golden"]

    found = State.from_json(written, golden={"default": "0b" * 32, "dogs": "0c" * 32}.get).names

    assert (found["default"].live, found["default"].golden) == (3, "0b" * 32)
    assert found["dogs"].golden is None
    assert State.from_json(written).names["default"].golden is None


def test_later_release() -> None:
    """A state of a later release is read; what only that one knows is passed over."""
    written = json.loads(json.dumps(FULL.to_json()))
    name = written["names"]["default"]
    for value in (written, written["pending"], name, *name["deaths"], *name["history"]):
        value["later"] = {"known": "only there"}

    assert State.from_json(written) == FULL


def test_nothing_there(tmp_path: Path) -> None:
    """A fresh store has no state."""
    assert state.read(tmp_path) is None


@pytest.mark.parametrize(
    "damage", [b"", b"{", b"null", b"[]", b'{"sha256": "", "state": "{}"}', b"\xff" * 100]
)
def test_damaged_pointer(tmp_path: Path, damage: bytes) -> None:
    """A damaged file is passed by for its copy; with both damaged nothing is read, and nothing is raised."""
    state.write(tmp_path, FULL)

    (tmp_path / "state.json").write_bytes(damage)
    assert state.read(tmp_path) == FULL

    (tmp_path / "state.copy.json").write_bytes(damage)
    assert state.read(tmp_path) is None


def test_one_changed_letter(tmp_path: Path) -> None:
    """The checksum finds a change that leaves the JSON valid."""
    state.write(tmp_path, FULL)
    for name in ("state.json", "state.copy.json"):
        path = tmp_path / name
        path.write_bytes(path.read_bytes().replace(b'\\"live\\": 3', b'\\"live\\": 2'))

    assert state.read(tmp_path) is None


def test_no_room(tmp_path: Path) -> None:
    """A state that cannot be written leaves the former one."""
    state.write(tmp_path, FULL)
    blocked = tmp_path / "missing"

    with pytest.raises(StorageFull):
        state.write(blocked, FULL)

    assert state.read(tmp_path) == FULL


def test_room_of_the_copy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a full disk the copy gives its room to a new state, so that versions can be removed."""
    state.write(tmp_path, FULL)
    copy = tmp_path / "state.copy.json"

    def with_room(path: Path, data: bytes) -> None:
        if copy.exists():
            raise StorageFull
        atomic_write(path, data)

    monkeypatch.setattr("predictor.store.state.atomic_write", with_room)
    state.write(tmp_path, State(serial=8))

    assert (state.read(tmp_path), copy.exists()) == (State(serial=8), True)


class TestRollback:
    """Going back goes from version to version, and never to one that cannot serve."""

    def test_one_after_the_other(self) -> None:
        """Each rollback goes one further back."""
        name = Name(live=1, versions=(1, 2, 3)).switched(2, event(2)).switched(3, event(3))

        assert name.before() == 2
        name = name.returned(2, event(2))
        assert (name.live, name.before()) == (2, 1)
        name = name.returned(1, event(1))
        assert (name.live, name.before()) == (1, None)

    def test_passes_by(self) -> None:
        """Quarantined and removed versions are passed by."""
        name = Name(live=4, versions=(1, 3, 4), former=(1, 2, 3), quarantined={3: "bad"})

        assert name.before() == 1

    def test_after_an_activation(self) -> None:
        """What was live before an activation is what a rollback puts back."""
        name = Name(live=1, versions=(1, 2, 3)).switched(3, event(3)).switched(1, event(1))

        assert name.before() == 3

    def test_none_left(self) -> None:
        """A name whose only version is bad serves nothing."""
        name = Name(live=1, versions=(1,), quarantined={1: "bad"})

        assert name.before() is None
        assert name.returned(None, event(1)).live is None


def test_numbers_only_grow() -> None:
    """A change is announced under a number that no other had, whatever came of those."""
    first = FULL.with_pending("default", 3)

    assert first.pending == Pending(10, "default", 3)
    assert first.with_pending("dogs", 1).pending == Pending(11, "dogs", 1)
    assert State(serial=30, issued=2).with_pending("dogs", 1).issued == 31


def test_history_is_bounded() -> None:
    """Neither the changes nor the former versions are kept for ever."""
    name = Name(live=1, versions=(1, 2))
    for number in range(500):
        name = name.switched(1 + number % 2, event(1))

    assert len(name.history) == len(name.former) == 100
