"""Have the jobs of an optimisation done in processes that may crash, hang or grow without harm."""

import json
import logging
import os
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

import numpy as np
import numpy.typing as npt
import pydantic

from predictor.background import ENVIRONMENT
from predictor.checking.process import ProcessResult, Starved, run
from predictor.checking.runner import environment
from predictor.errors import InvalidModel, NotReady, StorageFull
from predictor.model.device import Device
from predictor.optimising.job import SCORES, Failed, Job

COMMAND = (sys.executable, "-P", "-s", "-m", "predictor.optimising.child")
"""Starts the process; without the working folder among the places of modules."""

_Answer = TypeVar("_Answer", bound=pydantic.BaseModel)
_NO_ANSWER = "The process that optimises the model ended without a result. The model stays as it is."
_TOO_LONG = "The optimisation did not end in time. Use fewer images, or a smaller model."
_FULL = "The disk is full; nothing was changed. Free space and try again."

log = logging.getLogger(__name__)


class Processes:
    """Does jobs in a folder, with what others leave of the processors as long as that is enough.

    Args:
        folder: where the files of the jobs lie; theirs alone.
        device: what models run on.
        command: starts a process.
    """

    def __init__(self, folder: Path, device: Device, command: Sequence[str] = COMMAND) -> None:
        self._folder = folder
        self._device = device
        self._command = command
        self._stopped = threading.Event()
        self._starved = False

    def stop(self) -> None:
        """End the jobs that are under way, and begin no other; from any thread."""
        self._stopped.set()

    def do(self, job: Job, answer: type[_Answer]) -> _Answer:
        """Do a job.

        Raises:
            InvalidModel: it could not be done; the sentence says why.
            NotReady: the machine is too busy.
            StorageFull: the disk is.
        """
        variables = ENVIRONMENT if job.provider == "cpu" else environment(self._device)
        # The pace on a GPU is measured by the clock, for which a processor has to be there at once.
        self._starved = self._starved or job.provider != "cpu"
        if self._starved:
            job = replace(job, limits=replace(job.limits, idle=False))
        try:
            result = run(self._folder, job, self._command, variables, still_wanted=self._still_wanted)
        except Starved:
            self._starved = True
            return self.do(job, answer)
        return _read(result, answer)

    def scores(self, images: int) -> npt.NDArray[np.float64]:
        """What the last job that judged wrote: the scores of each image, shape [images, classes].

        Raises:
            InvalidModel: there is no such file.
        """
        path = self._folder / SCORES
        try:
            # A link would lead out of the folder.
            with open(path, "rb", opener=_no_link) as file:
                found = np.load(file, allow_pickle=False).astype(np.float64).reshape(images, -1)
            path.unlink()
        except (OSError, ValueError) as error:
            raise InvalidModel(
                "The scores of a candidate could not be read. Optimise the model again."
            ) from error
        return np.asarray(found)

    def do_together(self, job: Job, answer: type[_Answer], count: int) -> list[_Answer]:
        """Do the same job in several processes at once; errors are those of `do`."""
        with ThreadPoolExecutor(count, thread_name_prefix="optimisation") as pool:
            return list(pool.map(lambda _: self.do(job, answer), range(count)))

    def _still_wanted(self) -> None:
        if self._stopped.is_set():
            raise NotReady("The optimisation was stopped.")


def _no_link(path: str, flags: int) -> int:
    return os.open(path, flags | os.O_NOFOLLOW)


def _read(result: ProcessResult, answer: type[_Answer]) -> _Answer:
    if result.code is None:
        raise InvalidModel(_TOO_LONG)
    try:
        found = json.loads(result.stdout if result.code == 0 else b"")
        read = Failed.model_validate(found) if found.get("ok") is False else answer.model_validate(found)
    except (ValueError, AttributeError, RecursionError) as error:
        log.warning("An optimisation failed (%s); output of its process: %r", result.code, result.stderr)
        raise InvalidModel(_NO_ANSWER) from error
    if isinstance(read, Failed):
        raise StorageFull(_FULL) if read.full else InvalidModel(read.reason)
    return read
