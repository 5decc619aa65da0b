"""Nodes of a Ray cluster on this machine, to be killed."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
_TRIES, _SECONDS = 4, 120.0
_MEMORY = 120_000_000  # bytes of a node's object store


def environment() -> Path | None:
    """The folder of the environment that has Ray; None if it was not installed."""
    found = Path(os.environ.get("RAY_ENVIRONMENT") or Path(sys.prefix) / "ray")
    return found if (found / "bin" / "ray").exists() else None


@dataclass
class Node:
    """A node: the process `ray start`, whose children are the servers of the node."""

    process: subprocess.Popen[bytes]

    def kill(self) -> None:
        """Kill all processes of the node at once, as a failing machine would, its own server first."""
        children = sorted(_children(self.process.pid), key=lambda one: b"raylet/raylet" not in _command(one))
        for process in [*children, self.process.pid]:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        self.process.wait()

    def stop(self) -> None:
        """End the node and what it started."""
        children = _children(self.process.pid)
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        for child in children:
            if b"ray" in _command(child):
                with suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)


@dataclass
class Nodes:
    """A cluster.

    Attributes:
        folder: the environment with Ray.
        port: of its head.
        client_port: for `ray://`.
        nodes: the head first.
        token: which each process of the cluster must have.
    """

    folder: Path
    port: int
    client_port: int
    nodes: list[Node] = field(default_factory=list)
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    @property
    def variables(self) -> dict[str, str]:
        """What a process of the cluster needs in its environment."""
        return {
            **os.environ,
            "PYTHONPATH": str(ROOT),
            "RAY_AUTH_MODE": "token",
            "RAY_AUTH_TOKEN": self.token,
            "RAY_raylet_start_wait_time_s": "200",
            "RAY_agent_register_timeout_ms": "200000",
        }

    @property
    def address(self) -> str:
        """What a process on one of the nodes connects to."""
        return f"127.0.0.1:{self.port}"

    @property
    def python(self) -> Path:
        """The interpreter that has Ray."""
        return self.folder / "bin" / "python"

    def add(self, cpus: int) -> Node:
        """Start another node, of so many CPUs, and wait until it is there."""
        node = self._started([f"--address={self.address}"], cpus, len(self.nodes) + 1)
        self.nodes.append(node)
        return node

    def start(self, cpus: int, temporary: Path) -> None:
        """Start the head."""
        options = [
            "--head",
            f"--port={self.port}",
            f"--ray-client-server-port={self.client_port}",
            "--include-dashboard=false",
            f"--temp-dir={temporary}",
        ]
        self.nodes.append(self._started(options, cpus, 1))

    def stop(self) -> None:
        """End all nodes, the head last."""
        for node in reversed(self.nodes):
            node.stop()

    def _started(self, options: list[str], cpus: int, count: int) -> Node:
        """Start a node; Ray's time for a start is short for a busy machine, so it is tried again."""
        for _ in range(_TRIES):
            node = Node(self._process(options, cpus))
            end = time.monotonic() + _SECONDS
            while node.process.poll() is None and time.monotonic() < end:
                if self.alive() == count:
                    return node
                time.sleep(1)
            node.stop()
        raise RuntimeError("The node did not start; the machine may be too busy.")

    def _process(self, options: list[str], cpus: int) -> subprocess.Popen[bytes]:
        common = [
            "--node-ip-address=127.0.0.1",
            f"--num-cpus={cpus}",
            f"--object-store-memory={_MEMORY}",
            "--disable-usage-stats",
            # Two nodes of one machine must not ask for the same ports.
            "--min-worker-port=0",
            "--max-worker-port=0",
            "--dashboard-agent-listen-port=0",
            "--block",
        ]
        return subprocess.Popen(
            [str(self.folder / "bin" / "ray"), "start", *options, *common],
            cwd=ROOT,
            env=self.variables,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def alive(self) -> int:
        """How many nodes the head sees; 0 while it does not answer."""
        program = (
            "import sys, ray; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='ERROR'); "
            "print(sum(node['Alive'] for node in ray.nodes()))"
        )
        done = subprocess.run(
            [str(self.python), "-c", program, self.address],
            env=self.variables,
            capture_output=True,
            text=True,
            check=False,
        )
        return int(done.stdout.split()[-1]) if done.returncode == 0 and done.stdout.split() else 0


@contextmanager
def started(*cpus: int) -> Iterator[Nodes]:
    """A cluster of nodes with so many CPUs each, on ports of its own."""
    folder = environment()
    if folder is None:
        raise RuntimeError("Ray is not installed: sh tools/install_ray.sh .venv")
    with ExitStack() as stack:
        # The paths of sockets must be short.
        temporary = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="ray-", dir="/tmp")))
        nodes = Nodes(folder, _free_port(), _free_port())
        stack.callback(nodes.stop)
        nodes.start(cpus[0], temporary)
        for number in cpus[1:]:
            nodes.add(number)
        yield nodes


def _free_port() -> int:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def _children(process: int) -> list[int]:
    """The processes below a process, all generations."""
    try:
        own = list(map(int, Path(f"/proc/{process}/task/{process}/children").read_text().split()))
    except OSError:
        return []
    return [*own, *(found for child in own for found in _children(child))]


def _command(process: int) -> bytes:
    """The command line of a process; nothing if it is gone."""
    try:
        return Path(f"/proc/{process}/cmdline").read_bytes()
    except OSError:
        return b""
