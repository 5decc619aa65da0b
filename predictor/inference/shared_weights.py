"""Models as the runtime has optimised them, written once beside each version and mapped by all workers.

A session made from a model's own file has its weights for itself, converted and laid out as the processor
wants them. Written to a file in that form they are mapped into the memory of every worker, all from the one
copy that the system has of the file, and a load takes a part of its time. They are written when a version
is published, or at the start of a worker after a change of the runtime or the processor, which the folder's
name tells apart, or of the model that ships with the service. The folder may be removed at any time.
"""

import hashlib
import json
import logging
import math
import os
import platform
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from predictor import background
from predictor.discovery.discover import discover
from predictor.errors import InvalidModel, PredictorError
from predictor.image.preprocess import Preprocessing
from predictor.inference.job import Array
from predictor.model.device import Device
from predictor.model.onnx_runtime import release
from predictor.model.session import WEIGHTS, Session, load, load_optimised
from predictor.model.spec import Tensor
from predictor.store.files import remove, sync
from predictor.store.manifest import digest
from predictor.store.registry import ModelVersion

MIN_BYTES = 4_000_000
"""Smaller files are not worth two more."""
COMMAND = (sys.executable, "-P", "-s", "-m", "predictor.inference.shared_weights")
"""Starts the process that writes."""
MODEL = "model.onnx"
"""The optimised graph, beside which its weights lie."""
_DIGESTS = "digests.json"
# The key of the digest of the version that the files were made from: a release may bundle another model.
_VERSION = "version"
# Through it the runtime makes sure which file of weights it has opened.
_OPEN_FILES = Path("/proc/self/fd")
# Half precision doubles; the rest is for whoever else writes to the disk.
_ROOM = 8
_SECONDS, _BYTES_A_SECOND = 60.0, 20_000_000
_CPU_FACTS = ("vendor_id", "cpu family", "model", "model name", "flags", "Features")

log = logging.getLogger(__name__)


class SharedWeights:
    """Sessions on the CPU that share the memory of their weights with those of other workers.

    Args:
        folder: where a version's files lie.
        min_bytes: size of the smallest file for which it is done.
        command: starts the process that writes.
    """

    def __init__(
        self,
        folder: Callable[[ModelVersion], Path],
        *,
        min_bytes: int = MIN_BYTES,
        command: Sequence[str] = COMMAND,
    ) -> None:
        self._folder = folder
        self._min_bytes = min_bytes
        self._command = command
        self._name = f"optimised-{_kind()}"

    def session(self, version: ModelVersion) -> Session:
        """Load a version; where its weights cannot be shared, as its file is.

        Raises:
            InvalidModel: the runtime cannot load it.
        """
        try:
            if _is_intact(folder := self._folder(version) / self._name, version.digest):
                return load_optimised(folder / MODEL)
        except PredictorError as error:
            log.warning("The optimised graph of %s cannot be used: %s", version.key, error.detail)
        return load(version.path, Device("cpu"))

    def write(self, version: ModelVersion) -> None:
        """Write the optimised graph of a version, unless it is there; where that fails there is none.

        Only one process at a time may write that of a version.
        """
        if not _OPEN_FILES.exists():
            log.info("No /proc: each worker has its own copy of the weights of %s", version.key)
            return
        try:
            if version.bytes >= self._min_bytes:
                target = self._folder(version) / self._name
                if not _is_intact(target, version.digest):
                    self._write(version, target)
        except (OSError, PredictorError, subprocess.SubprocessError) as error:
            log.warning("The workers do not share the weights of %s: %s", version.key, type(error).__name__)

    def _write(self, version: ModelVersion, target: Path) -> None:
        fresh = target.with_name(f"{target.name}.{os.getpid()}")
        fresh.mkdir(parents=version.manifest is None)
        try:
            if not self._filled(version, fresh):
                log.warning("The workers do not share the weights of %s", version.key)
                return
            for other in target.parent.glob("optimised-*"):
                if other != fresh:
                    remove(other)
            fresh.rename(target)
        finally:
            remove(fresh)

    def _filled(self, version: ModelVersion, folder: Path) -> bool:
        """Have another process write, since the runtime may crash on the graph that it has optimised."""
        room = _ROOM * version.bytes
        if shutil.disk_usage(folder).free < room:
            return False
        seconds = _SECONDS + version.bytes / _BYTES_A_SECOND
        asked = {
            "model": str(version.path.resolve()),
            "folder": str(folder.resolve()),
            "version": version.digest,
            "report": None if version.manifest is None else dict(version.manifest.report),
            "room": room,
            "seconds": math.ceil(seconds),
        }
        ended = background.run(self._command, background.ENVIRONMENT, seconds, json.dumps(asked).encode())
        return ended.returncode == 0 and _is_intact(folder, version.digest)


def fill(model: Path, version: str, folder: Path, report: Mapping[str, Any] | None, room: int) -> None:
    """Write the optimised graph of a model, and its weights, into a folder; for the process that writes.

    Args:
        model: the ONNX file.
        version: the digest of the version.
        folder: an empty folder.
        report: what the check of the model found; None for the model that ships with the service.
        room: the most bytes.

    Raises:
        InvalidModel: what was written cannot be used.
    """
    written = folder / MODEL
    own = load(model, Device("cpu"), write=written)
    files = [path for path in (written, written.with_suffix(WEIGHTS)) if path.exists()]
    # Constants that are small as the operators that make them may be large as weights.
    if sum(path.stat().st_size for path in files) > room:
        raise InvalidModel("The optimised graph is too large.")
    expected, found = (_answer(session, report) for session in (own, load_optimised(written)))
    if not np.array_equal(expected, found, equal_nan=True):
        raise InvalidModel("The optimised graph gives different scores.")
    digests = {path.name: digest(path) for path in files}
    (folder / _DIGESTS).write_text(json.dumps({_VERSION: version, **digests}))
    for path in (*folder.iterdir(), folder):
        sync(path)


def _answer(session: Session, report: Mapping[str, Any] | None) -> Array:
    """What a session makes of noise that is always the same."""
    found = discover(session.graph).to_json() if report is None else report
    image, scores = (Tensor.from_json(found[name][0]) for name in ("inputs", "outputs"))
    form = Preprocessing.from_json(found["preprocessing"])
    shape = (image.shape[0] or 1, *form.shape)
    noise = np.random.default_rng(0).integers(0, 256, shape).astype(form.dtype)
    return session.run(noise, (image.name, scores.name))


def _is_intact(folder: Path, version: str) -> bool:
    """Whether all files are there as they were written for a version."""
    try:
        known = dict(json.loads((folder / _DIGESTS).read_bytes()))
        if known.pop(_VERSION, None) != version:
            return False
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
    return hashlib.sha256("\n".join([release(), *facts]).encode()).hexdigest()[:16]


def main() -> None:
    """Do what is asked on standard input."""
    asked = json.load(sys.stdin)
    # The process ends itself even if its parent's end passed unseen.
    signal.setitimer(signal.ITIMER_REAL, asked["seconds"])
    fill(Path(asked["model"]), asked["version"], Path(asked["folder"]), asked["report"], asked["room"])


if __name__ == "__main__":
    main()
    # To take the libraries down in order would only take time.
    os._exit(0)
