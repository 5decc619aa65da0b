"""What does not work although predictions succeed is named, as long as it does not."""

import os
from pathlib import Path

import pytest

from predictor.config import Settings
from predictor.inference.cache import Cache
from predictor.runtime.parts import Health
from predictor.store.stamp import Stamp


class Clock:
    """Seconds that pass when told."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        """The time."""
        return self.now


def health(data: Path, clock: Clock, stamp: Stamp | None = None) -> Health:
    """The health of a worker without a cache."""
    cache = Cache(Settings(cache="off"), lambda _: None)
    return Health(data, cache, stamp or Stamp(data / "stamp"), clock)


def test_all_well(tmp_path: Path) -> None:
    """Nothing is named, and nothing stays in the data folder."""
    assert health(tmp_path, Clock()).degraded() == {}
    assert [path.name for path in tmp_path.iterdir()] == ["stamp"]


def test_data_folder(tmp_path: Path) -> None:
    """A folder that cannot be written is named with the reason until it can; it is tried now and then."""
    data, clock = tmp_path / "data", Clock()
    data.mkdir()
    watched = health(data, clock)
    assert watched.degraded() == {}
    data.rename(tmp_path / "away")

    assert watched.degraded() == {}
    clock.now += 3
    found = watched.degraded()
    (tmp_path / "away").rename(data)
    clock.now += 3

    assert found.keys() == {"data"}
    assert "PREDICTOR_DATA cannot be written" in found["data"]
    assert str(tmp_path) not in found["data"]
    assert watched.degraded() == {}


def test_too_late(tmp_path: Path) -> None:
    """Where the folder could not be written at the start, a restart is needed, and that is said."""
    stamp = Stamp(tmp_path / "missing" / "stamp")

    assert "Restart" in health(tmp_path, Clock(), stamp).degraded()["data"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_full_disk(tmp_path: Path) -> None:
    """A full disk is named as such."""
    clock = Clock()
    watched = health(tmp_path, clock)
    (tmp_path / f".{os.getpid()}.probe").symlink_to("/dev/full")

    assert "No space left" in watched.degraded()["data"]
