"""Which workers of this machine there are, what each serves, and what it was running when it died.

Each worker has a page of its own in `workers/`: a file whose lock it holds as long as it lives, mapped into
its memory, so that a report costs no system call and needs no room on the disk. Beside it lies an empty file
for the last words of a worker that native code brings down.
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
from predictor.store.lock import hold

_PAGE = 8192
_NUMBERS = struct.Struct("=QQQQ")
_SERVING, _READY, _REFUSED, _REFUSAL_KIND = range(4)
_REFUSAL, _REFUSAL_BYTES = 64, 1024
_RUNS, _RUN_BYTES, _MOST_RUNS = 2048, 128, 48
_LAST_WORDS = ".words"
_KINDS: tuple[type[PredictorError], ...] = (NotReady, InvalidModel)

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Report:
    """What a living worker says of itself.

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
class Dead:
    """A worker that native code brought down.

    Attributes:
        running: the models that it was running or loading, as `name/version`.
        words: what it left behind.
    """

    running: frozenset[str]
    words: str


class Member:
    """This worker's page.

    Args:
        path: its file; None for a worker that nobody else needs to know.
    """

    def __init__(self, path: Path | None) -> None:
        self._free = list(range(_MOST_RUNS))
        self._lock = threading.Lock()
        self._path = path
        self._page = memoryview(mmap.mmap(-1, _PAGE) if path is None else _mapped(path))
        self._numbers = self._page[: _NUMBERS.size].cast("Q")
        # Both stay open as long as this worker lives.
        self._held = None if path is None else _held(path)
        self.words = (Path(os.devnull) if path is None else path.with_suffix(_LAST_WORDS)).open(
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
        self._page[_REFUSAL : _REFUSAL + _REFUSAL_BYTES] = text.ljust(_REFUSAL_BYTES, b"\0")
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
        self._page[start : start + len(text) + 1] = text + b"\0"
        try:
            yield
        finally:
            self._page[start] = 0
            with self._lock:
                self._free.append(place)

    def say(self, words: str) -> None:
        """Leave last words before this process ends itself."""
        self.words.write(words.encode() + b"\n")

    def leave(self) -> None:
        """Go in peace: nobody has to look after what this worker leaves."""
        if self._path is not None:
            for path in (self._path, self._path.with_suffix(_LAST_WORDS)):
                with suppress(OSError):
                    path.unlink()


class Roster:
    """The workers of a machine.

    Args:
        folder: where their pages lie.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def join(self) -> Member:
        """Give this worker a page; to be called under the gate, or others may take it for dead."""
        path = self._folder / f"{os.getpid()}-{secrets.token_hex(4)}"
        try:
            return Member(path)
        except OSError as error:
            log.error("This worker cannot be counted on when a model is changed: %s", error.strerror)
            path.unlink(missing_ok=True)
            return Member(None)

    def living(self) -> list[Report]:
        """What each living worker says of itself."""
        reports = []
        for path in self._pages():
            if (descriptor := hold(path)) is not None:
                os.close(descriptor)
            elif path.exists():
                reports.append(_report(path))
        return reports

    def bury(self) -> list[Dead]:
        """Remove the pages of the dead; those that native code brought down are told."""
        dead = []
        for path in self._pages():
            if (descriptor := hold(path)) is None:
                continue
            try:
                if found := _autopsy(path):
                    dead.append(found)
                path.with_suffix(_LAST_WORDS).unlink(missing_ok=True)
                path.unlink(missing_ok=True)
            finally:
                os.close(descriptor)
        return dead

    def _pages(self) -> list[Path]:
        return [path for path in self._folder.glob("*") if path.suffix != _LAST_WORDS]


def _held(path: Path) -> int:
    if (descriptor := hold(path)) is None:
        raise OSError(errno.ENOLCK, "No locks available")
    return descriptor


def _mapped(path: Path) -> mmap.mmap:
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        # Room beforehand: a write to mapped memory for which the disk has none ends the process.
        os.posix_fallocate(descriptor, 0, _PAGE)
        return mmap.mmap(descriptor, _PAGE)
    finally:
        os.close(descriptor)


def _report(path: Path) -> Report:
    data = _bytes(path)
    serving, ready, refused, kind = _NUMBERS.unpack(data[: _NUMBERS.size])
    text = _text(data[_REFUSAL : _REFUSAL + _REFUSAL_BYTES])
    return Report(serving, ready, refused, _KINDS[kind % len(_KINDS)](text))


def _autopsy(path: Path) -> Dead | None:
    """What brought a worker down, if it left words; one that was killed from outside leaves none."""
    try:
        words = path.with_suffix(_LAST_WORDS).read_bytes()[:_PAGE].decode(errors="replace").strip()
    except OSError:
        return None
    data = _bytes(path)
    rows = (_RUNS + _RUN_BYTES * place for place in range(_MOST_RUNS))
    running = frozenset(_text(data[row : row + _RUN_BYTES]) for row in rows) - {""}
    return Dead(running, words) if words and running else None


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes().ljust(_PAGE, b"\0")
    except OSError:
        return bytes(_PAGE)


def _text(data: bytes) -> str:
    return data.partition(b"\0")[0].decode(errors="replace")
