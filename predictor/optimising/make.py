"""In the disposable process: from a model in single precision to the candidates that may be faster."""

import logging
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import ModelProto, TensorProto

from predictor.checking import onnx_rules
from predictor.errors import InvalidModel
from predictor.model import hardware
from predictor.optimising import quantisers
from predictor.optimising.calibration import observe
from predictor.optimising.job import CALIBRATION, Job, is_full
from predictor.optimising.measure import batches
from predictor.optimising.recipes import PREPARED, RANGES, Recipe, RecipeContext, recipes

_Array = npt.NDArray[Any]
_ALREADY = ("QuantizeLinear", "DynamicQuantizeLinear", "ConvInteger", "MatMulInteger", "QGemm", "QAttention")

log = logging.getLogger(__name__)


def make(job: Job) -> dict[str, Any]:
    """Write a file for each candidate.

    Raises:
        InvalidModel: the model cannot be made faster in this way; the sentence says why.
    """
    original = onnx.load(job.models[0], load_external_data=False)
    if onnx_rules.references(original):
        raise InvalidModel(
            "Weights of the model lie in other files. Only a model in one file can be made faster."
        )
    if any(_is_quantised(node) for node in original.graph.node):
        raise InvalidModel("The model is quantised already. Optimise the version in single precision.")
    model = _prepared(job, original)
    tensors: _Array = np.load(CALIBRATION, mmap_mode="r")
    observed = observe(model, job.names, batches(tensors, job.batch))
    quantisers.save_ranges(observed.ranges, RANGES)
    overflow = quantisers.saturates()
    context = RecipeContext(job, model, observed, len(tensors), overflow)
    made, skipped = list[dict[str, Any]](), list[str]()
    for key, recipe in recipes(context):
        path = Path(f"{key}.onnx")
        what = _followed(recipe, path)
        if isinstance(what, str):
            skipped.append(f"{key}: {what}")
        else:
            _finish(path, original, gpu=job.gpu)
            made.append({"key": key, "what": what})
    return {"made": made, "skipped": skipped, "saturates": overflow}


def _followed(recipe: Recipe, path: Path) -> list[str] | str:
    """How a candidate was made, or why it was not."""
    try:
        what = recipe(path)
    except Exception as error:
        if is_full(error):
            raise
        log.error("%s: %r", path.stem, error)
        return "onnxruntime's tools could not make it of this graph."
    return "it would be the same as another form." if what is None else what


def _is_quantised(node: Any) -> bool:
    return node.op_type in _ALREADY or node.op_type.startswith("QLinear")


def _prepared(job: Job, original: ModelProto) -> ModelProto:
    """The model with constants computed, so that weights in half precision are in single precision too."""
    quantisers.rewritten(Path(job.models[0]), PREPARED, "ORT_ENABLE_BASIC", quantised=False)
    model = quantisers.upgraded(onnx.load(PREPARED))
    model.metadata_props.extend(one for one in original.metadata_props if one not in model.metadata_props)
    for number, node in enumerate(model.graph.node):
        node.name = f"node_{number}_{node.op_type}"
    if not _has_weights(model):
        raise InvalidModel("The model has no layers with weights in single precision that could be faster.")
    onnx.save(model, PREPARED)
    return model


def _has_weights(model: ModelProto) -> bool:
    single = {one.name for one in model.graph.initializer if one.data_type == TensorProto.FLOAT}
    return any(node.op_type in quantisers.LEARNED and node.input[1] in single for node in model.graph.node)


def _finish(path: Path, original: ModelProto, *, gpu: bool) -> None:
    """Have a candidate say of itself what the original says: labels and preprocessing may stand there.

    On the CPU it says as well for which processor it was made.
    """
    model = onnx.load(path)
    del model.metadata_props[:]
    model.metadata_props.extend(one for one in original.metadata_props if one.key != hardware.KEY)
    if not gpu:
        model.metadata_props.add(key=hardware.KEY, value=hardware.metadata())
    onnx.save(model, path)
