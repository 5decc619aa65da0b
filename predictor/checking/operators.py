"""Which operators a model may use, by their names and domains.

ONNX's own, those of `ai.onnx.ml` and those of `com.microsoft` are part of the runtime that runs anyway: what
tools write who quantise or optimise a network. Refused are loops, unless they are allowed; operators that run
graphs of their own again and again, which no classifier of images needs; what is compiled for one processor
or device, some of which is read from other files; what calls Python or talks to other processes; and
operators of libraries that are not loaded.
"""

import re

from predictor.checking.report import Refused
from predictor.discovery.nodes import ONNX, RUNTIME

_LOOP = (
    "The model uses the operator {}. Loops are not allowed. Export the classifier without them, "
    "or ask who runs the service to set PREDICTOR_ALLOW_LOOPS."
)
LOOPS = frozenset({"Loop", "Scan", "SequenceMap"})
"""Operators of ONNX itself whose run time no trial can foretell."""

REPEATING = frozenset({"BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"})
"""Operators of `com.microsoft` that run graphs of their own again and again."""

_COMPILED = frozenset({"EPContext", "Snpe"})
# Builds of the runtime for training and for many machines have them; the usual ones do not.
_PYTHON = frozenset({"ATen", "ATenOp", "PyOp", "PythonOp", "PythonOpGrad", "TritonOp"})
_OTHER_PROCESSES = re.compile(
    r"(Adasum|Distributed|Horovod|Mpi|Nccl)\w*|All(Gather|Reduce|ToAll)\w*|Broadcast|Recv|ReduceScatter|Send"
    r"|ShardedMoE"
)
_TRAINING = re.compile(r"ai\.onnx(\.preview)?\.training")
_EXTENSIONS = ("ai.onnx.contrib", "com.microsoft.extensions")
# Of the runtime's layouts of tensors, which it writes into a file that it has optimised for its processor.
_ONE_PROCESSOR = re.compile(r"com\.(microsoft|ms)\..*")


def check(domain: str, name: str, *, loops: bool) -> None:
    """Make sure that a model may use an operator.

    Args:
        domain: of the operator; empty for ONNX itself.
        name: of the operator.
        loops: whether loops are allowed.

    Raises:
        Refused: it may not; the sentence says why, and what to upload instead.
    """
    if domain in ONNX:
        if name in LOOPS and not loops:
            raise Refused("control_flow", _LOOP.format(name))
    elif (why := _why_not(domain, name)) is not None:
        raise Refused(
            "operator", f"The model uses the operator {shown(name)} of the domain {shown(domain)}, {why}"
        )


def shown(name: str) -> str:
    """The name of an operator, domain or function, if it is fit to stand in a sentence."""
    return name if re.fullmatch(r"[A-Za-z0-9_.]{1,64}", name) else "of another name"


def _why_not(domain: str, name: str) -> str | None:
    if domain == RUNTIME:
        return _why_not_of_the_runtime(name)
    if domain == "ai.onnx.ml":
        return None
    if domain in _EXTENSIONS:
        return "which needs a library that is not loaded here. Export the network without it."
    if _ONE_PROCESSOR.fullmatch(domain):
        return "which is bound to one kind of processor: saved by offline optimisation; upload the original."
    if _TRAINING.fullmatch(domain):
        return "which is for training only: the runtime does not have it. Export the model for inference."
    return "which the runtime does not have. Export the model with the operators of ONNX itself only."


def _why_not_of_the_runtime(name: str) -> str | None:
    if name in REPEATING:
        return "which writes text by running a network again and again. Export the classifier alone."
    if name in _COMPILED:
        return "which is compiled for one kind of device. Upload the original."
    if name in _PYTHON:
        return "which calls Python. Export the model with the operators of ONNX itself only."
    if _OTHER_PROCESSES.fullmatch(name):
        return "which talks to other processes. Export the model for one process."
    return None
