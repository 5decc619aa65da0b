"""What requests and answers of the Open Inference Protocol look like (version 2, over HTTP)."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError

from predictor.web.schemas import absent

# Parameters, inputs, outputs, axes: millions of them, each checked, would fill the memory.
_MOST = 100


def _given(value: Any) -> Any:
    """Parameters without those that are null; very many are refused at once, each with its errors."""
    if not isinstance(value, dict):
        return value
    if len(value) > _MOST:
        raise PydanticCustomError("too_long", "too many", {"max_length": _MOST})
    return {name: one for name, one in value.items() if one is not None}


def _scalar(value: Any) -> Any:
    """Refuse a list or object with one error, where each type that it might be would have its own."""
    if isinstance(value, list | dict):
        raise PydanticCustomError("scalar_type", "no scalar")
    return value


_Scalar = Annotated[str | bool | int | float, BeforeValidator(_scalar)]
Parameters = Annotated[dict[str, _Scalar], BeforeValidator(_given)]
"""A flat object of free values; what is not known here is ignored, and null means that it is not given."""


class ServerLive(BaseModel):
    """The process answers."""

    live: bool


class ServerReady(ServerLive):
    """Inference succeeds."""

    ready: bool


class ModelReady(BaseModel):
    """Inference with a model succeeds."""

    name: str
    ready: bool


class ServerMetadata(BaseModel):
    """The server and the extensions of the protocol that it has."""

    name: str
    version: str
    extensions: list[str]


class TensorMetadata(BaseModel):
    """An input or output of a model."""

    name: str
    datatype: str
    shape: list[int] = Field(description="Lengths of the axes; -1 for a variable axis.")


class ModelMetadata(BaseModel):
    """A model: its input takes encoded images, and the model's own tensor, which `properties` describes."""

    model_config = ConfigDict(extra="allow")

    name: str
    versions: list[str] = Field(description="The versions that may be named in a path.")
    platform: str
    inputs: list[TensorMetadata]
    outputs: list[TensorMetadata]
    properties: dict[str, str]


class ModelNames(BaseModel):
    """The names of the loaded models."""

    models: list[str]


class InferInput(BaseModel):
    """The input: `N` images as BYTES of shape `[N]`, or the model's own tensor."""

    name: str = Field(description="The name of the model's input, see its metadata.")
    shape: list[Annotated[int, Field(ge=0)]] = Field(fail_fast=True, max_length=_MOST)
    datatype: str = Field(description="BYTES for encoded images, or the datatype of the model's own tensor.")
    parameters: Parameters | None = absent(
        "`binary_data_size`: the bytes that follow the JSON, in the place of `data`."
    )
    data: list[Any] | None = absent(
        "Images in base64, or the numbers of the tensor in row-major order, nested or flat."
    )


class RequestedOutput(BaseModel):
    """An output that is wanted, and how."""

    name: str
    parameters: Parameters | None = absent(
        "`binary_data`: true for bytes after the JSON; `classification`: the number of classes wanted."
    )


# A whole PNG file of 8 x 8 pixels, for the input of the bundled model, so that the example can be sent.
_IMAGE = (
    "iVBORw0KGgoAAAANSUhEUgAAAAgAAAAICAIAAABLbSncAAAAE0lEQVR42mP8v5QBK2BiYBhKEgBM7gG0NglsLAAAAABJRU5ErkJggg=="
)
_EXAMPLE: dict[str, Any] = {
    "inputs": [{"name": "image", "shape": [1], "datatype": "BYTES", "data": [_IMAGE]}],
    "parameters": {"top_k": 3},
}


class InferRequest(BaseModel):
    """A request for inference; a binary tensor follows it as bytes."""

    # The first is shown on the page, the other one is for tools.
    model_config = ConfigDict(json_schema_extra={"x-examples": [_EXAMPLE], "examples": [_EXAMPLE]})

    id: str | None = absent("Comes back in the answer.")
    parameters: Parameters | None = absent(
        "`top_k`: the number of classes wanted; `timeout`: the deadline in microseconds; "
        "`binary_data_output`: true for bytes after the JSON."
    )
    inputs: list[InferInput] = Field(fail_fast=True, max_length=_MOST)
    outputs: list[RequestedOutput] | None = absent(
        "The outputs that are wanted; by default all.", fail_fast=True, max_length=_MOST
    )


class InferOutput(TensorMetadata):
    """An output: with `data`, or with `parameters.binary_data_size` if its bytes follow the JSON."""

    parameters: Parameters | None = None
    data: list[Any] | None = None


class InferResponse(BaseModel):
    """The answer; `id` is that of the request."""

    id: str | None = None
    model_name: str
    model_version: str
    outputs: list[InferOutput]


class ProtocolError(BaseModel):
    """An error."""

    error: str = Field(description="What is wrong.")


class IndexRequest(BaseModel):
    """Which models are wanted."""

    ready: bool | None = absent("True for those only that are loaded.")


class IndexEntry(BaseModel):
    """A model of the repository."""

    name: str
    version: str
    state: str = Field(description="READY, or UNAVAILABLE if it is not loaded.")
    reason: str


class ChangeRequest(BaseModel):
    """Parameters of a load or unload; files cannot come with them."""

    parameters: Parameters | None = absent("`unload_dependents` has no effect.")


class Statistics(BaseModel):
    """What became of requests and runs, added up over all workers."""

    model_stats: list[dict[str, Any]]
