"""In the disposable process: the scores of a model for images, and the pace of two models side by side."""

import itertools
import os
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.model.device import Device
from predictor.model.hardware import VISIBLE
from predictor.model.scores import flat
from predictor.model.session import Session, load
from predictor.optimising.job import JUDGED, SCORES, Job

_Array = npt.NDArray[Any]
_Run = Callable[[_Array], _Array]
# Each turn has several runs, and is short enough for many of them.
_TURN_SECONDS = 0.1
_TURN_RUNS = 3
_WARM_RUNS = 2
_TICK_SECONDS = 1e-9


def judge(job: Job) -> dict[str, Any]:
    """Write the scores of the images that judge, and say what loading and running the model took.

    Raises:
        InvalidModel, Internal: the model cannot be loaded or run.
    """
    tensors, before = _tensors(), _memory("VmRSS")
    started = time.perf_counter()
    session = load(Path(job.models[0]), _device(job))
    load_seconds = time.perf_counter() - started
    found = [flat(session.run(batch, job.names)) for batch in batches(tensors, job.batch)]
    scores = np.concatenate(found)[: len(tensors)]
    np.save(SCORES, scores.astype(np.float64))
    risen = max(0, _memory("VmHWM") - before)
    return {"load_seconds": load_seconds, "memory_bytes": risen}


def batches(tensors: _Array, fixed: int | None) -> Iterator[_Array]:
    """Images as a model takes them: one at a time, or its fixed number, the last images repeated."""
    size = fixed or 1
    for start in range(0, len(tensors), size):
        part = tensors[start : start + size]
        yield np.concatenate([part, np.repeat(part[-1:], size - len(part), axis=0)])


def pace(job: Job) -> dict[str, Any]:
    """Run models in turns, and count the processor's time for an image in each turn.

    Turns change by the clock that all processes of a machine share, so that processes that do the same at
    the same time run the same model. The processor's own time counts for the rate, for it is the same
    whatever else the machine does; the clock for the time of a run.
    """
    waiting = itertools.cycle(batches(_tensors(), job.batch))
    sessions = [load(Path(name), _device(job)) for name in job.models]
    size, runs = job.batch or 1, [_runner(session, job) for session in sessions]
    for run in runs:
        for _ in range(_WARM_RUNS):
            run(next(waiting))
    longest = max(_seconds(run, next(waiting)) for run in runs)
    models = [_TimedModel(run, size) for run in runs]
    worked = time.process_time if job.provider == "cpu" else time.perf_counter
    _take_turns(models, waiting, max(_TURN_SECONDS, _TURN_RUNS * longest), job.seconds, worked)
    return {"models": [model.to_json() for model in models]}


@dataclass
class _TimedModel:
    """A model, and the times of its runs."""

    run: _Run
    size: int
    turns: list[list[float]] = field(default_factory=list)
    clock: list[float] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        times = 1000 * np.asarray(self.clock)
        p50, p99 = np.percentile(times, (50, 99))
        return {
            "turns": [statistics.fmean(turn) for turn in self.turns],
            "p50_ms": float(p50),
            "p99_ms": float(p99),
            "runs": len(self.clock),
        }


def _take_turns(
    models: Sequence[_TimedModel],
    waiting: Iterator[_Array],
    turn: float,
    seconds: float,
    worked: Callable[[], float],
) -> None:
    """Until the time is up and each has had its turn."""
    before, end = -1, time.monotonic() + seconds
    while time.monotonic() < end or not all(model.turns for model in models):
        number = int(time.monotonic() / turn)
        model = models[number % len(models)]
        if number != before:
            model.turns.append([])
            before = number
        batch, started, used = next(waiting), time.perf_counter(), worked()
        model.run(batch)
        # A clock that ticks slowly may show nothing for a short run.
        model.turns[-1].append(max(worked() - used, _TICK_SECONDS) / model.size)
        model.clock.append(time.perf_counter() - started)


def _runner(session: Session, job: Job) -> _Run:
    return lambda batch: session.run(batch, job.names)


def _seconds(run: _Run, batch: _Array) -> float:
    started = time.perf_counter()
    run(batch)
    return time.perf_counter() - started


def _tensors() -> _Array:
    found: _Array = np.load(JUDGED, mmap_mode="r")
    return found


def _device(job: Job) -> Device:
    return Device("cpu") if job.provider == "cpu" else Device("cuda", os.environ.get(VISIBLE), "The GPU")


def _memory(figure: str) -> int:
    """A figure of this process's memory in bytes, by proc(5); 0 where there is no /proc."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{figure}:")), 0)
