"""Which operators a model may use, by their names and domains.

ONNX's own, those of `ai.onnx.ml` and those of `com.microsoft` are part of the runtime that runs anyway: what
tools write who quantise or optimise a network. Refused are loops, unless they are allowed; operators that run
graphs of their own again and again, which no classifier of images needs; what is compiled for one processor
or device, some of which is read from other files; and operators of libraries that are not loaded.
"""

import re

from predictor.checking.report import Refused
from predictor.discovery.graph_prefix import ONNX, RUNTIME

LOOPS = frozenset({"Loop", "Scan", "SequenceMap"})
"""Operators of ONNX itself whose run time no trial can foretell."""

REPEATING = frozenset({"BeamSearch", "GreedySearch", "Sampling", "WhisperBeamSearch"})
"""Operators of `com.microsoft` that run graphs of their own again and again."""

_COMPILED = frozenset({"EPContext", "Snpe"})
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
            raise Refused("control_flow", f"The model uses the operator {name}. Loops are not allowed.")
    elif (why := _why_not(domain, name)) is not None:
        raise Refused(
            "operator", f"The model uses the operator {shown(name)} of the domain {shown(domain)}, {why}"
        )


def shown(name: str) -> str:
    """The name of an operator, domain or function, if it is fit to stand in a sentence."""
    return name if re.fullmatch(r"[A-Za-z0-9_.]{1,64}", name) else "of another name"


def _why_not(domain: str, name: str) -> str | None:
    if domain == RUNTIME and name in REPEATING:
        return "which writes text by running a network again and again. Export the classifier alone."
    if domain == RUNTIME and name in _COMPILED:
        return "which is compiled for one kind of device. Upload the original."
    if domain in (RUNTIME, "ai.onnx.ml"):
        return None
    if domain in _EXTENSIONS:
        return "which needs a library that is not loaded here. Export the network without it."
    if _ONE_PROCESSOR.fullmatch(domain):
        return "which is bound to one kind of processor: saved by offline optimisation; upload the original."
    return "which the runtime does not have. Export the model with the operators of ONNX itself only."
