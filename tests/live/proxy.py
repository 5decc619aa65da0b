"""Runs the real nginx on `deploy/nginx.conf`, in the foreground, as a process of its own."""

import os
import re
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import pytest

from tests.live.service import ROOT, free_port
from tests.patience import PATIENCE

FILE = ROOT / "deploy" / "nginx.conf"
# The state of an open connection in /proc/net/tcp.
_ESTABLISHED = "01"
# What Debian's nginx.conf says around the file, with all paths in a folder of the test's own.
_AROUND = """
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log {folder}/error.log notice;
events {{ worker_connections 2048; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    include {folder}/site.conf;
}}
"""


class Proxy:
    """A running nginx; leaving its block stops it.

    Args:
        folder: what it may write to.
        upstream: the service's port on loopback.
        certificate: files of a certificate chain and its key, for which the example of TLS is switched on.
        slowly: how many times lower the rates are at which an address may ask; any machine exceeds those.
        site: another text in place of the file, with the same ports.
    """

    def __init__(
        self,
        folder: Path,
        upstream: int,
        certificate: tuple[Path, Path] | None = None,
        slowly: int = 1,
        site: str | None = None,
    ) -> None:
        self.port = free_port()
        self.tls_port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.folder = folder
        self._upstream = upstream
        folder.mkdir(parents=True, exist_ok=True)
        text = self._site(FILE.read_text() if site is None else site, upstream, certificate)
        (folder / "site.conf").write_text(_slower(text, slowly))
        user = "user root;" if os.geteuid() == 0 else ""
        (folder / "nginx.conf").write_text(_AROUND.format(folder=folder, user=user))
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Proxy":
        command = [_nginx(), "-p", str(self.folder), "-c", str(self.folder / "nginx.conf")]
        with (self.folder / "output.log").open("wb") as output:
            self._process = subprocess.Popen(command, stdout=output, stderr=output)
        deadline = time.monotonic() + PATIENCE
        while not self._listens():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.stop()
                raise AssertionError(f"nginx did not start: {self.log}")
            time.sleep(0.02)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def log(self) -> str:
        """What nginx complained of so far."""
        files = (self.folder / name for name in ("output.log", "error.log"))
        return "".join(file.read_text() for file in files if file.exists())

    def connections(self) -> list[str]:
        """Its open connections to the service, by their own ends; nobody else's are among them."""
        assert self._process
        master = self._process.pid
        (worker,) = Path(f"/proc/{master}/task/{master}/children").read_text().split()
        sockets = set[str]()
        for file in Path(f"/proc/{worker}/fd").iterdir():
            # It may close one meanwhile.
            with suppress(FileNotFoundError):
                sockets.add(str(file.readlink()).removeprefix("socket:[").removesuffix("]"))
        lines = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
        service = f":{self._upstream:04X}"
        return [
            own
            for _, own, other, state, *_, inode in (line[:10] for line in lines)
            if other.endswith(service) and state == _ESTABLISHED and inode in sockets
        ]

    def stop(self) -> None:
        """Stop it, with its workers."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait(PATIENCE)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _site(self, site: str, upstream: int, certificate: tuple[Path, Path] | None) -> str:
        """The file, with its ports and paths replaced and nothing else."""
        if certificate:
            site = re.sub(r"^    #(?=[a-z])", "    ", site, flags=re.MULTILINE)
            site = _replaced(site, "/etc/ssl/image-prediction-api.pem", str(certificate[0]))
            site = _replaced(site, "/etc/ssl/private/image-prediction-api.key", str(certificate[1]))
            site = _replaced(site, "listen 443 ", f"listen 127.0.0.1:{self.tls_port} ")
        site = _replaced(site, "listen 80;", f"listen 127.0.0.1:{self.port};")
        return _replaced(site, "127.0.0.1:8080", f"127.0.0.1:{upstream}")


def _replaced(text: str, old: str, new: str) -> str:
    assert old in text
    return text.replace(old, new)


def _slower(site: str, times: int) -> str:
    """The file with lower rates; those of a second become those of a minute."""
    per_minute = {"r/s": 60, "r/m": 1}

    def lower(found: re.Match[str]) -> str:
        return f"rate={int(found[1]) * per_minute[found[2]] // times}r/m;"

    return site if times == 1 else re.sub(r"rate=(\d+)(r/[sm]);", lower, site)


def installed() -> str | None:
    """Where nginx is, if it is installed."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")


def _nginx() -> str:
    program = installed()
    if program is None:
        if os.environ.get("CI"):
            pytest.fail("no nginx in continuous integration")
        pytest.skip("no nginx is installed")
    return program
