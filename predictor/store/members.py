"""Which workers of this machine there are, what each serves, and what it was running when it died.

Each worker has a heartbeat record in `workers/`: a file whose lock it holds as long as it lives, mapped into
its memory, so that an update costs no system call and needs no room on the disk. Beside it lies an empty file
for the crash report of a worker that native code brings down.
"""

import errno
import logging
import mmap
import os
import secrets
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from predictor.errors import InvalidModel, NotReady, PredictorError
from predictor.store.files import hold

_RECORD_BYTES = 8192
_NUMBERS = struct.Struct("=QQQQ")
_SERVING, _READY, _REFUSED, _REFUSAL_KIND = range(4)
_REFUSAL, _REFUSAL_BYTES = 64, 1024
_RUNS, _RUN_BYTES, _MAX_RUNS = 2048, 128, 48
_CRASH_SUFFIX = ".words"
_KINDS: tuple[type[PredictorError], ...] = (NotReady, InvalidModel)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class WorkerStatus:
    """The state of a living worker, as its heartbeat record has it.

    Attributes:
        serving: the change that it serves; 0 while it starts.
        ready: the latest change that it could serve at once.
        refused: the latest change that it could not prepare.
        refusal: why not.
    """

    serving: int
    ready: int
    refused: int
    refusal: PredictorError


@dataclass(frozen=True)
class CrashedWorker:
    """A worker that native code brought down.

    Attributes:
        running: the models that it was running or loading, as `name/version`.
        crash_reason: what its crash report says.
    """

    running: frozenset[str]
    crash_reason: str


class WorkerRecord:
    """This worker's heartbeat record.

    Args:
        path: its file; None for a worker that nobody else needs to know.
    """

    def __init__(self, path: Path | None) -> None:
        self._free = list(range(_MAX_RUNS))
        self._lock = threading.Lock()
        self._path = path
        self._memory = memoryview(mmap.mmap(-1, _RECORD_BYTES) if path is None else _mapped(path))
        self._numbers = self._memory[: _NUMBERS.size].cast("Q")
        # Both stay open as long as this worker lives.
        self._lock_descriptor = None if path is None else _locked(path)
        self.crash_file = (Path(os.devnull) if path is None else path.with_suffix(_CRASH_SUFFIX)).open(
            "ab", buffering=0
        )

    def serve(self, serial: int) -> None:
        """Say that this worker answers requests, with this change."""
        self._numbers[_SERVING] = serial

    def ready(self, serial: int) -> None:
        """Say that this worker could serve a change at once."""
        self._numbers[_READY] = serial

    def refuse(self, serial: int, error: PredictorError) -> None:
        """Say that this worker cannot serve a change, and why."""
        text = error.detail.encode()[: _REFUSAL_BYTES - 1]
        self._memory[_REFUSAL : _REFUSAL + _REFUSAL_BYTES] = text.ljust(_REFUSAL_BYTES, b"\0")
        self._numbers[_REFUSAL_KIND] = isinstance(error, InvalidModel)
        self._numbers[_REFUSED] = serial

    @contextmanager
    def running(self, model: str) -> Iterator[None]:
        """Say that native code of a model, `name/version`, is at work."""
        with self._lock:
            place = self._free.pop() if self._free else None
        if place is None:
            yield
            return
        start = _RUNS + _RUN_BYTES * place
        text = model.encode()[: _RUN_BYTES - 1]
        self._memory[start : start + len(text) + 1] = text + b"\0"
        try:
            yield
        finally:
            self._memory[start] = 0
            with self._lock:
                self._free.append(place)

    def report_crash(self, reason: str) -> None:
        """Write the crash report before this process ends itself."""
        self.crash_file.write(reason.encode() + b"\n")

    def deregister(self) -> None:
        """Remove the record after a clean shutdown."""
        if self._path is not None:
            for path in (self._path, self._path.with_suffix(_CRASH_SUFFIX)):
                with suppress(OSError):
                    path.unlink()


class WorkerRegistry:
    """The workers of a machine.

    Args:
        folder: where their heartbeat records lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def register(self) -> WorkerRecord:
        """Make this worker's record; the caller holds the commit lock, or others may remove the record."""
        path = self._folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        try:
            return WorkerRecord(path)
        except OSError as error:
            log.error("This worker cannot take part in changes of models: %s", error.strerror)
            # A file system that is read-only refuses even to remove what is not there.
            with suppress(OSError):
                path.unlink()
            return WorkerRecord(None)

    def statuses(self) -> list[WorkerStatus]:
        """The status of each living worker."""
        found = []
        for path in self._records():
            if (descriptor := hold(path)) is not None:
                os.close(descriptor)
            elif path.exists():
                found.append(_status(path))
        return found

    def reap(self) -> list[CrashedWorker]:
        """Remove the records of dead workers; return those that native code brought down."""
        crashed = []
        for path in self._records():
            if (descriptor := hold(path)) is None:
                continue
            try:
                if found := _crash(path):
                    crashed.append(found)
                path.with_suffix(_CRASH_SUFFIX).unlink(missing_ok=True)
                path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
        return crashed

    def _records(self) -> list[Path]:
        return [path for path in self._folder.glob("*") if path.suffix != _CRASH_SUFFIX]


def _locked(path: Path) -> int:
    if (descriptor := hold(path)) is None:
        raise OSError(errno.ENOLCK, "No locks available")
    return descriptor


def _mapped(path: Path) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        # Room beforehand: a write to mapped memory for which the disk has none ends the process.
        os.posix_fallocate(descriptor, 0, _RECORD_BYTES)
        return mmap.mmap(descriptor, _RECORD_BYTES)
    finally:
        os.close(descriptor)


def _status(path: Path) -> WorkerStatus:
    data = _bytes(path)
    serving, ready, refused, kind = _NUMBERS.unpack(data[: _NUMBERS.size])
    text = _text(data[_REFUSAL : _REFUSAL + _REFUSAL_BYTES])
    return WorkerStatus(serving, ready, refused, _KINDS[kind % len(_KINDS)](text))


def _crash(path: Path) -> CrashedWorker | None:
    """The crash of a worker that left a report; a worker that was killed from outside leaves none."""
    try:
        reason = path.with_suffix(_CRASH_SUFFIX).read_bytes()[:_RECORD_BYTES].decode(errors="replace").strip()
    except OSError:
        return None
    data = _bytes(path)
    rows = (_RUNS + _RUN_BYTES * place for place in range(_MAX_RUNS))
    running = frozenset(_text(data[row : row + _RUN_BYTES]) for row in rows) - {""}
    return CrashedWorker(running, reason) if reason and running else None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes().ljust(_RECORD_BYTES, b"\0")
    except OSError:
        return bytes(_RECORD_BYTES)


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode(errors="replace")
