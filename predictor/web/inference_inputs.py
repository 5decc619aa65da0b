"""A request of the Open Inference Protocol -> images and wanted outputs.

Whether bytes follow the JSON is said by the header `Inference-Header-Content-Length` alone: clients of the
protocol send no Content-Type, or one that says nothing.
"""

import math
from dataclasses import dataclass, replace
from typing import Any

from flask import Request

from predictor.config import Settings
from predictor.errors import InvalidRequest
from predictor.image.decode import sniff
from predictor.inference.admission import Deadline
from predictor.inference.loader import LoadedModel
from predictor.inference.prediction import EncodedImage, ImageSource, PreparedImage
from predictor.model import strict_text
from predictor.model.spec import ModelSpec
from predictor.web import base64_images, inputs, middleware, schemas, tensors
from predictor.web.body import MOST_VALUES, decompressed
from predictor.web.inference_schemas import InferInput, InferRequest, Parameters, RequestedOutput

JSON_LENGTH = "Inference-Header-Content-Length"
"""The header that says how many bytes of a body are JSON; the others are tensors."""

_MAX_CLASSES = 1_000_000
_MAX_MICROSECONDS = 2**63
_CODINGS = ("gzip", "x-gzip", "deflate")
_NOT_BASE64 = (
    "data must hold each image in base64, or as a data: URL in base64; URLs are not downloaded, and names of "
    "files are not read."
)


@dataclass(frozen=True)
class WantedOutput:
    """The output as it is wanted.

    Attributes:
        name: its name.
        binary: whether as bytes after the JSON.
        classes: how many classes are wanted in the place of the scores; 0 for the scores.
    """

    name: str
    binary: bool = False
    classes: int = 0


@dataclass(frozen=True)
class InferenceInput:
    """What a request asks for.

    Attributes:
        images: at least one.
        outputs: those that are wanted.
        deadline: until when.
        id: what is to come back in the answer.
    """

    images: list[ImageSource]
    outputs: list[WantedOutput]
    deadline: Deadline
    id: str | None = None


def read(request: Request, model: LoadedModel, settings: Settings) -> InferenceInput:
    """Read a request for inference.

    Args:
        request: JSON, JSON with a tensor behind it, or a tensor or image alone.
        model: what it is for.
        settings: limits.

    Raises:
        InvalidRequest: it is not of the protocol's form, or not for this model.
        ImageTooLarge: it has too many bytes.
    """
    head, tail = split(body(request, settings.max_body_bytes), request.headers.get(JSON_LENGTH))
    deadline, spec = middleware.deadline_of(request, settings), model.spec
    if not head and JSON_LENGTH in request.headers:
        return InferenceInput([_alone(tail, spec)], [WantedOutput(spec.scores.name, binary=True)], deadline)
    # Each number may stand in a list of its own, with a comma behind it.
    most = 3 * settings.max_batch * math.prod(spec.preprocessing.shape)
    sent: InferRequest = schemas.parse(head, InferRequest, max(most, MOST_VALUES))
    _check_id(sent.id)
    _refuse_shared_memory(sent)
    parameters = sent.parameters or {}
    if timeout := _whole(parameters, "timeout", _MAX_MICROSECONDS):
        deadline = replace(deadline, timeout=timeout / 1e6)
    images = _images(_only(sent.inputs, spec), tail, spec, settings)
    return InferenceInput(images, _outputs(sent, spec.scores.name), deadline, sent.id)


def _check_id(given: str | None) -> None:
    """An answer cannot repeat half of a character, which JSON can write."""
    try:
        (given or "").encode()
    except UnicodeEncodeError as error:
        raise InvalidRequest("id must be Unicode text.") from error


def body(request: Request, limit: int) -> bytes:
    """The whole body, decompressed.

    Raises:
        InvalidRequest: it is damaged, incomplete or compressed in another way.
        ImageTooLarge: it has more bytes than the limit.
    """
    request.max_content_length = limit
    data = inputs.read_body(request)
    codings = middleware.compressions(request.headers.get("Content-Encoding", ""))
    if not codings:
        return data
    if len(codings) > 1 or codings[0] not in _CODINGS:
        raise InvalidRequest("The Content-Encoding must be gzip or deflate.")
    return decompressed(data, limit, raw=codings == ["deflate"])


def split(data: bytes, length: str | None) -> tuple[bytes, bytes]:
    """The JSON of a body, and the bytes behind it.

    Raises:
        InvalidRequest: the header does not say where the JSON ends.
    """
    if length is None:
        return data, b""
    if not (length.isascii() and length.isdecimal() and len(length) < 19 and int(length) <= len(data)):
        raise InvalidRequest(f"{JSON_LENGTH} must be a whole number, at most the length of the body.")
    return data[: int(length)], data[int(length) :]


def _alone(data: bytes, spec: ModelSpec) -> ImageSource:
    """The image of a body without JSON: a file, also with its length before it, or the model's own tensor."""
    preprocessing = spec.preprocessing
    if not sniff(data):
        if len(data) == tensors.size(preprocessing.dtype, preprocessing.shape):
            return PreparedImage(tensors.from_bytes(data, preprocessing.dtype, preprocessing.shape))
        if data[4:] and int.from_bytes(data[:4], "little") == len(data) - 4:
            return EncodedImage(data[4:])
    return EncodedImage(data)


def _only(sent: list[InferInput], spec: ModelSpec) -> InferInput:
    wanted = spec.image.name
    if len(sent) != 1:
        raise InvalidRequest(
            f"inputs has {len(sent)} inputs; it must hold exactly one input, named {wanted}."
        )
    if (name := sent[0].name) != wanted:
        raise InvalidRequest(f"The name of the input is {strict_text.shown(name)}; it must be {wanted}.")
    return sent[0]


def _images(sent: InferInput, tail: bytes, spec: ModelSpec, settings: Settings) -> list[ImageSource]:
    given = (sent.parameters or {}).get("binary_data_size")
    if given is not None and (type(given) is not int or given != len(tail)):
        raise InvalidRequest(f"binary_data_size must be the number of bytes behind the JSON, {len(tail)}.")
    if (sent.data is not None) == (given is not None or bool(tail)):
        raise InvalidRequest("Give either data, or binary_data_size and as many bytes behind the JSON.")
    count = sent.shape[0] if sent.shape else 0
    if not 1 <= count <= settings.max_batch:
        raise InvalidRequest(
            f"A request must hold 1 to {settings.max_batch} images, the first number of shape."
        )
    return _files(sent, tail) if sent.datatype == tensors.BYTES else _prepared(sent, tail, spec)


def _files(sent: InferInput, tail: bytes) -> list[ImageSource]:
    count, *rest = sent.shape
    if rest not in ([], [1]):
        raise InvalidRequest("The shape of images as BYTES must be their number.")
    if sent.data is None:
        return [EncodedImage(data) for data in tensors.elements(tail, count)]
    texts = tensors.texts(sent.data)
    if len(texts) != count:
        raise InvalidRequest(f"data has {len(texts)} values, but shape wants {count}.")
    return [base64_images.of_text(text, _NOT_BASE64) for text in texts]


def _prepared(sent: InferInput, tail: bytes, spec: ModelSpec) -> list[ImageSource]:
    dtype, shape = spec.preprocessing.dtype, spec.preprocessing.shape
    if sent.datatype != tensors.datatype(dtype) or tuple(sent.shape[1:]) != shape:
        raise InvalidRequest(tensors.misfit(sent.datatype, sent.shape, dtype, shape))
    if sent.data is None:
        array = tensors.from_bytes(tail, dtype, sent.shape)
    else:
        array = tensors.from_json(sent.data, dtype, sent.shape)
    return [PreparedImage(one) for one in array]


def _outputs(sent: InferRequest, name: str) -> list[WantedOutput]:
    parameters = sent.parameters or {}
    classes = _whole(parameters, "top_k", _MAX_CLASSES, least=1)
    default = WantedOutput(name, _flag(parameters, "binary_data_output", default=False), classes or 0)
    wanted = sent.outputs or []
    if any(one.name != name for one in wanted) or len(wanted) > 1:
        raise InvalidRequest(f"outputs may name {name}, once.")
    return [_output(one, default) for one in wanted] or [default]


def _output(sent: RequestedOutput, default: WantedOutput) -> WantedOutput:
    parameters = sent.parameters or {}
    classes = _whole(parameters, "classification", _MAX_CLASSES)
    return replace(
        default,
        binary=_flag(parameters, "binary_data", default=default.binary),
        classes=default.classes if classes is None else classes,
    )


def _refuse_shared_memory(sent: InferRequest) -> None:
    """A client that gave or wants a tensor in its memory would find nothing there."""
    for one in (*sent.inputs, *(sent.outputs or ())):
        if any(name.startswith("shared_memory_") for name in one.parameters or ()):
            raise InvalidRequest("Shared memory is not supported; send tensors with the request.")


def _whole(parameters: Parameters, name: str, most: int, *, least: int = 0) -> int | None:
    """A parameter that is a number; None if it is not given."""
    value: Any = parameters.get(name)
    if value is not None and not (type(value) is int and least <= value <= most):
        raise InvalidRequest(f"{name} must be a whole number from {least} to {most}.")
    found: int | None = value
    return found


def _flag(parameters: Parameters, name: str, *, default: bool) -> bool:
    value = parameters.get(name, default)
    if not isinstance(value, bool):
        raise InvalidRequest(f"{name} must be true or false.")
    return value
