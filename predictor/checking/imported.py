"""From the files of an upload to the graph that is served: judged, joined and adapted. Uses onnx."""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from predictor.checking import onnx_rules
from predictor.checking.described import text
from predictor.checking.report import SERVED, Refused, Request
from predictor.discovery.configs.declared import EMPTY
from predictor.discovery.configs.read import from_metadata, from_text
from predictor.discovery.pooling import final_layers
from predictor.discovery.structure import examine
from predictor.errors import InvalidModel
from predictor.importing import external
from predictor.importing.adapt import adapt
from predictor.importing.external import Weights
from predictor.importing.inputs import Wanted
from predictor.model.final_layers import FinalLayers
from predictor.model.spec import Structure

# Whatever height and width the graph asks for.
_ANY = None, None


@dataclass(frozen=True)
class Imported:
    """The model that is to be served: its file, what its nodes show, and what was done to have it.

    Attributes:
        path: its file.
        nodes: its operators.
        structure: what they show.
        adapted: sentences about what was changed.
        weights: the files that hold its weights.
        final_layers: for each output how the network ends before it, where a class activation map needs that.
    """

    path: Path
    nodes: int
    structure: Structure
    adapted: tuple[str, ...]
    weights: Weights
    final_layers: Mapping[str, FinalLayers | None]


def imported(request: Request) -> Imported:
    """Judge the file, and adapt it; what was read of it is gone before the runtime reads it again.

    Raises:
        Refused: it cannot be served; the sentence says why.
    """
    model = onnx_rules.read(Path(request.model), request.limits)
    weights = _joined(model, request)
    rules = partial(
        onnx_rules.enforce,
        model,
        request.limits,
        allow_control_flow=request.allow_control_flow,
        beside=frozenset(weights.beside),
    )
    nodes, structure = rules(), examine(model)
    if adapted := adapt(model, _wanted(model, request, structure)):
        nodes, structure = rules(), examine(model)
    path = Path(request.model)
    if request.served is not None:
        if adapted or weights.used:
            path = _write(model, request.served)
        os.close(request.served)
    ends = {one.name: final_layers(model, one.name) for one in model.graph.output}
    return Imported(path, nodes, structure, adapted, weights, ends)


def _joined(model: Any, request: Request) -> Weights:
    if size(request) > request.limits.model_bytes:
        raise Refused("too_large", "The model and its data files are larger than allowed.")
    own, most = Path(request.model).stat().st_size, request.limits.model_bytes
    try:
        return external.join(onnx_rules.references(model), request.data, own, most)
    except InvalidModel as error:
        raise Refused("external_data", error.detail) from error


def _wanted(model: Any, request: Request, structure: Structure) -> Wanted:
    """What the preprocessing says of the model; whether it can be used at all is seen later."""
    said = text(request.preprocessing, "preprocessing", request.limits)
    metadata = {one.key: one.value for one in model.metadata_props}
    try:
        declared = from_metadata(metadata, _ANY) if said is None else from_text(said, _ANY)
    except (ValueError, InvalidModel):
        declared = EMPTY
    seen = structure.layout or ("NHWC" if structure.tensorflow else None)
    return Wanted(
        size=declared.values.get("size"),
        layout=declared.values.get("layout") or seen,
        channels=structure.channels,
        output=declared.output,
        labels=request.labels is not None,
    )


def _write(model: Any, descriptor: int) -> Path:
    """Write the graph that is to be served to the file that was opened for it."""
    os.ftruncate(descriptor, 0)
    os.lseek(descriptor, 0, os.SEEK_SET)
    with os.fdopen(descriptor, "wb", closefd=False) as file:
        file.write(model.SerializeToString())
    return Path(SERVED)


def size(request: Request) -> int:
    """Bytes of the model's file and of all that may hold its weights."""
    return sum(Path(file).stat().st_size for file in (request.model, *request.data.values()))
