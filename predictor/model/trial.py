"""Have a model tried in a process of its own, which may crash, hang or grow without harm to this one.

The process gets nothing of this one but a request: no environment, no descriptors, no open locks. Its answer
is believed only if it is complete, of the expected form, and the process ended well.
"""

import json
import logging
import math
import os
import selectors
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

import predictor
from predictor.errors import Internal
from predictor.model.report import Best, Reason, Refused, Report, Request

COMMAND = (sys.executable, "-P", "-s", "-m", "predictor.model.check")
"""Starts the check; without the working folder, in which the upload lies, among the places of modules."""

ENVIRONMENT: Mapping[str, str] = {
    "PYTHONPATH": str(Path(predictor.__file__).resolve().parents[1]),
    # The check may start no threads, and numpy's library would start one for each core.
    "OPENBLAS_NUM_THREADS": "1",
}
_MOST_ANSWER = 64 * 1024
_MOST_COMPLAINT = 8 * 1024
_CHUNK = 64 * 1024
_POLL_SECONDS = 0.02
# A process that in this time had a processor for less than this share of it, though it wanted one, starves.
_STARVING_SECONDS, _STARVING_SHARE = 5.0, 0.25

_Words = tuple[Reason, str]
_TOO_LONG: _Words = ("time", "The model takes too long: its check did not end in time.")
_TOO_MUCH_MEMORY: _Words = ("memory", "The model needs more memory than a check may use.")
_CRASHED: _Words = ("crashed", "The model crashed the runtime while it was tried.")
_NO_ANSWER: _Words = ("no_answer", "The check of the model ended without a result.")
_BY_SIGNAL: dict[int, tuple[Reason, str]] = {
    signal.SIGXCPU: _TOO_LONG,
    signal.SIGALRM: _TOO_LONG,
    signal.SIGKILL: _TOO_MUCH_MEMORY,
}

log = logging.getLogger(__name__)


class _No(pydantic.BaseModel, extra="forbid", strict=True):
    ok: Literal[False]
    code: Reason
    reason: Annotated[str, pydantic.Field(min_length=1, max_length=500)]


_Some = pydantic.Field(min_length=1)


class _Best(pydantic.BaseModel, extra="forbid"):
    classes: Annotated[tuple[pydantic.NonNegativeInt, ...], _Some]
    scores: Annotated[tuple[float, ...], _Some]
    spread: pydantic.NonNegativeFloat


class _Yes(pydantic.BaseModel, extra="forbid"):
    ok: Literal[True]
    spec: dict[str, pydantic.JsonValue]
    nodes: pydantic.NonNegativeInt
    load_seconds: pydantic.PositiveFloat
    run_seconds: pydantic.PositiveFloat
    batch: pydantic.PositiveInt
    batch_seconds: pydantic.PositiveFloat
    memory_bytes: pydantic.NonNegativeInt
    warnings: list[str]
    best: list[_Best] = []
    gpu_bytes: pydantic.NonNegativeInt | None = None


_ANSWER: pydantic.TypeAdapter[_Yes | _No] = pydantic.TypeAdapter(
    Annotated[_Yes | _No, pydantic.Field(discriminator="ok")]
)


@dataclass(frozen=True)
class Ending:
    """How the process ended: what it wrote, and its exit code, or None if its time was up."""

    answer: bytes
    complaint: bytes
    code: int | None


def try_model(folder: Path, request: Request, *, command: Sequence[str] = COMMAND) -> Report:
    """Try a model in a process of its own.

    Args:
        folder: where the process runs; it holds the files that `request` names and nothing else.
        request: what to try; `request.limits.seconds` bounds the time that this takes.
        command: what to run.

    Returns:
        What was found out about the model.

    Raises:
        Refused: the model cannot be served, or its check crashed, hung or grew; the sentence says why.
        Internal: the process could not be started.
    """
    return judged(run(folder, request, command))


def run(
    folder: Path, request: Request, command: Sequence[str], environment: Mapping[str, str] = ENVIRONMENT
) -> Ending:
    """Have a process do what is asked, and see how it ends.

    Raises:
        Internal: it could not be started.
    """
    deadline = time.monotonic() + request.limits.seconds
    ending = _attempt(folder, request, command, environment, _Turn(deadline, idle=True))
    if ending is None:
        log.warning("The machine is so busy that the check of a model gets a share of its own")
        ending = _attempt(folder, request, command, environment, _Turn(deadline, idle=False))
    return ending or Ending(b"", b"", None)


@dataclass(frozen=True)
class _Turn:
    """How long a process may take, and whether it runs only when nothing else wants the processor."""

    deadline: float
    idle: bool


def _attempt(
    folder: Path, request: Request, command: Sequence[str], environment: Mapping[str, str], turn: _Turn
) -> Ending | None:
    """Run the process once; None if it was given up because it hardly got a processor."""
    process = _start(folder, command, environment)
    try:
        idle = turn.idle and _stand_back(process.pid)
        _ask(process, request)
        heard = _Heard(process)
        in_time = _listened(process, heard, turn.deadline) if idle else heard.listen(turn.deadline)
        if in_time is None:
            return None
    finally:
        code = _end(process)
    return Ending(bytes(heard.answer), bytes(heard.complaint), code if in_time else None)


def _stand_back(process: int) -> bool:
    """Give a process the processor only when nobody else wants it; whether that could be done.

    From the first moment: to load the libraries costs as much as most models do. In the scheduler's idle
    class a process gives way at once, which one with a mere weight (nice) does not. Without privileges there
    is no way back, so one that starves has to begin again.
    """
    try:
        os.sched_setscheduler(process, os.SCHED_IDLE, os.sched_param(0))
    except OSError:
        return False
    return True


def _listened(process: subprocess.Popen[bytes], heard: "_Heard", deadline: float) -> bool | None:
    """What `listen` says; None as soon as the process has hardly had a processor for a while."""
    had = 0.0
    while (soon := time.monotonic() + _STARVING_SECONDS) < deadline:
        if heard.listen(soon):
            return True
        state, seconds = _processor(process)
        if state == "R" and seconds - had < _STARVING_SHARE * _STARVING_SECONDS:
            return None
        had = seconds
    return heard.listen(deadline)


def _processor(process: subprocess.Popen[bytes]) -> tuple[str, float]:
    """State of a process that is not reaped, and the seconds of processor that it had, by proc(5)."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return fields[0], (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def judged(ending: Ending, heading: bytes = b"") -> Report:
    """The report of a process, which follows a heading in what it wrote.

    Raises:
        Refused: there is none, or it says so.
    """
    try:
        return _judged(ending, heading)
    except Refused as refused:
        log.warning("A model was refused (%s); its check wrote: %r", refused.reason, ending.complaint)
        raise


def _start(folder: Path, command: Sequence[str], environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
    pipe = subprocess.PIPE
    try:
        return subprocess.Popen(  # noqa: S603 - the command is a constant of this module
            command,
            cwd=folder,
            env=environment,
            stdin=pipe,
            stdout=pipe,
            stderr=pipe,
            bufsize=0,
            close_fds=True,
            # A session of its own would be one that the scheduler treats as the service's equal.
            process_group=0,
        )
    except OSError as error:
        log.exception("The process that tries a model could not be started")
        raise Internal("The model could not be tried.") from error


def _ask(process: subprocess.Popen[bytes], request: Request) -> None:
    """Send the request, which is far smaller than what a pipe holds, so that this never waits."""
    assert process.stdin is not None  # noqa: S101 - opened by _start
    try:
        with process.stdin as stream:
            stream.write(json.dumps(request.to_json()).encode())
    except BrokenPipeError:
        log.info("The process that tries a model ended before it was asked")


class _Heard:
    """What a process writes, read until the ends of both streams or the process's, or until it is too long.

    What the process started may hold the streams open, so that their ends are not to be waited for.
    """

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self.answer, self.complaint = bytearray(), bytearray()
        self._process = process
        self._open = {
            process.stdout: (self.answer, _MOST_ANSWER + 1),
            process.stderr: (self.complaint, _MOST_COMPLAINT),
        }

    def listen(self, deadline: float) -> bool:
        """Read on; whether the process has ended, or written too much, before the time was up."""
        with selectors.DefaultSelector() as selector:
            for stream, kept in self._open.items():
                selector.register(stream or -1, selectors.EVENT_READ, kept)
            while selector.get_map() and not self._too_long:
                if (left := deadline - time.monotonic()) <= 0:
                    return False
                ready = selector.select(min(left, _POLL_SECONDS))
                if not ready and _exited(self._process):
                    break
                for key, _ in ready:
                    self._read(selector, key)
        return self._too_long or self._ended(deadline)

    @property
    def _too_long(self) -> bool:
        return len(self.answer) > _MOST_ANSWER

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


def _judged(ending: Ending, heading: bytes) -> Report:
    if ending.code is None:
        raise Refused(*_TOO_LONG)
    if len(ending.answer) > _MOST_ANSWER:
        raise Refused(*_NO_ANSWER)
    if ending.code < 0:
        raise Refused(*_BY_SIGNAL.get(-ending.code, _CRASHED))
    if ending.code > 0:
        raise Refused(*_NO_ANSWER)
    return _believed(ending.answer.removeprefix(heading))


def _believed(answer: bytes) -> Report:
    try:
        read = _ANSWER.validate_python(json.loads(answer, parse_constant=_finite, parse_float=_finite))
    except (ValueError, RecursionError) as error:
        raise Refused(*_NO_ANSWER) from error
    if isinstance(read, _No):
        raise Refused(read.code, read.reason)
    fields: dict[str, Any] = read.model_dump(exclude={"ok"})
    best = tuple(Best(**one) for one in fields["best"])
    return Report(**{**fields, "warnings": tuple(fields["warnings"]), "best": best})


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not a finite number")
    return value
