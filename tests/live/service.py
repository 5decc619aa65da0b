"""Starts the real service: gunicorn with its configuration file, in a process of its own."""

import itertools
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

import requests

from tests.data_folders import served_before
from tests.patience import PATIENCE

ROOT = Path(__file__).parent.parent.parent
_WORKER = os.environ.get("PYTEST_XDIST_WORKER", "gw0")


# Below the ports that the kernel gives to outgoing connections; tests that run beside these have others.
_FIRST_PORT = 20_000 + 2_000 * int(_WORKER.removeprefix("gw"))
_PORTS = itertools.cycle(range(_FIRST_PORT, _FIRST_PORT + 2_000))


def free_port() -> int:
    """A port of loopback that nobody uses at this moment, and no other test gets soon."""
    for port in _PORTS:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("there is always a next port")


class Service:
    """A running service; leaving its block stops it.

    Args:
        data: the folder it writes to.
        ready: whether to wait until it can predict, or only until it answers.
        settings: `PREDICTOR_*` settings by their field names; one that is None is not set.

    Attributes:
        command: what starts it, gunicorn unless it is changed before the start.
        folder: where it is started, the clone unless it is changed.
        environment: more variables, such as those of a container.
        first: whether it is the first that serves the bundled model from its folder, which takes longer.
    """

    def __init__(self, data: Path, *, ready: bool = True, **settings: object) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.data = data
        self._ready = ready
        self.first = False
        self.command: Sequence[str] = (sys.executable, "-m", "gunicorn")
        self.folder = ROOT
        self.environment: Mapping[str, str] = {}
        self._settings = {"workers": 2, "device": "cpu", **settings}
        self._log = data.parent / f"service-{self.port}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> "Service":
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREDICTOR_")}
        environment |= {"PREDICTOR_BIND": f"127.0.0.1:{self.port}", "PREDICTOR_DATA": str(self.data)}
        given = {name: value for name, value in self._settings.items() if value is not None}
        environment |= {f"PREDICTOR_{name.upper()}": str(value) for name, value in given.items()}
        environment |= self.environment
        if not self.first:
            served_before(self.data)
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                self.command, cwd=self.folder, env=environment, stdout=log, stderr=log
            )
        try:
            self._wait()
        except BaseException:
            self.stop()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    @property
    def master(self) -> int:
        """The process id of gunicorn's master."""
        assert self._process
        return self._process.pid

    @property
    def metrics(self) -> Path:
        """The folder in which the workers add up their metrics."""
        places = (Path("/dev/shm"), self.data / "metrics")
        (folder,) = (one for place in places for one in place.glob(f"image-prediction-*-{self.master}-*"))
        return folder

    @property
    def alive(self) -> bool:
        """Whether the master runs."""
        return self._process is not None and self._process.poll() is None

    @property
    def log(self) -> str:
        """Everything written to standard output and error so far."""
        return self._log.read_text()

    def workers(self) -> list[int]:
        """The process ids of the workers."""
        children = Path(f"/proc/{self.master}/task/{self.master}/children").read_text()
        return [int(child) for child in children.split()]

    def get(self, path: str, **arguments: Any) -> requests.Response:
        """GET a path of the service."""
        return requests.get(self.url + path, timeout=PATIENCE, **arguments)

    def post(self, path: str, **arguments: Any) -> requests.Response:
        """POST to a path of the service."""
        return requests.post(self.url + path, timeout=PATIENCE, **arguments)

    def stop(self) -> bool:
        """Stop as an operator does, and if that takes too long, by force; whether it stopped by itself."""
        if self._process is None or self._process.poll() is not None:
            return True
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            for worker in self.workers():
                os.kill(worker, signal.SIGKILL)
            self._process.kill()
            self._process.wait(PATIENCE)
            return False
        return True

    def _everybody(self) -> bool:
        """Whether each worker has loaded its model, not only the one that was asked."""
        return not self._ready or self.log.count("Ready: model") >= int(str(self._settings["workers"] or 1))

    def _wait(self) -> None:
        deadline = time.monotonic() + PATIENCE
        probe = "/readyz" if self._ready else "/healthz"
        while time.monotonic() < deadline:
            assert self.alive, f"the service stopped: {self.log}"
            try:
                if self.get(probe).status_code == 200 and self._everybody():
                    return
            except requests.ConnectionError:
                pass
            time.sleep(0.05)
        raise TimeoutError(f"the service was not ready in {PATIENCE} s: {self.log}")
