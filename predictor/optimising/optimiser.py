"""From a model and images to a report on its faster forms, whose files lie beside it."""

import shutil
import statistics
from collections.abc import Callable, Generator, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from predictor.cores import cores
from predictor.errors import InvalidModel
from predictor.evaluation.classes import Classes
from predictor.evaluation.evaluator import noticed
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.runner import Notice, Progress
from predictor.image.decode import Limits
from predictor.model.device import Device
from predictor.model.hardware import this_machine
from predictor.model.onnx_runtime import release
from predictor.model.scores import calibrated
from predictor.model.spec import ModelSpec
from predictor.optimising import answers, samples, verdict
from predictor.optimising.answers import Answers
from predictor.optimising.job import ORIGINAL, Job, Judging, Made, Making, Paced, Pacing, Task
from predictor.optimising.processes import Processes
from predictor.optimising.samples import Halves

PACE_SECONDS = 4.0
"""How long each measurement of the pace of two models takes."""
# Where the images are too few to recommend anything, a rough figure is enough.
_ROUGH_PACE_SECONDS = 0.5
_MAKING_STEPS = 20
_JUDGING_STEPS = 10

_TELLING_SECONDS = 0.5

Step = Notice | Progress | dict[str, Any]
"""What is noticed at the beginning, how far it is, or at last the report as JSON."""
_T = TypeVar("_T")


@dataclass(frozen=True)
class Source:
    """A model in single precision.

    Attributes:
        path: its file.
        spec: how to feed it and how to read its answer.
        device: what it runs on.
    """

    path: Path
    spec: ModelSpec
    device: Device


@dataclass(frozen=True)
class Optimiser:
    """Makes a model faster, and proves it.

    Attributes:
        source: the model.
        folder: an empty folder, in which all of it takes place; each candidate's file stays there.
        processes: does the work in this folder.
        max_loss: the accuracy that may be lost, as a share of all images.
        pace_seconds: how long each measurement of the pace of two models takes.
    """

    source: Source
    folder: Path
    processes: Processes
    max_loss: float = verdict.MAX_LOSS
    pace_seconds: float = PACE_SECONDS

    def steps(self, images: Sequence[LabelledImage], limits: Limits) -> Generator[Step, None, None]:
        """Prepare the images, make candidates, judge each and measure its pace.

        Yields:
            What is noticed of the labels, the progress, and at last the report as JSON.

        Raises:
            InvalidRequest: there are too few usable images.
            InvalidModel: the model cannot be made faster; the sentence says why.
            NotReady: the machine is too busy.
            StorageFull: the disk is.
            OSError: the folder cannot be written.
        """
        if notice := noticed(images, Classes(self.source.spec.labels), strict=False):
            yield Notice(notice)
        later = _MAKING_STEPS + 6 * _JUDGING_STEPS
        halves = yield from samples.prepared(images, self.source.spec, limits, self.folder, later)
        done, total = halves.tried, halves.tried + later
        yield Progress(done, total)
        shutil.copyfile(self.source.path, self.folder / ORIGINAL)
        job = self._job("make", ORIGINAL)
        making = yield from self._meanwhile(lambda: self.processes.do(job, Making), Progress(done, total))
        done += _MAKING_STEPS
        original, figures = yield from self._meanwhile(
            lambda: self._judged(ORIGINAL, halves), Progress(done, total)
        )
        done += _JUDGING_STEPS
        each = (total - done) // max(1, len(making.made))
        reports = list[dict[str, Any]]()
        for made in making.made:
            progress = Progress(done + each * len(reports), total)
            judged = partial(self._candidate, made, original, halves)
            reports.append((yield from self._meanwhile(judged, progress)))
        yield Progress(total, total)
        rests_on = verdict.basis(original, self.max_loss)
        said = halves.to_json() | ({"notice": notice} if notice else {})
        yield self._report(making, {**figures, **original.figures()}, reports, said, rests_on)

    def file(self, key: str) -> Path:
        """The file of a candidate.

        Raises:
            InvalidModel: it is missing, or no plain file.
        """
        path = self.folder / f"{key}.onnx"
        if path.is_symlink() or not path.is_file():
            raise InvalidModel("The file of the faster form is missing. Optimise the model again.")
        return path

    def _meanwhile(self, work: Callable[[], _T], progress: Progress) -> Generator[Step, None, _T]:
        """Do something that takes long, and tell meanwhile how far all is; if nobody reads on, stop it."""
        with ThreadPoolExecutor(1, thread_name_prefix="optimisation") as pool:
            future = pool.submit(work)
            try:
                while not future.done():
                    yield progress
                    wait([future], _TELLING_SECONDS)
            finally:
                if not future.done():
                    self.processes.stop()
            return future.result()

    def _job(self, task: Task, *models: str, seconds: float = 0.0) -> Job:
        spec, gpu = self.source.spec, self.source.device.kind == "cuda"
        return Job(
            task,
            models,
            spec.names,
            spec.batch,
            seconds,
            gpu,
            provider="cuda" if gpu and task != "make" else "cpu",
        )

    def _judged(self, file: str, halves: Halves) -> tuple[Answers, dict[str, Any]]:
        """What a model answers, and the size of its file and memory."""
        judging = self.processes.do(self._job("judge", file), Judging)
        found = _answers(self.processes.scores(len(halves.truths)), self.source.spec, halves.truths)
        figures = {
            "bytes": (self.folder / file).stat().st_size,
            "memory_bytes": judging.memory_bytes,
            "load_seconds": round(judging.load_seconds, 4),
        }
        return found, figures

    def _candidate(self, made: Made, original: Answers, halves: Halves) -> dict[str, Any]:
        file = f"{made.key}.onnx"
        judged, figures = self._judged(file, halves)
        found = {"key": made.key, "what": made.what, **figures, **answers.changes(original, judged)}
        least, doubt = verdict.needed(self.max_loss), verdict.doubt(original)
        found["speed"] = self._speed(file, proven=least is not None and len(halves.truths) >= least)
        found["objections"] = [*([doubt] if doubt else []), *verdict.objections(found, self.max_loss)]
        return found

    def _speed(self, file: str, *, proven: bool) -> dict[str, Any]:
        seconds = self.pace_seconds if proven else min(self.pace_seconds, _ROUGH_PACE_SECONDS)
        job = self._job("pace", ORIGINAL, file, seconds=seconds)
        alone = self.processes.do(job, Pacing)
        count = 1 if self.source.device.kind == "cuda" else cores()
        together = self.processes.do_together(job, Pacing, count) if count > 1 else [alone]
        return {"alone": _compared([alone]), "all_cores": _compared(together), "cores": count}

    def _report(
        self,
        making: Making,
        original: dict[str, Any],
        candidates: list[dict[str, Any]],
        said: dict[str, Any],
        basis: str,
    ) -> dict[str, Any]:
        recommended = verdict.chosen(candidates)
        for one in candidates:
            one["recommended"] = one["key"] == recommended
        return {
            **said,
            "max_loss": self.max_loss,
            "basis": basis,
            "processor": this_machine().to_json(),
            "runtime": release(),
            "device": self.source.device.name,
            "saturates": making.saturates,
            "original": original,
            "candidates": candidates,
            "skipped": making.skipped,
            "recommended": recommended,
        }


def _answers(scores: Iterable[Any], spec: ModelSpec, truths: Sequence[Sequence[int] | None]) -> Answers:
    """What a version with these scores answers."""
    confidences = np.stack([calibrated(one, spec) for one in scores])
    thresholds = () if spec.calibration is None else spec.calibration.thresholds
    return Answers(confidences, truths, spec.independent, thresholds)


def _compared(processes: Sequence[Pacing]) -> dict[str, Any]:
    """The rates of the original and of a candidate that took turns with it, and the ratio of both."""
    pairs = [pacing.models for pacing in processes]
    ratios = [
        one / other for first, second in pairs for one, other in zip(first.turns, second.turns, strict=False)
    ]
    originals, candidates = zip(*pairs, strict=True)
    return {
        "original_rate": _rate(originals),
        "rate": _rate(candidates),
        "ratio": statistics.median(ratios),
        "original_p50_ms": statistics.median(one.p50_ms for one in originals),
        "original_p99_ms": max(one.p99_ms for one in originals),
        "p50_ms": statistics.median(one.p50_ms for one in candidates),
        "p99_ms": max(one.p99_ms for one in candidates),
    }


def _rate(processes: Sequence[Paced]) -> float:
    """Images a second of all processes together, by the processor's time."""
    return sum(1 / statistics.median(one.turns) for one in processes)
