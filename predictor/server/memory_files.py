"""What a server keeps in memory as files: heartbeats, and the metrics that its workers add up."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_MEMORY = Path("/dev/shm")  # noqa: S108 (the folder in it is private)
# Four files of a megabyte for each worker, twice as many while workers are replaced.
_BYTES_PER_WORKER = 8 << 20


def heartbeats(data: Path, memory: Path = _MEMORY) -> str | None:
    """A folder for gunicorn's heartbeat files: a busy disk must not make a worker look dead.

    Args:
        data: the folder of the service, used where no file can be made in memory.
        memory: a file system in memory.

    Returns:
        The folder; None for gunicorn's own choice, where no file can be made in either.
    """
    for folder in (memory, data):
        with suppress(OSError), tempfile.TemporaryFile(dir=folder):
            return str(folder.resolve())
    return None


def make_metrics(data: Path, workers: int, memory: Path = _MEMORY) -> Path | None:
    """Make the folder of this server's metrics, and remove those that dead servers left.

    The files are mapped into memory, where a write for which a full disk has no room ends the process: so
    they lie in memory where there is enough of it.

    Args:
        data: the folder of the service, used where there is no memory for files.
        workers: how many workers write.
        memory: a file system in memory.

    Returns:
        The folder; None if none can be made.
    """
    for parent in (memory, data / "metrics"):
        try:
            if parent is not memory:
                parent.mkdir(parents=True, exist_ok=True)
            elif shutil.disk_usage(parent).free < workers * _BYTES_PER_WORKER:
                continue
            for left in _left_behind(parent):
                shutil.rmtree(left, ignore_errors=True)
            return Path(tempfile.mkdtemp(prefix=f"{_prefix()}{os.getpid()}-", dir=parent)).resolve()
        except OSError:
            continue
    return None


def _left_behind(parent: Path) -> Iterator[Path]:
    prefix = _prefix()
    for folder in parent.glob(f"{prefix}*"):
        server = folder.name.removeprefix(prefix).partition("-")[0]
        if server == str(os.getpid()) or not _alive(server):
            yield folder


def _alive(process: str) -> bool:
    """Whether a process with this id exists; asked of the kernel, for there may be no `/proc`."""
    try:
        os.kill(int(process), 0)
    except (ProcessLookupError, ValueError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


def _prefix() -> str:
    """What the names of all servers begin with that see the same process ids."""
    try:
        namespace = str(Path("/proc/self/ns/pid").stat().st_ino)
    except OSError:
        namespace = "0"
    return f"image-prediction-{namespace}-"
