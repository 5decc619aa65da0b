"""Have a model tried in a process of its own, which may crash, hang or grow without harm to this one."""

import dataclasses
import json
import logging
import math
import os
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import pydantic

from predictor.background import ENVIRONMENT
from predictor.checking.process import MAX_STDOUT, ProcessResult, run
from predictor.checking.report import BEGUN, LISTS, SERVED, Best, OnGpu, Reason, Refused, Report, Request
from predictor.checking.smoke_test import differences
from predictor.model.device import Device, visible_environment

COMMAND = (sys.executable, "-P", "-s", "-m", "predictor.checking.check")
"""Starts the check; without the working folder, in which the upload lies, among the places of modules."""


def try_model(folder: Path, request: Request, *, command: Sequence[str] = COMMAND) -> Report:
    """Try a model in a process of its own.

    Args:
        folder: where the process runs; it holds the files that `request` names and nothing else.
        request: what to try; `request.limits` bounds the time that this takes.
        command: what to run.

    Returns:
        What was found out about the model. Where another graph is to be served in its place, that is in the
        file `SERVED` of the folder.

    Raises:
        Refused: the model cannot be served, or its check crashed, hung or grew; the sentence says why.
        Internal: the process could not be started.
        NotReady: the machine is too busy.
    """
    with _served(folder) as descriptor:
        asked = dataclasses.replace(request, served=descriptor)
        return parse_result(run(folder, asked, command, ENVIRONMENT, keep=(descriptor,)))


@contextmanager
def _served(folder: Path) -> Iterator[int]:
    """Open the file for the graph that is to be served, which stays only if there is one."""
    path = folder / SERVED
    try:
        with path.open("xb") as file:
            yield file.fileno()
    except BaseException:
        path.unlink(missing_ok=True)
        raise
    if not path.stat().st_size:
        path.unlink()


_Words = tuple[Reason, str]
_TOO_LONG: _Words = ("time", "The check of the model did not end in time; the model may be too slow.")
_TOO_MUCH_MEMORY: _Words = ("memory", "The model needs more memory than a check may use.")
_CRASHED: _Words = ("crashed", "The model crashed the runtime during its check.")
_NO_ANSWER: _Words = ("no_answer", "The check of the model ended without a result.")
_BY_SIGNAL: dict[int, _Words] = {
    signal.SIGXCPU: _TOO_LONG,
    signal.SIGALRM: _TOO_LONG,
    signal.SIGKILL: _TOO_MUCH_MEMORY,
}

log = logging.getLogger(__name__)


class CheckFailed(pydantic.BaseModel, extra="forbid", strict=True):
    """What a check answers of a model that it refuses."""

    ok: Literal[False]
    code: Reason
    reason: Annotated[str, pydantic.Field(min_length=1, max_length=500)]


_Some = pydantic.Field(min_length=1)


class _Best(pydantic.BaseModel, extra="forbid"):
    classes: Annotated[tuple[pydantic.NonNegativeInt, ...], _Some]
    scores: Annotated[tuple[float, ...], _Some]
    spread: pydantic.NonNegativeFloat


class _FinalLayers(pydantic.BaseModel, extra="forbid"):
    features: str
    last: bool
    logits: str
    weights: str | None
    by_channel: bool
    missing: list[str]


class CheckPassed(pydantic.BaseModel, extra="forbid"):
    """What a check answers of a model that passed: a `Report`."""

    ok: Literal[True]
    spec: dict[str, pydantic.JsonValue]
    nodes: pydantic.NonNegativeInt
    load_seconds: pydantic.PositiveFloat
    run_seconds: pydantic.PositiveFloat
    batch: pydantic.PositiveInt
    batch_seconds: pydantic.PositiveFloat
    memory_bytes: pydantic.NonNegativeInt
    warnings: list[str]
    adapted: list[str] = []
    weights: list[str] = []
    heads: list[str] = []
    beside: list[str] = []
    unused: list[Literal["labels", "preprocessing"]] = []
    best: list[_Best] = []
    gpu_bytes: pydantic.NonNegativeInt | None = None
    final_layers: _FinalLayers | None = None


_STDOUT: pydantic.TypeAdapter[CheckPassed | CheckFailed] = pydantic.TypeAdapter(
    Annotated[CheckPassed | CheckFailed, pydantic.Field(discriminator="ok")]
)


def parse_result(result: ProcessResult, heading: bytes = b"") -> Report:
    """The report of a process, which follows a heading in what it wrote.

    Raises:
        Refused: there is none, or it says so.
    """
    try:
        return _parse_result(result, heading)
    except Refused as refused:
        if result.stderr:
            log.warning("Output of the check of a refused model (%s): %r", refused.reason, result.stderr)
        raise


def _parse_result(result: ProcessResult, heading: bytes) -> Report:
    if result.code is None:
        raise Refused(*_TOO_LONG)
    if len(result.stdout) > MAX_STDOUT:
        raise Refused(*_NO_ANSWER)
    if result.code < 0:
        raise Refused(*_BY_SIGNAL.get(-result.code, _CRASHED))
    if result.code > 0:
        raise Refused(*_NO_ANSWER)
    return _parse_stdout(result.stdout.removeprefix(heading))


def _parse_stdout(stdout: bytes) -> Report:
    try:
        read = _STDOUT.validate_python(json.loads(stdout, parse_constant=_finite, parse_float=_finite))
    except (ValueError, RecursionError) as error:
        raise Refused(*_NO_ANSWER) from error
    if isinstance(read, CheckFailed):
        raise Refused(read.code, read.reason)
    fields: dict[str, Any] = read.model_dump(exclude={"ok"})
    best = tuple(Best(**one) for one in fields["best"])
    lists = {name: tuple(fields[name]) for name in LISTS}
    return Report(**{**fields, **lists, "best": best})


def _finite(text: str) -> float:
    if not math.isfinite(value := float(text)):
        raise ValueError(f"{text} is not a finite number")
    return value


# Where the libraries of CUDA are, and kernels that the driver has compiled for a GPU newer than they.
_PASSED_ON = ("LD_LIBRARY_PATH", "CUDA_CACHE_PATH")
_HEADING = f"{BEGUN}\n".encode()


def try_on(
    folder: Path, request: Request, device: Device | None, *, command: Sequence[str] = COMMAND
) -> Report:
    """Try a model on the CPU and, where workers use a GPU, on that one too.

    Args:
        folder: where the processes run; it holds the files that `request` names and nothing else.
        request: what to try; `request.limits` bounds the time of each of the two.
        device: what the workers use; None if that is unknown.
        command: what to run.

    Raises:
        Refused: the model cannot be served; the sentence says why.
        Internal: a process could not be started.
        NotReady: the machine is too busy.
    """
    report = try_model(folder, request, command=command)
    if device is None or device.kind == "cpu":
        return report
    served = SERVED if (folder / SERVED).exists() else request.model
    on_gpu = dataclasses.replace(request, model=served, data={}, provider="cuda")
    result = run(folder, on_gpu, command, environment(device))
    if not result.stdout.startswith(_HEADING):
        return _warned(report, [_cuda_failed(result)])
    return _with_gpu(report, _gpu_report(result), device)


def environment(device: Device, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """What a process needs to find CUDA and the one GPU that it may use."""
    passed_on = {name: inherited[name] for name in _PASSED_ON if name in inherited}
    return {**ENVIRONMENT, **passed_on, **visible_environment(device)}


def _cuda_failed(result: ProcessResult) -> str:
    log.warning("A model could not be checked on the GPU; output of the check: %r", result.stderr)
    why = "CUDA did not start in time" if result.code is None else "CUDA could not be started"
    return f"The model could not be checked on the GPU: {why}."


def _gpu_report(result: ProcessResult) -> Report:
    try:
        return parse_result(result, _HEADING)
    except Refused as refused:
        raise Refused(refused.reason, f"On the GPU: {refused.detail}") from refused


def _with_gpu(report: Report, gpu: Report, device: Device) -> Report:
    figures = OnGpu(
        device=device.name,
        load_seconds=gpu.load_seconds,
        run_seconds=gpu.run_seconds,
        batch=gpu.batch,
        batch_seconds=gpu.batch_seconds,
        memory_bytes=gpu.gpu_bytes,
    )
    new = [f"On the GPU: {sentence}" for sentence in gpu.warnings if sentence not in report.warnings]
    return dataclasses.replace(_warned(report, new + differences(report.best, gpu.best)), cuda=figures)


def _warned(report: Report, sentences: Sequence[str]) -> Report:
    return dataclasses.replace(report, warnings=(*report.warnings, *sentences))
