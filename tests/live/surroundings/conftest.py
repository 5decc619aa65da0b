"""The service in a container as Kubernetes makes it, without one: mounts and a user of its own."""

import os
import shlex
import shutil
import stat
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.live.service import ROOT, Service
from tools.sample_models import classifier

UID = 1_000_650_000
"""As OpenShift gives it: no such user exists."""
NO_MEMORY = "mount -t tmpfs -o ro tmpfs /dev/shm"
SURROUNDINGS: Mapping[str, str] = {
    "container": "mount -t tmpfs -o size=64m,mode=1777 tmpfs /dev/shm",
    "/dev/shm of 64 kB": "mount -t tmpfs -o size=64k,mode=1777 tmpfs /dev/shm",
    "/dev/shm read-only": NO_MEMORY,
    "/dev/shm of others": "mount -t tmpfs -o mode=0700 tmpfs /dev/shm",
    "no /proc": f"{NO_MEMORY}; umount -l /proc",
    "256 files": f"{NO_MEMORY}; ulimit -n 256",
}
CLOSED: Mapping[str, str] = {
    "on a read-only file system": "mount -o remount,bind,ro /srv",
    "of closed folders": "chmod -R a-w /srv",
}
"""What closes the data folder before the service starts."""
# A home that is closed to others shows only the Python that is installed in it.
REVEAL = """
mount -t tmpfs -o mode=755 tmpfs /mnt
mkdir /mnt/python
mount --bind {python} /mnt/python
mount -t tmpfs -o mode=755 tmpfs {home}
mkdir -p {python}
mount --bind /mnt/python {python}
"""
# The data folder is seen as /srv, the only place that can be written.
ENTER = """
set -e
mount --bind {data} /srv
{reveal}
mount -t tmpfs tmpfs /sys/fs/cgroup
echo '100000 100000' > /sys/fs/cgroup/cpu.max
for folder in /tmp /var /home; do
    mount --bind $folder $folder
    mount -o remount,bind,ro $folder
done
mount -o remount,bind,ro /
cd {root}
{surroundings}
exec env -u HOME -u TMPDIR PREDICTOR_DATA=/srv LC_ALL=xx_XX.UTF-8 PYTHONDONTWRITEBYTECODE=1 \
    setpriv --reuid {uid} --regid 0 --clear-groups --inh-caps -all --bounding-set -all {python} -m gunicorn
"""


@pytest.fixture(scope="module")
def namespaces() -> None:
    """Skip where mounts cannot be made for one process only."""
    tried = ["unshare", "--mount", "sh", "-c", "mount -t tmpfs tmpfs /srv"]
    if not (shutil.which("unshare") and shutil.which("setpriv")):
        pytest.skip("needs unshare and setpriv")
    if os.geteuid() != 0 or subprocess.run(tried, capture_output=True, check=False).returncode:
        pytest.skip("a mount namespace cannot be made here")


def _reveal(python: Path) -> str:
    home = Path(*python.parts[:2])
    return "" if home.stat().st_mode & stat.S_IXOTH else REVEAL.format(python=python, home=home)


def _contained(data: Path, surroundings: str) -> Service:
    """A service with a read-only root, an unknown user, no home, no temporary folder, and one core.

    Args:
        data: the folder that it writes to; it is made if it is missing.
        surroundings: commands of the shell before the start.
    """
    if not data.exists():
        data.mkdir()
        os.chown(data, UID, 0)
    script = ENTER.format(
        data=data,
        root=ROOT,
        uid=UID,
        reveal=_reveal(Path(sys.base_prefix)),
        python=shlex.quote(sys.executable),
        surroundings=surroundings,
    )
    service = Service(data, workers=None, log_level="debug")
    service.command = ("unshare", "--mount", "sh", "-c", script)
    service.first = True
    return service


@pytest.fixture(params=SURROUNDINGS)
def contained(namespaces: None, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """A service in each of the surroundings."""
    with _contained(tmp_path / "data", SURROUNDINGS[request.param]) as service:
        yield service


@pytest.fixture
def contained_plainly(namespaces: None, tmp_path: Path) -> Iterator[Service]:
    """A service in a container."""
    with _contained(tmp_path / "data", SURROUNDINGS["container"]) as service:
        yield service


@pytest.fixture(params=CLOSED)
def closed_data(namespaces: None, request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Service]:
    """A service in a container that starts on the data of another one, in each of the ways closed to it."""
    with _contained(tmp_path / "data", SURROUNDINGS["container"]) as service:
        model = classifier(["a", "b"], winner=1)
        assert service.post("/upload", files={"model": model}, data={"name": "small"}).status_code == 200
    with _contained(tmp_path / "data", f"{SURROUNDINGS['container']}; {CLOSED[request.param]}") as service:
        yield service
