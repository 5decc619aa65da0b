"""Have a model that passed its check on the CPU tried on the GPU as well, in another process.

Such a process can fail because CUDA does not work in it: that is no fault of the model, and every worker
still loads it before it serves. Whatever fails once CUDA works there is a refusal.
"""

import dataclasses
import logging
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from predictor.checking.parity import differences
from predictor.checking.process import ProcessResult, run
from predictor.checking.report import BEGUN, OnGpu, Refused, Report, Request
from predictor.checking.result import parse_result
from predictor.checking.runner import COMMAND, ENVIRONMENT, try_model
from predictor.model.device import Device, visible_environment

# Where the libraries of CUDA are, and kernels that the driver has compiled for a GPU newer than they.
_PASSED_ON = ("LD_LIBRARY_PATH", "CUDA_CACHE_PATH")
_HEADING = f"{BEGUN}\n".encode()

log = logging.getLogger(__name__)


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
    result = run(folder, dataclasses.replace(request, provider="cuda"), command, environment(device))
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
