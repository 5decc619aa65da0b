"""Runs a real object store: Ceph's gateway, with a monitor and a store of objects in memory."""

import hashlib
import os
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from tests.cluster.real.network import run
from tests.patience import PATIENCE

PORT = 7480
BUCKET = "models"
_KEY, _SECRET = "predictor", "predictor-secret"
_MONITOR_PORT = 6789
_CONFIGURATION = """
[global]
fsid = {fsid}
mon host = v1:{address}:{monitor}
mon initial members = a
public addr = {address}
auth cluster required = none
auth service required = none
auth client required = none
ms bind ipv6 = false
mon allow pool size one = true
mon max pg per osd = 1000
mon data = {folder}/mon
osd data = {folder}/osd
osd objectstore = memstore
memstore device bytes = 2147483648
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 4
osd pool default pg autoscale mode = off
osd crush chooseleaf type = 0
osd crush update on start = false
osd class update on start = false
mon data avail crit = 1
log file = {folder}/$name.log
run dir = {folder}
admin socket = {folder}/$name.asok
keyring = {folder}/keyring
[client.gateway]
rgw frontends = beast endpoint={address}:{port}
rgw data = {folder}/gateway
rgw thread pool size = 64
"""


class Ceph:
    """A running store with one bucket; leaving its block stops it.

    Args:
        folder: what it writes to.
        address: where it listens.
    """

    def __init__(self, folder: Path, address: str) -> None:
        self.url = f"http://{address}:{PORT}"
        self.address = address
        self._folder = folder
        self._file = folder / "ceph.conf"
        self._servers: dict[str, subprocess.Popen[bytes]] = {}

    def __enter__(self) -> "Ceph":
        try:
            self._start()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop()

    def environment(self, url: str = "") -> dict[str, str]:
        """What a client is to be told, if need be with another address that leads here."""
        return {
            "AWS_ACCESS_KEY_ID": _KEY,
            "AWS_SECRET_ACCESS_KEY": _SECRET,
            "AWS_REGION": "us-east-1",
            "AWS_ENDPOINT_URL": url or self.url,
            "AWS_ALLOW_HTTP": "true",
        }

    def version(self) -> str:
        """The version of Ceph."""
        return run("ceph", "--version").split()[2]

    def kill(self) -> None:
        """Kill the gateway; its clients are refused from then on. What it stored is kept."""
        gateway = self._servers.pop("gateway")
        gateway.kill()
        gateway.wait(PATIENCE)

    def restart(self) -> None:
        """Start the gateway again."""
        self._run("gateway", "radosgw", "-n", "client.gateway")
        _eventually(self._answers)

    def hang(self) -> None:
        """Stop the gateway: connections are accepted by the kernel, and nothing is answered."""
        self._servers["gateway"].send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Let the gateway work again."""
        self._servers["gateway"].send_signal(signal.SIGCONT)

    def request(self, method: str, key: str, query: str = "") -> str:
        """A signed request; what was answered."""
        url = f"{self.url}/{BUCKET}{'/' * bool(key)}{key}{query}"
        credentials = ("--aws-sigv4", "aws:amz:us-east-1:s3", "--user", f"{_KEY}:{_SECRET}")
        digest = f"x-amz-content-sha256: {hashlib.sha256().hexdigest()}"
        return run("curl", "--silent", "--fail-with-body", *credentials, "-H", digest, "-X", method, url)

    def _start(self) -> None:
        for name in ("mon", "osd", "gateway"):
            (self._folder / name).mkdir(parents=True)
        (self._folder / "keyring").touch()
        fsid, osd = str(uuid.uuid4()), str(uuid.uuid4())
        self._file.write_text(
            _CONFIGURATION.format(
                fsid=fsid, folder=self._folder, address=self.address, port=PORT, monitor=_MONITOR_PORT
            )
        )
        places = self._folder / "monmap"
        monitor = f"[v1:{self.address}:{_MONITOR_PORT}]"
        run("monmaptool", "--create", "--fsid", fsid, "--addv", "a", monitor, places)
        self._once("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(places))
        self._run("monitor", "ceph-mon", "-i", "a")
        self._once("ceph", "--connect-timeout", "60", "osd", "new", osd)
        # The server could do this itself, but hangs for ever if it asks a moment before it knows the cluster.
        self._once("ceph", "osd", "crush", "add", "osd.0", "1", "root=default", "host=store")
        self._once("ceph-osd", "--mkfs", "-i", "0", "--osd-uuid", osd)
        self._run("objects", "ceph-osd", "-i", "0")
        self._once(
            "radosgw-admin", "user", "create", "--uid", "predictor", "--display-name", "predictor",
            "--access-key", _KEY, "--secret-key", _SECRET,
        )  # fmt: skip
        self.restart()
        self.request("PUT", "")

    def _once(self, program: str, *arguments: str) -> None:
        run("timeout", str(PATIENCE), program, "-c", str(self._file), *arguments)

    def _run(self, name: str, program: str, *arguments: str) -> None:
        with (self._folder / f"{name}.out").open("ab") as out:
            command = [program, "-c", str(self._file), "-f", *arguments]
            environment = os.environ | {"TCMALLOC_MAX_TOTAL_THREAD_CACHE_BYTES": "16777216"}
            self._servers[name] = subprocess.Popen(command, stdout=out, stderr=out, env=environment)

    def _answers(self) -> bool:
        assert self._servers["gateway"].poll() is None, "the gateway ended"
        with socket.socket() as probe:
            return probe.connect_ex((self.address, PORT)) == 0

    def _stop(self) -> None:
        for server in reversed(self._servers.values()):
            server.kill()
            server.wait(PATIENCE)


def _eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "the gateway did not start"
        time.sleep(0.1)
