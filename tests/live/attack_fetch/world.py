"""The world of `inside`, seen from outside: starts it in namespaces of its own and asks it questions."""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any

from tests.live.service import ROOT
from tests.patience import PATIENCE

NAMESPACES = ("unshare", "--map-root-user", "--net", "--mount")


@dataclass(frozen=True)
class Answer:
    """What the service said.

    Attributes:
        status: the HTTP status.
        code: the error's code; None for a prediction.
        body: the body without the request's id.
        headers: all headers, without the values that differ from request to request.
        seconds: how long it took.
    """

    status: int
    code: str | None
    body: str
    headers: list[str]
    seconds: float


@dataclass(frozen=True)
class Seen:
    """What the servers of the world saw.

    Attributes:
        reached: the address and port on which each connection was accepted.
        heads: the port and the text of each request.
        names: the name and type of each question to the name server.
        tls_names: the names that TLS clients asked for.
    """

    reached: list[tuple[str, int]]
    heads: list[tuple[int, str]]
    names: list[tuple[str, str]]
    tls_names: list[str]


class World:
    """Runs as long as its block; everything in it ends with it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._log = folder / "inside.log"
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> "World":
        command = [*NAMESPACES, sys.executable, "-m", "tests.live.attack_fetch.inside", str(self._folder)]
        with self._log.open("w") as log:
            self._process = subprocess.Popen(
                command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True
            )
        try:
            assert self._answer() == "ready"
        except BaseException:
            self._end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._end()

    def predict(self, *urls: str, threads: int = 1) -> list[Answer]:
        """Have the service fetch images, so many at once."""
        return [Answer(**answer) for answer in self.ask("predict", urls=urls, threads=threads)]

    def get(self, path: str, times: int = 1) -> list[Answer]:
        """Ask the service for a path."""
        return [Answer(**answer) for answer in self.ask("get", path=path, times=times)]

    def seen(self) -> Seen:
        """What the servers saw since the last call."""
        taken = self.ask("taken")
        return Seen(
            reached=[(address, port) for address, port in taken["reached"]],
            heads=[(port, head) for port, head in taken["heads"]],
            names=[(name, kind) for name, kind in taken["names"]],
            tls_names=taken["tls_names"],
        )

    def ask(self, verb: str, **arguments: object) -> Any:
        """Call a method of the world inside."""
        assert self._process
        assert self._process.stdin
        self._process.stdin.write(json.dumps([verb, arguments]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> Any:
        assert self._process
        assert self._process.stdout
        line = self._process.stdout.readline()
        assert line, f"the world ended: {self._log.read_text()}"
        return json.loads(line)

    def _end(self) -> None:
        if self._process:
            self._process.communicate(timeout=PATIENCE)
