"""Models as the runtime has optimised them, written down once beside each version.

A session made from a model's own file has its weights for itself, converted and laid out as the processor
wants them. Written down in that form they are mapped into the memory of every worker, all from the one copy
that the system has of the file, and a load takes a part of its time. What is written down serves one release
of the runtime on one kind of processor, which its folder names, and may be removed at any time.
"""

import hashlib
import json
import logging
import platform
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from predictor.errors import PredictorError
from predictor.inference.job import Array
from predictor.model.device import Device
from predictor.model.session import RUNTIME, WEIGHTS, Session, load, load_optimised
from predictor.store.atomic import atomic_write, sync
from predictor.store.lock import locked
from predictor.store.manifest import digest
from predictor.store.registry import ModelVersion

MIN_BYTES = 4_000_000
"""Smaller files are not worth two more."""
RETRY_SECONDS = 600.0
"""Whoever writes may fail, or die of it; only after this time it is tried again."""
# Half precision doubles; the rest is for whoever else writes to the disk.
_ROOM = 8
_LOCK_SECONDS = 10.0
_CPU = Device("cpu")
_CPU_FACTS = ("vendor_id", "cpu family", "model", "model name", "flags", "Features")

log = logging.getLogger(__name__)


class SharedWeights:
    """Sessions on the CPU that share the memory of their weights with those of other workers.

    Args:
        folder: where a version's files lie.
        answer: a session's answer to a fixed input; both sessions of a version must give the same.
        min_bytes: size of the smallest file for which it is done.
    """

    def __init__(
        self,
        folder: Callable[[ModelVersion], Path],
        answer: Callable[[Session, ModelVersion], Array],
        *,
        min_bytes: int = MIN_BYTES,
    ) -> None:
        self._folder = folder
        self._answer = answer
        self._min_bytes = min_bytes
        self._name = f"optimised-{_kind()}"

    def session(self, version: ModelVersion) -> Session:
        """Load a version; where its weights cannot be shared, as its file is.

        Raises:
            InvalidModel: the runtime cannot load it.
        """
        try:
            if version.path.stat().st_size >= self._min_bytes:
                place = _Folder(self._folder(version) / self._name)
                if (shared := place.session() or self._written(version, place)) is not None:
                    return shared
                log.info("The workers do not share the weights of %s", version.key)
        except Exception as error:  # noqa: BLE001 (whatever it is, the version's own file can be loaded)
            log.warning("The workers do not share the weights of %s: %s", version.key, type(error).__name__)
        return load(version.path, _CPU)

    def _written(self, version: ModelVersion, place: "_Folder") -> Session | None:
        """Write a version down, unless another worker just did or that failed a short while ago."""
        # The folder of an uploaded version is there, or the version is being removed.
        place.folder.mkdir(parents=version.manifest is None, exist_ok=True)
        with locked(place.folder / "lock", _LOCK_SECONDS):
            if (shared := place.session()) is not None or place.attempted():
                return shared
            room = _ROOM * version.path.stat().st_size
            if shutil.disk_usage(place.folder).free < room:
                return None
            with place.attempt():
                own = load(version.path, _CPU, write=place.model)
                # Constants that are small as the operators that make them may be large as weights.
                if place.bytes() > room:
                    return None
                shared = load_optimised(place.model)
                if not np.array_equal(
                    self._answer(own, version), self._answer(shared, version), equal_nan=True
                ):
                    log.warning(
                        "The optimised graph of %s gives different scores and is not used", version.key
                    )
                    return None
                place.keep()
        return shared


class _Folder:
    """The folder of one optimised model. Its facts say whether it is whole, and they are written last."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.model = folder / "model.onnx"
        self._facts = folder / "facts.json"

    def session(self) -> Session | None:
        """A session of what is kept here; None if nothing is, or if it is damaged."""
        known = self._read("files")
        try:
            if (
                isinstance(known, dict)
                and known
                and all(digest(self.folder / name) == known[name] for name in known)
            ):
                return load_optimised(self.model)
        except PredictorError:
            log.warning("An optimised graph is damaged and is not used")
        return None

    def attempted(self) -> bool:
        """Whether somebody began a short while ago and did not come to an end."""
        begun = self._read("begun")
        return isinstance(begun, int | float) and 0 <= time.time() - begun < RETRY_SECONDS

    @contextmanager
    def attempt(self) -> Iterator[None]:
        """Write here. Who comes later knows of it, should this process end; what is not kept is removed.

        So is what was made for another runtime or processor.
        """
        for path in self.folder.parent.glob("optimised-*"):
            if path != self.folder:
                shutil.rmtree(path, ignore_errors=True)
        self._write("begun", time.time())
        # Other workers may have these mapped: written over in place, they would end with a bus error.
        self._remove()
        try:
            yield
        finally:
            if self._read("files") is None:
                self._remove()

    def keep(self) -> None:
        """Let others use what was written, now that it is on the disk."""
        for path in self._files():
            sync(path)
        self._write("files", {path.name: digest(path) for path in self._files()})

    def bytes(self) -> int:
        """The size of what was written."""
        return sum(path.stat().st_size for path in self._files())

    def _remove(self) -> None:
        for path in self._files():
            path.unlink(missing_ok=True)

    def _files(self) -> list[Path]:
        return [path for path in (self.model, self.model.with_suffix(WEIGHTS)) if path.exists()]

    def _write(self, fact: str, value: object) -> None:
        atomic_write(self._facts, json.dumps({fact: value}).encode())

    def _read(self, fact: str) -> Any:
        try:
            return json.loads(self._facts.read_bytes()).get(fact)
        except (OSError, ValueError, AttributeError):
            return None


def _kind() -> str:
    """The runtime and the processor, as a short name."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        first = platform.machine()
    facts = [line for line in first.splitlines() if line.partition(":")[0].strip() in _CPU_FACTS]
    return hashlib.sha256("\n".join([RUNTIME, *facts]).encode()).hexdigest()[:16]
