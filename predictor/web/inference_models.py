"""What the Open Inference Protocol says of models: metadata, configuration, statistics."""

import json
from typing import Any

from predictor.config import Settings
from predictor.errors import ModelNotFound
from predictor.metrics import collected
from predictor.model.spec import Tensor
from predictor.runtime.worker import Worker
from predictor.statistics import VersionStatistics, totals
from predictor.store.lookup import not_served
from predictor.store.registry import ModelVersion
from predictor.web import tensors

PLATFORM = "onnx_onnxv1"
"""The protocol's name of what runs the models."""

_TYPES = {"BYTES": "TYPE_STRING"}


def version_number(version: str) -> int:
    """A version of a path.

    Raises:
        ModelNotFound: it is no number, so that there is no such version.
    """
    if not (version.isascii() and version.isdecimal() and len(version) < 10):
        raise ModelNotFound("The model has no such version: a version is a whole number.")
    return int(version)


def served(worker: Worker, name: str, version: str | None = None) -> ModelVersion:
    """A version that can be asked; by default the live one.

    Raises:
        ModelNotFound: there is no such name or version, or it is not loaded.
    """
    known = worker.registry.name(name)
    if known.live is None:
        raise not_served(name, known)
    number = known.live if version is None else version_number(version)
    if why := known.quarantined.get(number):
        raise ModelNotFound(
            f"Version {number} of the model {name} cannot serve, for it is quarantined: {why}"
        )
    return worker.registry.version(name, number)


def metadata_json(worker: Worker, name: str, version: str | None) -> dict[str, Any]:
    """A model's metadata (`inference_schemas.ModelMetadata`)."""
    found, known = served(worker, name, version), worker.registry.name(name)
    report = worker.report(found)
    image, scores = Tensor.from_json(report["inputs"][0]), Tensor.from_json(report["outputs"][0])
    properties = {
        "digest": found.digest,
        "version": str(found.version),
        "classes": str(report["classes"]),
        "activation": report["activation"],
        "tensor_datatype": tensors.datatype(image.dtype),
        "tensor_shape": json.dumps(_batched(image)),
        "preprocessing": json.dumps(report["preprocessing"]),
    }
    return {
        "name": name,
        "versions": [str(number) for number in known.versions if known.good(number)],
        "platform": PLATFORM,
        "inputs": [{"name": image.name, "datatype": tensors.BYTES, "shape": [-1]}],
        "outputs": [
            {"name": scores.name, "datatype": tensors.datatype(scores.dtype), "shape": _batched(scores)}
        ],
        "properties": properties,
    }


def _batched(tensor: Tensor) -> list[int]:
    """A tensor's shape for any number of images; the batch of a graph with a fixed one is filled up."""
    return [-1, *tensor.to_json()["shape"][1:]]


def config_json(metadata: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """What clients of Triton read of a model's configuration; its shapes have no axis for the batch."""

    def tensor(one: dict[str, Any]) -> dict[str, Any]:
        kind = one["datatype"]
        return {
            "name": one["name"],
            "data_type": _TYPES.get(kind, f"TYPE_{kind}"),
            "dims": one["shape"][1:],
        }

    return {
        "name": metadata["name"],
        "platform": metadata["platform"],
        "backend": "onnxruntime",
        "max_batch_size": settings.max_batch,
        "input": [tensor(one) | {"optional": False} for one in metadata["inputs"]],
        "output": [tensor(one) for one in metadata["outputs"]],
        "dynamic_batching": {},
        "model_transaction_policy": {"decoupled": False},
        "response_cache": {"enable": settings.cache != "off"},
    }


def statistics_json(worker: Worker, name: str | None = None, version: str | None = None) -> dict[str, Any]:
    """The totals of the versions that are live or were asked (`inference_schemas.Statistics`)."""
    counted, state = totals(collected(worker.exporter)), worker.registry.read()
    wanted = sorted(state.names) if name is None else [name]
    found = []
    for one in wanted:
        known = worker.registry.name(one)
        numbers = [n for n in known.versions if n == known.live or (one, str(n)) in counted]
        if version is not None:
            numbers = [worker.registry.version(one, version_number(version)).version]
        for number in numbers:
            totalled = counted.get((one, str(number)), VersionStatistics())
            found.append({"name": one, "version": str(number), **totalled.to_json()})
    return {"model_stats": found}
