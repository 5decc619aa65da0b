"""`python -m predictor.checking.check`: the disposable process that tries an uploaded model.

It reads one `Request` as JSON from standard input and writes one line of JSON to standard output: a `Report`
with `"ok": true`, or `"ok": false` with a sentence for the uploader as `reason` and a word of `REASONS` as
`code`. An answer counts only with exit code 0. Whatever else happens here - a crash in native code, no
memory, no end - is for `predictor.checking.runner` to see from outside. On a GPU, another line comes first,
once CUDA works, so that an end before it is known not to be the model's fault.
"""

import json
import os
import resource
import sys
import time
from pathlib import Path
from typing import Any

import numpy.typing as npt

from predictor.checking import onnx_rules
from predictor.checking.described import check_tensors, described
from predictor.checking.failures import explain_load, explain_run
from predictor.checking.imported import imported, size
from predictor.checking.report import BEGUN, Reason, Refused, Report, Request
from predictor.checking.sandbox import abandoned, enter_sandbox, write_no_more
from predictor.checking.smoke_test import SmokeTestResult, best, smoke_test
from predictor.config import BUNDLED_MODEL
from predictor.discovery.activation import settle
from predictor.discovery.signature import heads
from predictor.errors import Internal, InvalidModel, NotReady
from predictor.model import hardware
from predictor.model.device import Device, memory
from predictor.model.hardware import VISIBLE
from predictor.model.onnx_runtime import runtime
from predictor.model.session import Session, load
from predictor.model.spec import Graph, ModelSpec, Structure

_MAX_REASON = 500
_MEMORY: tuple[Reason, str] = ("memory", "The model needs more memory than a check may use.")
_NO_CUDA = (
    "The runtime could not load the model, although it loads on the CPU: CUDA could not be started for it. "
    "Upload it again; if that fails, the service's log says why."
)
# How the runtime and CUDA name a failed allocation; the third is one over the limit of the GPU's memory.
_OUT_OF_MEMORY = ("Failed to allocate memory", "bad_alloc", "Available memory of", "out of memory")


def main() -> None:
    """Answer the one request on standard input."""
    # A library that prints to standard output must not spoil the answer.
    with os.fdopen(os.dup(sys.stdout.fileno()), "w") as answer:
        os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
        request = Request.from_json(json.load(sys.stdin))
        # Later the sandbox hides what these read.
        hardware.this_machine()
        runtime()
        enter_sandbox(request.limits, size(request), request.provider, writes=request.served is not None)
        if abandoned(answer.fileno()):
            return
        if request.provider == "cuda":
            _start_cuda(request)
            print(BEGUN, file=answer, flush=True)
        answer.write(json.dumps(reply(request), allow_nan=False) + "\n")


def reply(request: Request) -> dict[str, Any]:
    """Check a model; refusals, want of memory and names that are no text become an answer too."""
    try:
        return {"ok": True, **check(request).to_json()}
    except Refused as refused:
        return _failed(refused.reason, refused.detail)
    except MemoryError:
        return _failed(*_MEMORY)
    except UnicodeDecodeError:
        return _failed("not_onnx", "A name or a string in the model is not UTF-8.")


def check(request: Request) -> Report:
    """Read a model, load it and run it on images that are made up.

    Raises:
        Refused: it cannot be served; the sentence says why.
    """
    model = imported(request)
    if request.provider == "cpu":
        write_no_more()
    structure = model.structure
    used = _gpu_memory(request)
    started = time.perf_counter()
    session = _load(model.path, request)
    load_seconds = time.perf_counter() - started
    check_tensors(session.graph)
    found = described(session.graph, structure, request)
    result = _smoke_test(session, found.spec, model.path, request)
    ends = model.final_layers.get(found.spec.scores.name)
    return Report(
        spec=_settled(found.spec, result, structure).to_json(),
        nodes=model.nodes,
        load_seconds=_rounded(load_seconds),
        run_seconds=_rounded(result.single.seconds),
        batch=result.batched.batch,
        batch_seconds=_rounded(result.batched.seconds),
        memory_bytes=_peak_memory(),
        warnings=(*structure.warnings, *result.warnings, *hardware.said_in(session.graph.metadata)),
        adapted=model.adapted,
        weights=model.weights.used,
        heads=_heads(session.graph, structure),
        beside=model.weights.beside,
        unused=found.unused,
        best=best(result.scores),
        gpu_bytes=_rise(used, _gpu_memory(request)),
        final_layers=None if ends is None else ends.to_json(),
    )


def _start_cuda(request: Request) -> None:
    """Load the model that ships with the service, which is known to load, on the GPU."""
    try:
        load(BUNDLED_MODEL, _device(request))
    except (InvalidModel, NotReady) as error:
        sys.exit(error.detail)


def _device(request: Request) -> Device:
    if request.provider == "cpu":
        return Device("cpu")
    return Device("cuda", os.environ.get(VISIBLE), "The GPU")


def _gpu_memory(request: Request) -> int | None:
    """Bytes of the GPU's memory that are in use, by whomever."""
    report = memory(_device(request))
    return None if report is None else report[0]


def _rise(before: int | None, after: int | None) -> int | None:
    return None if before is None or after is None else max(0, after - before)


def _load(path: Path, request: Request) -> Session:
    gpu_bytes = request.limits.memory_for(size(request))
    try:
        return load(path, _device(request), gpu_bytes=gpu_bytes)
    except NotReady as error:
        raise Refused("load_failed", _NO_CUDA) from error
    except InvalidModel as error:
        _refuse_for_memory(error)
        model = onnx_rules.read(path, request.limits)
        raise Refused("load_failed", explain_load(model, str(error.__cause__))) from error


def _smoke_test(session: Session, spec: ModelSpec, path: Path, request: Request) -> SmokeTestResult:
    batches = list[int]()

    def run(batch: npt.NDArray[Any]) -> npt.NDArray[Any]:
        batches.append(len(batch))
        return session.run(batch, spec.names)

    try:
        return smoke_test(run, spec)
    except Internal as error:
        _refuse_for_memory(error)
        model = onnx_rules.read(path, request.limits)
        why = spec.reasons.get("size", "")
        assumed = why if why in spec.warnings else ""
        sentence = explain_run(model, str(error.__cause__), *reversed(batches[-2:]), assumed=assumed)
        raise Refused("run_failed", sentence) from error


def _settled(spec: ModelSpec, result: SmokeTestResult, structure: Structure) -> ModelSpec:
    try:
        return settle(spec, [result.scores], structure.last.get(spec.scores.name))
    except InvalidModel as error:
        raise Refused("class_scores", error.detail) from error


def _refuse_for_memory(error: Exception) -> None:
    if any(word in str(error.__cause__) for word in _OUT_OF_MEMORY):
        raise Refused(*_MEMORY) from error


def _heads(graph: Graph, structure: Structure) -> tuple[str, ...]:
    names = tuple(tensor.name for tensor in heads(graph, structure))
    return names if len(names) > 1 else ()


def _peak_memory() -> int:
    """The peak of this program's resident memory, in bytes."""
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
    except OSError:  # no /proc: this counts the memory of the parent before the program began, too
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def _rounded(seconds: float) -> float:
    """At least a microsecond, so that a rate can be had from it."""
    return max(round(seconds, 6), 1e-6)


def _failed(reason: Reason, sentence: str) -> dict[str, Any]:
    return {"ok": False, "code": reason, "reason": sentence[:_MAX_REASON]}


if __name__ == "__main__":
    main()
    # The answer is written: to take the libraries down in order would only take time.
    os._exit(0)
