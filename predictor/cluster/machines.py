"""Which machines there are, by heartbeats in the bucket; how old one is, only the store's own clock says."""

import random
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from predictor import __version__
from predictor.cluster.bucket import Bucket, Entry
from predictor.cluster.standing import Standing
from predictor.errors import StorageFull
from predictor.store.files import atomic_write, locked

_PREFIX = "machines/"
_NAME_FILE = "machine"
_NAME_SECONDS = 10.0
_FORGOTTEN_SECONDS = 86_400.0
BEAT_POLLS, DEAD_POLLS = 5, 15
"""A heartbeat comes every so many polls of the log; without one for so many, a machine counts as gone."""
# Stores give times in whole seconds.
_LEAST_DEAD_SECONDS = 3.0
_SPARE_SECONDS = 0.5
# Pauses get shorter, never longer, so that every bound holds.
_SHORTEST = 0.9


def machine_name(data: Path, given: str | None) -> str:
    """The name of this machine: the given one, or the host's with a random part, kept in the data folder."""
    host = re.sub(r"[^A-Za-z0-9-]+", "-", socket.gethostname()).strip("-")[:40]
    return given or _kept(data, f"{host or 'machine'}-{secrets.token_hex(4)}")


def _kept(data: Path, name: str) -> str:
    """The name that the data folder keeps; this one if it has none. The workers start at the same moment."""
    path = data / _NAME_FILE
    # Where it cannot be kept, this machine cannot change its models either.
    with suppress(StorageFull, OSError):
        with locked(path.with_suffix(".lock"), _NAME_SECONDS):
            if not path.exists():
                atomic_write(path, name.encode())
        name = path.read_text().strip()
    return name


class Machines:
    """The machines of a bucket; the methods raise `Unavailable` where the store does not answer.

    Args:
        bucket: theirs.
        name: this machine's.
        standing: what the workers of this machine share.
        poll_seconds: how often the log is looked at.
        chance: a number from 0 to 1, another one at each call.

    Attributes:
        name: this machine's.
        poll_seconds: between two looks at the log.
        beat_seconds: between two heartbeats.
        dead_seconds: without a heartbeat until a machine counts as gone.
        doubled: whether another process gave heartbeats under this machine's name.
    """

    def __init__(
        self,
        bucket: Bucket,
        name: str,
        standing: Standing,
        poll_seconds: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._bucket = bucket
        self._standing = standing
        self._chance = chance
        self.name = name
        self.poll_seconds = poll_seconds
        self.doubled = False
        self._beaten: float | None = None
        self._mark = f"{__version__} {secrets.token_hex(16)}".encode()
        self.beat_seconds = BEAT_POLLS * poll_seconds
        self.dead_seconds = max(_LEAST_DEAD_SECONDS, DEAD_POLLS * poll_seconds)

    def pauses(self, seconds: float) -> Iterator[float]:
        """Pauses between the rounds of a loop, so that machines that start together do not ask in step.

        The first one is any part of so many seconds, each later one up to a tenth shorter than they are.
        """
        yield seconds * self._chance()
        while True:
            yield seconds * (_SHORTEST + (1 - _SHORTEST) * self._chance())

    def beat(self) -> Mapping[str, float]:
        """Say that this machine lives and serves what the log says; learn of the others.

        Returns:
            For each machine, the seconds since its heartbeat.
        """
        key = _PREFIX + self.name
        self.doubled = self._beaten is not None and self._bucket.get(key) not in {None, self._mark}
        self._bucket.put(key, self._mark)
        written = time.monotonic()
        if self._beaten is not None and written > self._beaten + self.dead_seconds:
            self._standing.after_silence()
        self._beaten = written
        entries = self._bucket.entries(_PREFIX)
        own = next((entry for entry in entries if _name(entry) == self.name), None)
        if own is not None:
            self._standing.set_clock(own.time + time.monotonic() - written)
        ages = self._ages(entries)
        self._bucket.remove(_PREFIX + name for name, age in ages.items() if age > _FORGOTTEN_SECONDS)
        return ages

    def living(self) -> set[str]:
        """The machines that live, this one always among them."""
        ages = self._ages(self._bucket.entries(_PREFIX))
        return {name for name, age in ages.items() if age < self.dead_seconds} | {self.name}

    def settled(self) -> bool:
        """Whether all who live have had time for a heartbeat since the store, or this machine, was silent."""
        if self._standing.store_time is None:
            return False
        waited = self._standing.since_silence > self.beat_seconds + _SPARE_SECONDS
        return waited and self.alive(self.name)

    def known(self) -> list[str]:
        """The machines that gave a heartbeat, however long ago."""
        return [_name(entry) for entry in self._bucket.entries(_PREFIX)]

    def alive(self, name: str) -> bool:
        """Whether a machine lives."""
        found = self._bucket.find(_PREFIX + name)
        return found is not None and self._ages([found])[name] < self.dead_seconds

    def _ages(self, entries: list[Entry]) -> Mapping[str, float]:
        present = self._standing.store_time
        return {_name(one): 0.0 if present is None else present - one.time for one in entries}


def _name(entry: Entry) -> str:
    return entry.key.rpartition("/")[2]
