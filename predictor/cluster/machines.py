"""Which machines there are, by heartbeats in the bucket; how old one is, only the store's own clock says."""

import random
import re
import secrets
import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from predictor import __version__
from predictor.cluster.bucket import Bucket, Entry
from predictor.cluster.machine_status import MachineStatus
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


@dataclass(frozen=True)
class Sighting:
    """What is known of a machine.

    Attributes:
        age: seconds since its heartbeat.
        lives: whether it counts as living.
    """

    age: float
    lives: bool


@dataclass(frozen=True)
class _Pace:
    """The seconds between two heartbeats of a machine, and those without one until it counts as gone."""

    beat: float
    dead: float

    @classmethod
    def of(cls, mark: bytes) -> "_Pace":
        """What a heartbeat says; a former release's says nothing."""
        words = mark.split()
        try:
            return cls(float(words[2]), float(words[3]))
        except (IndexError, ValueError):
            return cls(0.0, 0.0)


def machine_name(data: Path, given: str | None) -> str:
    """The name of this machine: the given one, or the host's with a random part, kept in the data folder."""
    return given or _kept(data, _made())


def known_name(data: Path, given: str | None) -> str | None:
    """The name of this machine, if it has one yet; nothing is written."""
    with suppress(OSError):
        return given or (data / _NAME_FILE).read_text().strip()
    return None


def _made() -> str:
    host = re.sub(r"[^A-Za-z0-9-]+", "-", socket.gethostname()).strip("-")[:40]
    return f"{host or 'machine'}-{secrets.token_hex(4)}"


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
        status: what the workers of this machine share.
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
        status: MachineStatus,
        poll_seconds: float,
        chance: Callable[[], float] = random.random,
    ) -> None:
        self._bucket = bucket
        self._status = status
        self._chance = chance
        self.name = name
        self.poll_seconds = poll_seconds
        self.doubled = False
        self._beaten: float | None = None
        self._token = secrets.token_hex(16)
        self._paces: dict[str, tuple[float, _Pace]] = {}
        self.beat_seconds = BEAT_POLLS * poll_seconds
        self.dead_seconds = max(_LEAST_DEAD_SECONDS, DEAD_POLLS * poll_seconds)

    def pauses(self, seconds: float) -> Iterator[float]:
        """Pauses between the rounds of a loop, so that machines that start together do not ask in step.

        The first one is any part of so many seconds, each later one up to a tenth shorter than they are.
        """
        yield seconds * self._chance()
        while True:
            yield seconds * (_SHORTEST + (1 - _SHORTEST) * self._chance())

    def beat(self) -> Mapping[str, Sighting]:
        """Say that this machine lives and serves what the log says; learn of all machines."""
        key, mark = _PREFIX + self.name, self._mark()
        self.doubled = self._beaten is not None and self._bucket.get(key) not in {None, mark}
        silent = self._beaten is None or time.monotonic() > self._beaten + self._fresh_seconds
        if silent:
            # Before other workers see the heartbeat, and again when it is known to be there.
            self._status.after_silence()
        self._bucket.put(key, mark)
        written = time.monotonic()
        if silent:
            self._status.after_silence()
        self._beaten = written
        entries = self._bucket.entries(_PREFIX)
        own = next((entry for entry in entries if _name(entry) == self.name), None)
        if own is not None:
            self._status.set_clock(own.time + time.monotonic() - written)
        seen = {_name(entry): Sighting(self._age(entry), self._lives(entry)) for entry in entries}
        self._bucket.remove(_PREFIX + name for name, one in seen.items() if one.age > _FORGOTTEN_SECONDS)
        return seen

    def in_step(self) -> None:
        """Note that this machine serves the last change, as of its last heartbeat: so the others count."""
        if self._status.fault is None:
            self._status.in_step(time.monotonic() if self._beaten is None else self._beaten)

    def leave(self) -> None:
        """Have the others wait for this machine no more."""
        self._bucket.remove([_PREFIX + self.name])

    def living(self) -> set[str]:
        """The machines that live, this one always among them."""
        return {_name(one) for one in self._bucket.entries(_PREFIX) if self._lives(one)} | {self.name}

    def settled(self) -> bool:
        """Whether all who live have had time for a heartbeat since the store, or this machine, was silent."""
        if not self.heard():
            return False
        others = [one for one in self._bucket.entries(_PREFIX) if _name(one) != self.name]
        unheard = [self._pace(one) for one in others if self._age(one) >= self._fresh_seconds]
        pause = max((pace.beat for pace in unheard), default=0.0)
        waited = self._status.since_silence > pause + _SPARE_SECONDS
        return waited or not unheard

    def heard(self) -> bool:
        """Whether the store has a fresh heartbeat of this machine, given since its service was started."""
        return self._status.store_time is not None and self.alive(self.name)

    def known(self) -> list[str]:
        """The machines that gave a heartbeat, however long ago."""
        return [_name(entry) for entry in self._bucket.entries(_PREFIX)]

    def alive(self, name: str) -> bool:
        """Whether a machine lives."""
        found = self._bucket.find(_PREFIX + name)
        return found is not None and self._lives(found)

    @property
    def _fresh_seconds(self) -> float:
        """A machine that was heard within this time gives another heartbeat before it counts as gone."""
        return self.dead_seconds - self.beat_seconds

    def _lives(self, entry: Entry) -> bool:
        age = self._age(entry)
        return age < self.dead_seconds or age < self._pace(entry).dead

    def _age(self, entry: Entry) -> float:
        present = self._status.store_time
        return 0.0 if present is None else present - entry.time

    def _mark(self) -> bytes:
        return f"{__version__} {self._token} {self.beat_seconds:g} {self.dead_seconds:g}".encode()

    def _pace(self, entry: Entry) -> _Pace:
        """The pace of a machine, or of this one if that is slower; each heartbeat is read once at most."""
        name = _name(entry)
        if name not in self._paces or self._paces[name][0] != entry.time:
            self._paces[name] = entry.time, _Pace.of(self._bucket.get(entry.key) or b"")
        found = self._paces[name][1]
        return _Pace(max(found.beat, self.beat_seconds), max(found.dead, self.dead_seconds))


def _name(entry: Entry) -> str:
    return entry.key.rpartition("/")[2]
