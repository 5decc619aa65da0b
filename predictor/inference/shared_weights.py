"""Models as the runtime has optimised them, written once beside each version and mapped by all workers.

A session made from a model's own file has its weights for itself, converted and laid out as the processor
wants them. Written to a file in that form they are mapped into the memory of every worker, all from the one
copy that the system has of the file, and a load takes a part of its time. They are written when a version
is published, or at the start of a worker after a change of the runtime or the processor, which the folder's
name tells apart. The folder may be removed at any time.
"""

import hashlib
import json
import logging
import os
import platform
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from predictor.errors import InvalidModel, PredictorError
from predictor.inference.job import Array
from predictor.model.device import Device
from predictor.model.session import RUNTIME, WEIGHTS, Session, load, load_optimised
from predictor.store.files import remove, sync
from predictor.store.manifest import digest
from predictor.store.registry import ModelVersion

MIN_BYTES = 4_000_000
"""Smaller files are not worth two more."""
# Half precision doubles; the rest is for whoever else writes to the disk.
_ROOM = 8
_MODEL, _DIGESTS = "model.onnx", "digests.json"
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
            if _is_intact(folder := self._folder(version) / self._name):
                return load_optimised(folder / _MODEL)
        except PredictorError as error:
            log.warning("The optimised graph of %s cannot be used: %s", version.key, error.detail)
        return load(version.path, _CPU)

    def write(self, version: ModelVersion) -> None:
        """Write the optimised graph of a version, unless it is there; where that fails there is none.

        Only one process at a time may write that of a version.
        """
        try:
            if version.bytes >= self._min_bytes:
                target = self._folder(version) / self._name
                if not _is_intact(target):
                    self._write(version, target)
        except Exception as error:  # noqa: BLE001 (whatever it is, the version's own file can be loaded)
            log.warning("The workers do not share the weights of %s: %s", version.key, type(error).__name__)

    def _write(self, version: ModelVersion, target: Path) -> None:
        fresh = target.with_name(f"{target.name}.{os.getpid()}")
        fresh.mkdir(parents=version.manifest is None)
        try:
            self._fill(version, fresh)
            for other in target.parent.glob("optimised-*"):
                if other != fresh:
                    remove(other)
            fresh.rename(target)
        finally:
            remove(fresh)

    def _fill(self, version: ModelVersion, folder: Path) -> None:
        """Write the files into a new folder.

        Raises:
            InvalidModel: what would be written cannot be used.
            OSError: there is no room.
        """
        room, model = _ROOM * version.bytes, folder / _MODEL
        if shutil.disk_usage(folder).free < room:
            raise OSError("no room")
        own = load(version.path, _CPU, write=model)
        files = [path for path in (model, model.with_suffix(WEIGHTS)) if path.exists()]
        # Constants that are small as the operators that make them may be large as weights.
        if sum(path.stat().st_size for path in files) > room:
            raise InvalidModel("The optimised graph is too large.")
        expected, found = (self._answer(session, version) for session in (own, load_optimised(model)))
        if not np.array_equal(expected, found, equal_nan=True):
            raise InvalidModel("The optimised graph gives different scores.")
        (folder / _DIGESTS).write_text(json.dumps({path.name: digest(path) for path in files}))
        for path in (*folder.iterdir(), folder):
            sync(path)


def _is_intact(folder: Path) -> bool:
    """Whether all files are there as they were written."""
    try:
        known = json.loads((folder / _DIGESTS).read_bytes())
        return bool(known) and all(digest(folder / name) == known[name] for name in known)
    except (OSError, ValueError, TypeError, PredictorError):
        return False


def _kind() -> str:
    """The runtime and the processor, as a short name."""
    try:
        first = Path("/proc/cpuinfo").read_text().split("\n\n")[0]
    except OSError:
        first = platform.machine()
    facts = [line for line in first.splitlines() if line.partition(":")[0].strip() in _CPU_FACTS]
    return hashlib.sha256("\n".join([RUNTIME, *facts]).encode()).hexdigest()[:16]
