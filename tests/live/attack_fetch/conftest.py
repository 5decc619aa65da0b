"""The service in a world of its own, and what no test may see there: a connection to an inner address."""

import os
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.live.attack_fetch.places import ADMITTED
from tests.live.attack_fetch.world import NAMESPACES, Seen, World


def _hindrance() -> str | None:
    """Why no namespaces can be made here, or None."""
    if missing := [command for command in ("unshare", "mount", "ip") if shutil.which(command) is None]:
        return f"not installed: {', '.join(missing)}"
    trial = [*NAMESPACES, "sh", "-c", "ip link set lo up && mount --bind /etc/hosts /etc/hosts"]
    result = subprocess.run(trial, capture_output=True, text=True, check=False)
    return f"no namespaces: {result.stderr.strip()}" if result.returncode else None


@pytest.fixture(scope="session")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """The service among hostile servers; where namespaces are not allowed, its tests are skipped."""
    if hindrance := _hindrance():
        if os.environ.get("CI"):
            pytest.fail(hindrance)
        pytest.skip(hindrance)
    with World(tmp_path_factory.mktemp("world")) as running:
        yield running


class Watch:
    """What the servers saw during one test."""

    def __init__(self, world: World) -> None:
        self._world = world
        self._all: list[Seen] = []

    def seen(self) -> Seen:
        """What the servers saw since the last call."""
        self._all.append(self._world.seen())
        return self._all[-1]

    def inner(self) -> list[tuple[str, int]]:
        """Every connection of the test that ended at an address that is not admitted."""
        self.seen()
        return [place for seen in self._all for place in seen.reached if place[0] not in ADMITTED]


@pytest.fixture(autouse=True)
def watch(world: World) -> Iterator[Watch]:
    """Watches the servers, and fails a test during which the service connected to an inner address."""
    world.seen()
    watch = Watch(world)
    yield watch
    assert watch.inner() == []
