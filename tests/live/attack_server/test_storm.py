"""Workers that die, one or many, and what may not stop the master."""

import os
import re
import resource
import shutil
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.service import Service
from tests.live.steady import steady
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
JPEG = {"Content-Type": "image/jpeg"}


def eventually(condition: Callable[[], bool], seconds: float = PATIENCE) -> None:
    """Wait until a condition holds; fail if it does not within the time."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "this did not become true"
        time.sleep(0.02)


def booted(service: Service) -> int:
    """How many workers have loaded their model so far."""
    return service.log.count("Ready: model")


@pytest.mark.promise("G3")
def test_one_death(tmp_path: Path, cat: Path) -> None:
    """A worker that is killed is replaced, and the service answers meanwhile."""
    with Service(tmp_path / "data", cache="off") as service:
        victim = service.workers()[0]
        os.kill(victim, signal.SIGKILL)
        answer = service.post("/predict", data=cat.read_bytes(), headers=JPEG)
        eventually(lambda: booted(service) == 3)

        assert answer.status_code == 200
        assert victim not in service.workers()


@pytest.mark.promise("G3")
def test_storm(tmp_path: Path, cat: Path) -> None:
    """Workers that die at once are started five times a minute at most; the other worker loses nothing."""
    # The longer a run may take, the longer gunicorn waits for a worker that does not stop.
    with Service(tmp_path / "data", cache="off", run_seconds=2 * PATIENCE) as service:
        spared, victim = service.workers()
        os.kill(victim, signal.SIGKILL)
        ended = threading.Event()
        deaths = list[float]()

        def kill() -> None:
            """Bring down every other worker as soon as it has loaded its model."""
            ready = 2
            while not ended.wait(0.02):
                if booted(service) > ready:
                    ready = booted(service)
                    os.kill(next(pid for pid in service.workers() if pid != spared), signal.SIGSEGV)
                    deaths.append(time.monotonic())

        killer = threading.Thread(target=kill)
        killer.start()
        try:
            with steady(service, cat, rate=5) as sent:
                eventually(lambda: len(deaths) >= 3)
                time.sleep(12)
        finally:
            ended.set()
            killer.join(PATIENCE)
        # The fourth waited for 2 seconds, the others wait 4 and 8.
        later = [death for death in deaths if death > deaths[2]]

        assert len(later) <= 2
        assert service.alive
        assert spared in service.workers()
        failed = [request for request in sent if request.status != 200]
        # A worker dies the moment it is ready: a request that it has just accepted goes with it.
        assert len(failed) <= len(deaths)
        # One that waits for its turn stops when told to.
        assert service.stop()


def _file_for_folder(name: str) -> Callable[[Path], None]:
    def damage(data: Path) -> None:
        shutil.rmtree(data / name, ignore_errors=True)
        (data / name).unlink(missing_ok=True)
        (data / name).write_bytes(b"\xff" * 100)

    return damage


def _folder_for_file(name: str) -> Callable[[Path], None]:
    def damage(data: Path) -> None:
        (data / name).unlink(missing_ok=True)
        (data / name / "inside").mkdir(parents=True)

    return damage


def _filled(name: str, content: bytes) -> Callable[[Path], None]:
    def damage(data: Path) -> None:
        for path in data.glob(name):
            path.write_bytes(content)

    return damage


def _links(data: Path) -> None:
    for name in ("workers", "incoming", "cache", "metrics", "models"):
        shutil.rmtree(data / name, ignore_errors=True)
        (data / name).symlink_to("/nowhere/at/all")


def _endless_links(data: Path) -> None:
    for name in ("state.json", "stamp", "device.lock"):
        (data / name).unlink(missing_ok=True)
        (data / name).symlink_to(data / name)


def _no_folder(data: Path) -> None:
    shutil.rmtree(data)


DEEP = b'{"a":' * 100_000
DAMAGES: dict[str, Callable[[Path], None]] = {
    "nothing there": _no_folder,
    "broken links": _links,
    "endless links": _endless_links,
    "state nested deeply": _filled("state*", DEEP),
    "state of numbers": _filled("state*", b"17"),
    "state with odd values": _filled("state*", b'{"names": {"default": {"live": "x", "versions": 3}}}'),
    "stamp cut off": _filled("stamp", b"\x01"),
    "stamp of ones": _filled("stamp", b"\xff" * 4096),
    "cache of noise": _filled("cache/*", b"\x00\xff" * 5000),
    **{
        f"{name} is a file": _file_for_folder(name)
        for name in ("workers", "models", "incoming", "cache", "metrics")
    },
    **{
        f"{name} is a folder": _folder_for_file(name)
        for name in ("state.json", "stamp", "device.lock", "gate.lock", "publish.lock", "check.lock")
    },
}


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What a service leaves behind."""
    data = tmp_path_factory.mktemp("store") / "data"
    with Service(data, workers=1) as service:
        service.get("/healthz")
    return data


@pytest.mark.promise("G2")
@pytest.mark.parametrize("damage", DAMAGES)
def test_damaged_store(store: Path, tmp_path: Path, damage: str) -> None:
    """Whatever lies in the data folder, the service starts, lives, and says whether it can predict."""
    data = tmp_path / "data"
    shutil.copytree(store, data, symlinks=True)
    DAMAGES[damage](data)
    with Service(data, workers=1, ready=False) as service:
        (worker,) = service.workers()
        ready = service.get("/readyz")
        metrics = service.get("/metrics")
        page = service.get("/")

        assert ready.status_code in {200, 503}
        assert ready.status_code == 200 or ready.json()["code"] == "not_ready"
        assert metrics.status_code == 200
        assert page.status_code == 200
        # A worker that starts later meets the same.
        os.kill(worker, signal.SIGKILL)
        eventually(lambda: service.workers() not in ([], [worker]))
        assert service.get("/healthz").status_code == 200
        assert service.alive
        assert not re.search(r"exited with code [34]", service.log)


@pytest.mark.promise("G2")
def test_damaged_while_it_runs(tmp_path: Path, cat: Path) -> None:
    """A store that vanishes under a running service, and workers that die then, do not stop it."""
    with Service(tmp_path / "data", cache="off") as service:

        def gone() -> bool:
            # The service may write to it meanwhile.
            shutil.rmtree(service.data, ignore_errors=True)
            return not service.data.exists()

        eventually(gone)
        service.data.write_bytes(b"no folder")
        for _ in range(2):
            os.kill(service.workers()[0], signal.SIGKILL)
            eventually(lambda: len(service.workers()) == 2)

        assert service.get("/healthz").status_code == 200
        assert service.get("/metrics").status_code == 200
        assert service.get("/readyz").status_code in {200, 503}
        assert service.alive


@pytest.mark.promise("G2")
def test_application_that_cannot_be_loaded(tmp_path: Path) -> None:
    """Memory that is too short for another worker costs that worker, never those that serve."""
    with Service(tmp_path / "data") as service:
        spared, victim = service.workers()
        used = int(re.findall(r"VmSize:\s+(\d+)", Path(f"/proc/{service.master}/status").read_text())[0])
        before = resource.prlimit(service.master, resource.RLIMIT_AS, (1024 * used + 30_000_000, -1))
        os.kill(victim, signal.SIGKILL)
        eventually(lambda: "could not be loaded" in service.log)

        assert service.get("/readyz").status_code == 200
        resource.prlimit(service.master, resource.RLIMIT_AS, before)
        eventually(lambda: booted(service) == 3)
        assert spared in service.workers()
        assert service.alive
