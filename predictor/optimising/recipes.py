"""The forms that may be faster: how each is made of a graph in single precision.

On a CPU, convolutional networks get static quantisation: 8-bit activations, weights of 8 bits for each
channel, or of 7 where 8 would overflow. Transformers get dynamic quantisation of their matrix products.
On a GPU the candidate computes in half precision.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto

from predictor.model.device import Device
from predictor.model.scores import flat
from predictor.model.session import load
from predictor.optimising import quantisers
from predictor.optimising.calibration import Observed, corrected
from predictor.optimising.job import CALIBRATION, Job
from predictor.optimising.measure import batches

PREPARED = Path("prepared.onnx")
"""The graph in single precision, of which forms are made."""
RANGES = Path(quantisers.CACHE)
"""What calibration saw of its tensors, for the quantiser."""
_CORRECTED, _TRIED = Path("corrected.onnx"), Path("tried.onnx")
# Images that show how much a layer costs.
_SENSITIVE_IMAGES = 32
# A layer stays in single precision if the error of the scores falls by at least this share.
_WORTH = 0.2
# Of the weights, from which on a graph is one of matrix products.
_MOSTLY = 0.5
# Convolutions; a transformer has one, which cuts the image into patches.
_SEVERAL = 4

_Array = npt.NDArray[Any]


@dataclass(frozen=True)
class RecipeContext:
    """What the recipes work with.

    Attributes:
        job: what is asked.
        model: the graph with its constants computed, as it lies in `PREPARED`.
        observed: what calibration saw of its tensors.
        images: how many images showed it; of a fixed batch the last ones are repeated.
        reduce_range: whether weights have 7 bits.
    """

    job: Job
    model: ModelProto
    observed: Observed
    images: int
    reduce_range: bool

    @property
    def bits(self) -> str:
        """How many bits weights have, in a sentence."""
        why = "8-bit weights overflow on this processor" if self.reduce_range else "it has kernels for 8 bits"
        return f"Weights have {7 if self.reduce_range else 8} bits, because {why}."


Recipe = Callable[[Path], list[str] | None]
"""Writes a form to a file, and says in sentences how; None if it would be the same as another form."""


def recipes(context: RecipeContext) -> Iterator[tuple[str, Recipe]]:
    """The forms that a graph may have, by their keys, in the order in which they are to be made."""
    if context.job.gpu:
        yield "float16", _half
        return
    yield "graph", _graph
    products = _share_of_products(context.model) >= _MOSTLY
    if products:
        yield "dynamic", lambda target: _dynamic(target, context)
        yield "dynamic_careful", lambda target: _careful(target, context)
    if not products or _convolutions(context.model) >= _SEVERAL:
        yield "int8", lambda target: _static(target, context)
        yield "int8_corrected", lambda target: _corrected(target, context)
        yield "int8_edges", lambda target: _edges(target, context)


def _share_of_products(model: ModelProto) -> float:
    """The share of the learned weights that belong to `MatMul`, of which transformers are made."""
    sizes = {one.name: int(np.prod(one.dims)) for one in model.graph.initializer}
    counts = {"Conv": 0, "Gemm": 0, "MatMul": 0}
    for node in model.graph.node:
        if node.op_type in counts and len(node.input) > 1:
            counts[node.op_type] += sizes.get(node.input[1], 0)
    return counts["MatMul"] / max(1, sum(counts.values()))


def _convolutions(model: ModelProto) -> int:
    return sum(node.op_type == "Conv" for node in model.graph.node)


def _half(target: Path) -> list[str]:
    quantisers.halved(PREPARED, target)
    return ["Everything is computed in half precision."]


def _graph(target: Path) -> list[str]:
    quantisers.rewritten(PREPARED, target, "ORT_ENABLE_EXTENDED")
    return ["Operators are merged by onnxruntime; numbers stay as they are."]


def _dynamic(target: Path, context: RecipeContext, exclude: Sequence[str] = ()) -> list[str]:
    quantisers.dynamic(PREPARED, target, reduce_range=context.reduce_range, exclude=exclude)
    return [
        "Matrix products are computed in integers; the range of what goes in is measured in each run.",
        context.bits,
    ]


def _careful(target: Path, context: RecipeContext) -> list[str] | None:
    """Products with weights of one shape, such as the second layer of each block, are tried together."""
    groups = _groups(context.model)
    everything = sum(size for _, size in groups)
    _dynamic(_TRIED, context)
    with_all, tried = _error(_TRIED, context), list[tuple[float, list[str], int]]()
    for names, size in groups:
        _dynamic(_TRIED, context, names)
        tried.append((_error(_TRIED, context), names, size))
    kept, bytes_kept = list[str](), 0
    for error, names, size in sorted(tried):
        if error < (1 - _WORTH) * with_all and bytes_kept + size <= _MOSTLY * everything:
            kept, bytes_kept = [*kept, *names], bytes_kept + size
    if not kept:
        return None
    return [
        *_dynamic(target, context, kept),
        f"{len(kept)} products stay in single precision: they caused most of the error of the scores.",
    ]


def _groups(model: ModelProto) -> list[tuple[list[str], int]]:
    """The names of the products that have weights, by the shape of these, and how many numbers these have."""
    shapes = {one.name: tuple(one.dims) for one in model.graph.initializer}
    found: dict[tuple[int, ...], list[str]] = {}
    for node in model.graph.node:
        if node.op_type in ("MatMul", "Gemm") and len(shapes.get(node.input[1], ())) == 2:
            found.setdefault(shapes[node.input[1]], []).append(node.name)
    return [(names, len(names) * int(np.prod(shape))) for shape, names in found.items()]


def _static(
    target: Path, context: RecipeContext, source: Path = PREPARED, exclude: Sequence[str] = ()
) -> list[str]:
    kept = [*exclude, *_last_activation(context)]
    quantisers.static(source, target, RANGES, reduce_range=context.reduce_range, exclude=kept)
    return [
        "Weights and activations are integers, with a scale for each channel of a weight.",
        f"{context.images} images showed the ranges.",
        context.bits,
    ]


def _last_activation(context: RecipeContext) -> list[str]:
    """The operator that makes the scores, unless it has weights: 8 bits would round confidences."""
    scores = context.job.names[1]
    return [
        node.name
        for node in context.model.graph.node
        if scores in node.output and node.op_type not in quantisers.LEARNED
    ]


def _corrected(target: Path, context: RecipeContext) -> list[str] | None:
    quantised = Path("int8.onnx")
    if not quantised.exists():
        _static(quantised, context)
    model, count = corrected(context.model, onnx.load(quantised), context.observed.means)
    if not count:
        return None
    onnx.save(model, _CORRECTED)
    return [
        *_static(target, context, _CORRECTED),
        f"The biases of {count} operators take back the mean error of their rounded weights.",
    ]


def _edges(target: Path, context: RecipeContext) -> list[str] | None:
    """The corrected form with the first or last layer in single precision, where these cost most."""
    source = _CORRECTED if _CORRECTED.exists() else PREPARED
    learned = [node.name for node in context.model.graph.node if _learned(node, context.model)]
    _static(_TRIED, context, source)
    with_all, kept = _error(_TRIED, context), list[str]()
    for name in dict.fromkeys((learned[0], learned[-1])):
        _static(_TRIED, context, source, [name])
        if _error(_TRIED, context) < (1 - _WORTH) * with_all:
            kept.append(name)
    if not kept:
        return None
    which = " and ".join(["first", "last"][name != learned[0]] for name in kept)
    return [
        *_static(target, context, source, kept),
        f"The {which} layer stays in single precision: it caused at least {_WORTH:.0%} of the scores' error.",
    ]


def _learned(node: Any, model: ModelProto) -> bool:
    constants = {one.name for one in model.graph.initializer}
    return node.op_type in quantisers.LEARNED and node.input[1] in constants


def _error(path: Path, context: RecipeContext) -> float:
    """The mean square of what the scores of some images differ by from those in single precision."""
    session, job = load(path, Device("cpu")), context.job
    tensors: _Array = np.load(CALIBRATION, mmap_mode="r")[:_SENSITIVE_IMAGES]
    found = [flat(session.run(batch, job.names)) for batch in batches(tensors, job.batch)]
    wanted = [flat(one) for one in context.observed.scores[: len(found)]]
    return float(np.square(np.concatenate(found) - np.concatenate(wanted)).mean())
