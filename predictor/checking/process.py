"""A process that may crash, hang or grow without harm to this one: how it is run, and what it writes.

It gets nothing of this process but a request and what is written to: no environment, no open locks.
"""

import json
import logging
import os
import selectors
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from predictor import background
from predictor.checking.report import Limits
from predictor.errors import Internal, NotReady
from predictor.model.stopwatch import of_process

MAX_STDOUT = 64 * 1024
"""Bytes of standard output that are read, but for one more that shows that it is too long."""
_MAX_STDERR = 8 * 1024
_CHUNK = 64 * 1024
_POLL_SECONDS = 0.02
# How often it is looked how long a process has worked.
_LOOK_SECONDS = 0.25
# For how long, and how many times as long as it has worked, a process waits that takes what others leave.
_STARVED_SECONDS, _STARVED_TIMES = 5.0, 2.0
_BUSY = "The machine is too busy to run the model in a process of its own; try again later."

log = logging.getLogger(__name__)


class Starved(NotReady):
    """A process that may use only what others leave of the processors got hardly any of them."""


class Asked(Protocol):
    """What a process is asked: a value that crosses the border as JSON, and what answering may use."""

    @property
    def limits(self) -> Limits:
        """What the process may use."""

    def to_json(self) -> dict[str, Any]:
        """The form that the process reads."""


@dataclass(frozen=True)
class ProcessResult:
    """What the process wrote, and its exit code, or None if its time was up."""

    stdout: bytes
    stderr: bytes
    code: int | None


def run(
    folder: Path,
    request: Asked,
    command: Sequence[str],
    environment: Mapping[str, str],
    keep: Sequence[int] = (),
    still_wanted: Callable[[], None] = lambda: None,
) -> ProcessResult:
    """Have a process do what is asked, and see how it ends.

    Args:
        folder: where it runs.
        request: what is asked.
        command: starts it.
        environment: its environment.
        keep: descriptors that it gets.
        still_wanted: called several times a second; what it raises ends the process and is raised here.

    Raises:
        Internal: it could not be started.
        Starved: others left too little; it was ended.
        NotReady: the machine is so busy that the process did not come to its end.
    """
    process = _start(folder, command, environment, keep)
    try:
        if request.limits.idle:
            background.wait_for_idle(process.pid)
        _send(process, request)
        output = _Output(process)
        in_time = _finished(process, output, request.limits, still_wanted)
    finally:
        code = _end(process)
    return ProcessResult(bytes(output.stdout), bytes(output.stderr), code if in_time else None)


def _finished(
    process: subprocess.Popen[bytes], output: "_Output", limits: Limits, still_wanted: Callable[[], None]
) -> bool:
    """Whether the process ended in its seconds of work.

    Raises:
        NotReady: its time by the clock is over, though it has not worked for so long.
        Starved: it may use only what others leave, and waited for a processor for most of the time.
    """
    watch, started = of_process(process.pid), time.monotonic()
    while not output.read(time.monotonic() + _LOOK_SECONDS):
        still_wanted()
        if (worked := watch.seconds()) > limits.seconds:
            return False
        passed = time.monotonic() - started
        if passed > limits.wall_seconds:
            raise NotReady(_BUSY)
        if limits.idle and passed - worked > _STARVED_SECONDS + _STARVED_TIMES * worked:
            raise Starved(_BUSY)
    return True


def _start(
    folder: Path, command: Sequence[str], environment: Mapping[str, str], keep: Sequence[int]
) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    try:
        process = subprocess.Popen(  # noqa: S603 - the command is a constant of this module
            command,
            cwd=folder,
            env=environment,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            bufsize=0,
            pass_fds=keep,
            # A session of its own would be one that the scheduler treats as the service's equal.
            process_group=0,
        )
        background.give_way(process.pid)
    except OSError as error:
        log.exception("The process that checks a model could not be started")
        raise Internal("The model could not be checked.") from error
    return process


def _send(process: subprocess.Popen[bytes], request: Asked) -> None:
    """Send the request, which is far smaller than what a pipe holds, so that this never waits."""
    assert process.stdin is not None  # noqa: S101 - opened by _start
    try:
        with process.stdin as stream:
            stream.write(json.dumps(request.to_json()).encode())
    except BrokenPipeError:
        log.info("The process that checks a model ended before it got its request")


class _Output:
    """What a process writes, read until the ends of both streams or the process's, or until it is too long.

    What the process started may hold the streams open, so that their ends are not to be waited for.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.stdout, self.stderr = bytearray(), bytearray()
        self._process = process
        self._open = {
            process.stdout: (self.stdout, MAX_STDOUT + 1),
            process.stderr: (self.stderr, _MAX_STDERR),
        }

    def read(self, deadline: float) -> bool:
        """Read on; whether the process has ended, or written too much, before the time was up."""
        with selectors.DefaultSelector() as selector:
            for stream, kept in self._open.items():
                selector.register(stream or -1, selectors.EVENT_READ, kept)
            while selector.get_map() and not self._too_long:
                if (left := deadline - time.monotonic()) <= 0:
                    return False
                # What a process wrote before it ended is there once it has ended.
                ended = _exited(self._process)
                ready = selector.select(0 if ended else min(left, _POLL_SECONDS))
                if ended and not ready:
                    break
                for key, _ in ready:
                    self._read(selector, key)
        return self._too_long or self._ended(deadline)

    @property
    def _too_long(self) -> bool:
        return len(self.stdout) > MAX_STDOUT

    def _read(self, selector: selectors.BaseSelector, key: selectors.SelectorKey) -> None:
        chunk = os.read(key.fd, _CHUNK)
        kept, most = key.data
        kept += chunk[: most - len(kept)]
        if not chunk:
            selector.unregister(key.fileobj)
            del self._open[key.fileobj]  # type: ignore[arg-type]

    def _ended(self, deadline: float) -> bool:
        """Whether the process ends in time."""
        while not _exited(self._process):
            if time.monotonic() >= deadline:
                return False
            time.sleep(_POLL_SECONDS)
        return True


def _exited(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process has ended. It is not reaped, so that its number still belongs to its group."""
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT | os.WNOHANG) is not None


def _end(process: subprocess.Popen[bytes]) -> int:
    """End the process, if it still runs, and all that it started; its exit code."""
    os.killpg(process.pid, signal.SIGKILL)
    code = process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream is not None:
            stream.close()
    return code
