"""An outcome -> an answer of the Open Inference Protocol: JSON, with bytes behind it, perhaps compressed."""

import gzip
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from flask import Request
from pydantic_core import to_json

from predictor.errors import ImageError, PredictorError
from predictor.inference.loader import LoadedModel
from predictor.inference.prediction import Outcome, Prediction
from predictor.model.labels import Label
from predictor.web import tensors
from predictor.web.flask_app import ReadyResponse
from predictor.web.inference_inputs import JSON_LENGTH, InferenceInput, WantedOutput
from predictor.web.tensors import Array

# More costs more time than the connection saves.
_LEVEL = 1


def answer(request: Request, sent: InferenceInput, outcome: Outcome) -> ReadyResponse:
    """The answer to a request.

    Raises:
        PredictorError: an image has no prediction; the protocol has no place for a part of an answer.
        InvalidRequest: the output cannot be given in the form that is wanted.
    """
    model, scores = outcome.model, _scores(outcome.results)
    built = [_output(wanted, scores, model) for wanted in sent.outputs]
    head = {
        **({} if sent.id is None else {"id": sent.id}),
        "model_name": model.version.name,
        "model_version": str(model.version.version),
        "outputs": [described for described, _ in built],
    }
    parts = [data for _, data in built if data is not None]
    if not parts:
        return _sent(request, to_json(head), "application/json", {})
    text = to_json(head)
    headers = {JSON_LENGTH: str(len(text))}
    return _sent(request, b"".join((text, *parts)), "application/octet-stream", headers)


def _scores(results: Sequence[Prediction | PredictorError]) -> Array:
    """The scores of all images, shape [images, ...]."""
    found = []
    for number, result in enumerate(results, 1):
        if isinstance(result, ImageError) and len(results) > 1:
            raise type(result)(f"Image {number} of {len(results)}: {result.detail}")
        if isinstance(result, PredictorError):
            raise result
        found.append(result.scores)
    return np.stack(found)  # type: ignore[arg-type]


def _output(wanted: WantedOutput, scores: Array, model: LoadedModel) -> tuple[dict[str, Any], bytes | None]:
    """An output's description, with its data or with the number of the bytes that come beside it."""
    values: Array | list[str] = scores
    name, shape = tensors.datatype(scores.dtype.name), list(scores.shape)
    if wanted.classes:
        values = _classes(scores, model.spec.labels, wanted.classes)
        name, shape = tensors.BYTES, [len(scores), len(values) // len(scores)]
    described = {"name": wanted.name, "datatype": name, "shape": shape}
    if not wanted.binary:
        return described | {"data": tensors.to_json(values)}, None
    data = tensors.to_bytes(values)
    return described | {"parameters": {"binary_data_size": len(data)}}, data


def _classes(scores: Array, labels: Sequence[Label], count: int) -> list[str]:
    """The best classes of each image as `score:index:label`, the highest raw score first."""
    flat = scores.reshape(len(scores), -1).astype(np.float64)
    best = np.argsort(-flat, axis=1, kind="stable")[:, :count]
    # A single score is that of the second of two classes.
    names = [label.name for label in labels][-flat.shape[1] :]
    return [
        f"{row[index]:f}:{index}:{names[index]}"
        for row, order in zip(flat, best, strict=True)
        for index in order
    ]


def _sent(request: Request, data: bytes, content_type: str, headers: dict[str, str]) -> ReadyResponse:
    """The answer, compressed if the request accepts that."""
    coding = request.accept_encodings.best_match(("gzip", "deflate")) if request.accept_encodings else None
    if coding == "gzip":
        data = gzip.compress(data, _LEVEL, mtime=0)
    elif coding == "deflate":
        data = zlib.compress(data, _LEVEL)
    response = ReadyResponse(data, content_type=content_type)
    response.headers.extend(headers if coding is None else {**headers, "Content-Encoding": coding})
    return response
