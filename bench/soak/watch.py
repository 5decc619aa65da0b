"""What the service holds, watched from outside: memory, descriptors, threads and files."""

import contextlib
import statistics
import threading
import time
from dataclasses import dataclass
from pathlib import Path

from bench.switch import resident_mb
from tests.live.service import Service

_PERIOD_SECONDS = 3.0


@dataclass(frozen=True)
class Sample:
    """What was held at a moment.

    Attributes:
        moment: seconds since the watch began.
        total_mb: memory that master and workers have of their own.
        eldest_mb: that of the worker that is never killed.
        descriptors: of the master and that worker.
        threads: of the same.
        files: in the data folder, models apart.
    """

    moment: float
    total_mb: float
    eldest_mb: float
    descriptors: int
    threads: int
    files: int


class Watch:
    """Takes samples as long as its block lasts.

    Args:
        service: what to watch.
        eldest: the worker that is never killed.
    """

    def __init__(self, service: Service, eldest: int) -> None:
        self.samples = list[Sample]()
        self._service = service
        self._eldest = eldest
        self._start = time.monotonic()
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch)

    def __enter__(self) -> "Watch":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(_PERIOD_SECONDS):
            # A process that ends while it is looked at costs this sample.
            with contextlib.suppress(OSError):
                self.samples.append(self._sample())

    def _sample(self) -> Sample:
        watched = (self._service.master, self._eldest)
        everybody = [self._service.master, *self._service.workers()]
        return Sample(
            time.monotonic() - self._start,
            sum(resident_mb(pid) for pid in everybody),
            resident_mb(self._eldest),
            sum(len(list(Path(f"/proc/{pid}/fd").iterdir())) for pid in watched),
            sum(len(list(Path(f"/proc/{pid}/task").iterdir())) for pid in watched),
            sum(len(files(self._service.data / folder)) for folder in ("incoming", "workers", "cache"))
            + len(files(self._service.metrics)),
        )


def files(folder: Path) -> list[Path]:
    """All files of a folder and of those within it."""
    return [path for path in folder.rglob("*") if path.is_file()]


def by_minute(samples: list[Sample], field: str) -> list[float]:
    """The middle value of each minute."""
    minutes: dict[int, list[float]] = {}
    for sample in samples:
        minutes.setdefault(int(sample.moment // 60), []).append(getattr(sample, field))
    return [statistics.median(minutes[minute]) for minute in sorted(minutes)]


def slope(values: list[float]) -> float:
    """By how much values grow from one to the next, by least squares."""
    return statistics.linear_regression(range(len(values)), values).slope if len(values) > 1 else 0.0
