"""The log of changes in the bucket: numbered objects that are written once and never changed.

    pending/<N>                     announced: what the models would be after change N
    acks/<N>/<machine>.ready        a machine could serve it at once; `.refused` with the reason; `.serving`
    changes/<N>                     decided: the same record, or one that says that it is aborted

The first to write `changes/<N>` decides, so that a commit and an abort exclude each other. Each record holds
the whole state after it: the last one is all that a machine needs to know.
"""

import dataclasses
import json
import logging
import re
import secrets
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from predictor.cluster.bucket import Bucket, Unavailable
from predictor.errors import InvalidModel, NotReady, PredictorError
from predictor.store.golden import DIGEST
from predictor.store.publish import now
from predictor.store.state import Name, State

KEPT = 100
"""Changes that the log keeps."""
READY, REFUSED, SERVING = "ready", "refused", "serving"
_PENDING, _CHANGES, _ACKS, _PROOF = "pending/", "changes/", "acks/", "proof/"
_PROOF_SECONDS = 86_400.0
_DIGITS = 12
# Names, and digests of golden images, become paths on each machine.
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Change:
    """A change of the models, with the state after it.

    Attributes:
        serial: its number; 0 for the state before any change.
        names: the models after it; no deaths of workers, which each machine counts for itself.
        manifests: the digest of the manifest of each version, by `name/version`.
        author: the machine that announced it.
        name: the model that it is about.
        token: tells this attempt from any other.
        time: when it was announced, by RFC 3339.
        aborted: the machine that aborted it; then the state is that of the change before.
        read: the record that it was read from, for what another release wrote into it.
    """

    serial: int
    names: Mapping[str, Name]
    manifests: Mapping[str, str]
    author: str = ""
    name: str = ""
    token: str = field(default_factory=lambda: secrets.token_hex(16))
    time: str = field(default_factory=now)
    aborted: str | None = None
    read: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)

    def abort(self, machine: str, before: "Change") -> "Change":
        """This change, aborted by a machine: the state is the one before."""
        return dataclasses.replace(
            self,
            names=before.names,
            manifests=before.manifests,
            aborted=machine,
            token=secrets.token_hex(16),
            read=before.read,
        )

    def followed(
        self, names: Mapping[str, Name], manifests: Mapping[str, str], author: str, name: str
    ) -> "Change":
        """The change after this one; what another release wrote of the models stays."""
        return Change(self.serial + 1, names, manifests, author, name, read=self.read)

    def to_bytes(self) -> bytes:
        """The form that `from_bytes` reads back, with what this release does not know of its models."""
        value = {one.name: getattr(self, one.name) for one in dataclasses.fields(self) if one.name != "read"}
        former = self.read.get("names", {})
        names = {name: former.get(name, {}) | dataclasses.asdict(one) for name, one in self.names.items()}
        return json.dumps({**self.read, **value, "names": names}).encode()

    @classmethod
    def from_bytes(cls, data: bytes) -> "Change":
        """Read the form that `to_bytes` writes.

        Raises:
            NotReady: it is of another form.
        """
        try:
            value: dict[str, Any] = json.loads(data)
            known = {one.name: value[one.name] for one in dataclasses.fields(cls) if one.name in value}
            return cls(**{**known, "names": _names(value["names"]), "read": value})
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise NotReady("A change in the store cannot be read: another release wrote it.") from error


class ChangeLog:
    """The log; its methods raise `Unavailable` where the store does not answer."""

    def __init__(self, bucket: Bucket) -> None:
        self._bucket = bucket

    def fault(self) -> str | None:
        """A sentence if the store of the log does not keep its word."""
        return self._bucket.fault()

    def pending(self, serial: int) -> Change | None:
        """The change that was announced under a number."""
        return self._read(_key(_PENDING, serial))

    def announce(self, change: Change) -> bool:
        """Announce a change; whether its number was free."""
        if self._bucket.create(_key(_PENDING, change.serial), change.to_bytes()):
            return True
        found = self.pending(change.serial)
        return found is not None and found.token == change.token

    def outcome(self, serial: int) -> Change | None:
        """What was decided under a number."""
        return self._read(_key(_CHANGES, serial))

    def decide(self, change: Change) -> Change:
        """Decide a change, unless that was done; what was decided."""
        if not self._bucket.create(_key(_CHANGES, change.serial), change.to_bytes()):
            if (outcome := self.outcome(change.serial)) is None:
                raise Unavailable("The store says that a decision is there, and has none.")
            return outcome
        return change

    def latest(self, after: int = 0) -> int:
        """The number of the last decision, looked for after a number; 0 if there is none."""
        found = self._bucket.entries(_CHANGES, after=_key(_CHANGES, after) if after else None)
        return max((_number(entry.key) for entry in found), default=0)

    def served(self, after: int) -> int:
        """The highest number after a number that a machine serves, also where the log has lost it; or 0."""
        found = self._bucket.entries(_ACKS, after=_key(_ACKS, after + 1))
        return max((_number(entry.key) for entry in found if entry.key.endswith(f".{SERVING}")), default=0)

    def highest(self) -> int:
        """The highest number of a change that the store has any trace of; 0 if it has no trace."""
        found = (self._bucket.entries(prefix) for prefix in (_PENDING, _CHANGES, _ACKS))
        return max((_number(entry.key) for entries in found for entry in entries), default=0)

    def present(self) -> float:
        """The time by the store's clock, in seconds since 1970."""
        key = f"{_PROOF}{secrets.token_hex(16)}"
        self._bucket.put(key, b"")
        found = self._bucket.find(key)
        self._bucket.remove([key])
        if found is None:
            raise Unavailable("The store has lost an object that was just written.")
        return found.time

    def decided(self, serial: int) -> bool:
        """Whether a decision is there."""
        return self._bucket.find(_key(_CHANGES, serial)) is not None

    def had(self, change: Change) -> bool:
        """Whether a change was decided in this log, and not in another; one too old to be kept counts."""
        if change.serial == 0:
            return False
        if (found := self.outcome(change.serial)) is not None:
            return found.token == change.token
        return self.latest(change.serial) > change.serial + KEPT

    def acknowledge(self, serial: int, machine: str, kind: str, error: PredictorError | None = None) -> None:
        """Say that a machine is ready for a change, refuses it, or serves it."""
        reason = {} if error is None else {"code": error.code, "detail": error.detail}
        self._bucket.put(f"{_key(_ACKS, serial)}/{machine}.{kind}", json.dumps(reason).encode())

    def withdraw(self, serial: int, machine: str) -> None:
        """Say that a machine is not ready for a change any more, or not yet again."""
        self._bucket.remove([f"{_key(_ACKS, serial)}/{machine}.{READY}"])

    def acknowledged(self, serial: int) -> Mapping[str, set[str]]:
        """The machines that are ready for a change, refuse it, or serve it."""
        found = defaultdict[str, set[str]](set)
        for entry in self._bucket.entries(f"{_key(_ACKS, serial)}/"):
            machine, _, kind = entry.key.rpartition("/")[2].rpartition(".")
            found[kind].add(machine)
        return found

    def refusal(self, serial: int, machine: str) -> PredictorError:
        """Why a machine refuses a change."""
        data = self._bucket.get(f"{_key(_ACKS, serial)}/{machine}.{REFUSED}") or b"{}"
        reason = json.loads(data)
        kind = InvalidModel if reason.get("code") == InvalidModel.code else NotReady
        return kind(f"The machine {machine} cannot serve it: {reason.get('detail', 'no reason is known')}")

    def trim(self, serial: int, present: float) -> None:
        """Remove what is older than the last changes, and acknowledgements of all but the last ones.

        Args:
            serial: of the last change.
            present: the time by the store's clock.
        """
        # What a process left that was killed while it wrote and read.
        proofs = self._bucket.entries(_PROOF)
        self._bucket.remove(entry.key for entry in proofs if entry.time < present - _PROOF_SECONDS)
        for prefix, oldest in ((_PENDING, serial - KEPT), (_CHANGES, serial - KEPT), (_ACKS, serial - 1)):
            found = self._bucket.entries(prefix)
            self._bucket.remove(entry.key for entry in found if _number(entry.key) < oldest)

    def _read(self, key: str) -> Change | None:
        data = self._bucket.get(key)
        return None if data is None else Change.from_bytes(data)


def _names(value: dict[str, Any]) -> Mapping[str, Name]:
    found = State.from_json({"serial": 1, "issued": 1, "pending": None, "names": value}).names
    golden = [one.golden for one in found.values() if one.golden is not None]
    if not (all(map(_NAME.fullmatch, found)) and all(map(DIGEST.fullmatch, golden))):
        raise ValueError("A name of a model, or a digest, would lead elsewhere.")
    return found


def _key(prefix: str, serial: int) -> str:
    return f"{prefix}{serial:0{_DIGITS}d}"


def _number(key: str) -> int:
    digits = key.split("/")[1]
    return int(digits) if digits.isdecimal() else 0
