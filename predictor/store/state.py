"""What the store says: each name's versions and which one is live. One value, and the file that holds it.

The file is written whole and carries a checksum. A second copy is written after it, so that damage to one of
them loses nothing.
"""

import contextlib
import dataclasses
import hashlib
import json
import logging
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from predictor.errors import StorageFull
from predictor.store.files import atomic_write
from predictor.store.manifest import known_fields
from predictor.store.members import CrashedWorker

_POINTER, _COPY = "state.json", "state.copy.json"
_EVENTS = 100
DEATH_SECONDS = 600.0
"""How long the death of a worker counts against what it ran."""
CRASHED = "It crashed workers of the service."
"""Why a version that brought workers down is quarantined."""

Golden = Callable[[str], str | None]
"""The digest of the golden images that lie there for a name, if any."""

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Event:
    """A change of a name's live version: upload, activate, rollback, quarantine, load or unload."""

    time: str
    action: str
    version: int


@dataclass(frozen=True)
class Death:
    """The end of a worker while it ran or loaded a version.

    Attributes:
        version: what it ran.
        time: seconds since 1970.
    """

    version: int
    time: float


@dataclass(frozen=True)
class Name:
    """The versions of one model.

    Attributes:
        live: the version that serves; None if none of them can.
        last: the highest number ever given.
        versions: those that are there, in order.
        former: those that were live before, the latest last.
        quarantined: those that may not serve again, each with a sentence.
        deaths: of the last minutes.
        history: changes, the latest last.
        golden: the digest of the index of its golden images (`store.golden`); None if it has none.
    """

    live: int | None = None
    last: int = 0
    versions: tuple[int, ...] = ()
    former: tuple[int, ...] = ()
    quarantined: Mapping[int, str] = field(default_factory=dict)
    deaths: tuple[Death, ...] = ()
    history: tuple[Event, ...] = ()
    golden: str | None = None

    def good(self, version: int) -> bool:
        """Whether a version is there and may serve."""
        return version in self.versions and version not in self.quarantined

    @property
    def crashed(self) -> list[int]:
        """The versions that brought workers down."""
        return [version for version, why in self.quarantined.items() if why == CRASHED]

    def before(self) -> int | None:
        """The version that was live before the present one and may serve again."""
        return next((one for one in reversed(self.former) if one != self.live and self.good(one)), None)

    def switched(self, version: int | None, event: Event) -> "Name":
        """With another live version; the present one goes to those before it."""
        former = self.former if self.live is None else (*self.former, self.live)
        return dataclasses.replace(
            self, live=version, former=former[-_EVENTS:], history=(*self.history, event)[-_EVENTS:]
        )

    def returned(self, version: int | None, event: Event) -> "Name":
        """Back to an earlier version: what was live after it is no longer before anything."""
        if version is None:
            return self.switched(None, event)
        at = len(self.former) - 1 - self.former[::-1].index(version)
        return dataclasses.replace(self.switched(version, event), former=self.former[:at])

    def without(self, versions: set[int]) -> "Name":
        """With some versions gone."""
        return dataclasses.replace(
            self,
            versions=tuple(one for one in self.versions if one not in versions),
            former=tuple(one for one in self.former if one not in versions),
            quarantined={one: why for one, why in self.quarantined.items() if one not in versions},
        )


@dataclass(frozen=True)
class Pending:
    """A change that is prepared and not yet committed: with `serial`, `name` would serve `version`."""

    serial: int
    name: str
    version: int | None


@dataclass(frozen=True)
class State:
    """All of it.

    Attributes:
        serial: the number of the last change of a live version; each is prepared under a number of its own.
        issued: the highest number that was prepared, whatever came of it.
    """

    serial: int = 1
    issued: int = 1
    names: Mapping[str, Name] = field(default_factory=dict)
    pending: Pending | None = None

    def live(self) -> dict[str, int]:
        """The live version of each name that has one."""
        return {name: one.live for name, one in self.names.items() if one.live is not None}

    def replaced(self, name: str, value: Name | None) -> "State":
        """With another value for a name; with None the name is gone."""
        others = {one: known for one, known in self.names.items() if one != name}
        return dataclasses.replace(self, names=others if value is None else {**self.names, name: value})

    def with_deaths(self, crashed: Iterable[CrashedWorker]) -> "State":
        """With the versions that crashed workers ran; what is older than `DEATH_SECONDS` is forgotten."""
        state, present = self, time.time()
        for worker in crashed:
            for key in worker.running:
                name, _, version = key.rpartition("/")
                if name in state.names and version.isdecimal():
                    reason = worker.crash_reason
                    log.error("A worker crashed while it ran version %s of %s: %s", version, name, reason)
                    known = state.names[name]
                    recent = [death for death in known.deaths if death.time > present - DEATH_SECONDS]
                    deaths = (*recent, Death(int(version), present))
                    state = state.replaced(name, dataclasses.replace(known, deaths=deaths))
        return state

    def with_pending(self, name: str, version: int | None) -> "State":
        """With a pending change, under a new number."""
        serial = max(self.issued, self.serial) + 1
        return dataclasses.replace(self, issued=serial, pending=Pending(serial, name, version))

    def to_json(self) -> dict[str, Any]:
        """The form that `from_json` reads back."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any], golden: Golden = lambda _: None) -> "State":
        """Read the form that `to_json` writes.

        Args:
            value: that form, or that of another release.
            golden: asked where a release wrote it that does not know golden images.

        Raises:
            TypeError, KeyError, ValueError, AttributeError: it is of another form.
        """
        pending = value["pending"]
        return cls(
            serial=int(value["serial"]),
            issued=int(value["issued"]),
            names={name: _name(name, one, golden) for name, one in value["names"].items()},
            pending=None if pending is None else known_fields(Pending, pending),
        )


def _name(name: str, value: dict[str, Any], golden: Golden) -> Name:
    return Name(
        live=value["live"],
        last=int(value["last"]),
        versions=tuple(map(int, value["versions"])),
        former=tuple(map(int, value["former"])),
        quarantined={int(version): str(why) for version, why in value["quarantined"].items()},
        deaths=tuple(known_fields(Death, death) for death in value["deaths"]),
        history=tuple(known_fields(Event, event) for event in value["history"]),
        golden=value["golden"] if "golden" in value else golden(name),
    )


def write(folder: Path, state: State) -> None:
    """Write the state, which counts once this returns, and its copy, which may fail.

    Raises:
        StorageFull: there is no room; the former state stays.
    """
    text = json.dumps(state.to_json())
    data = json.dumps({"sha256": hashlib.sha256(text.encode()).hexdigest(), "state": text}).encode()
    try:
        atomic_write(folder / _POINTER, data)
    except StorageFull:
        # The copy has the room that is needed, so that on a full disk versions can be removed.
        with contextlib.suppress(OSError):
            (folder / _COPY).unlink(missing_ok=True)
        atomic_write(folder / _POINTER, data)
    with contextlib.suppress(StorageFull):
        atomic_write(folder / _COPY, data)


def read(folder: Path, golden: Golden = lambda _: None) -> State | None:
    """Read the state; None if its file is missing or damaged. `State.from_json` describes `golden`."""
    for name in (_POINTER, _COPY):
        try:
            return _parse((folder / name).read_bytes(), golden)
        except FileNotFoundError:
            continue
        except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
            log.error("The store's file %s is damaged", name)
    return None


def pointer(folder: Path) -> Path:
    """The file that changes with each change of the state."""
    return folder / _POINTER


def _parse(data: bytes, golden: Golden) -> State:
    value = json.loads(data)
    text = value["state"]
    if hashlib.sha256(text.encode()).hexdigest() != value["sha256"]:
        raise ValueError("The checksum is wrong.")
    return State.from_json(json.loads(text), golden)
