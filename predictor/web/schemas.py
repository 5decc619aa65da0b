"""What requests and answers look like; the OpenAPI document is made of what validates them."""

import json
from typing import Annotated, Any

from flask import Request
from pydantic import BaseModel, ConfigDict, Field, ValidationError, WithJsonSchema

from predictor.errors import InvalidRequest
from predictor.store.registry import DEFAULT, ModelVersion
from predictor.web import field_faults
from predictor.web.body import MOST_VALUES, check_values

ModelName = Annotated[
    str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$", description="The model's name.")
]


def absent(description: str, **constraints: Any) -> Any:
    """A field that may be left out; null means the same, as many clients' serializers send it."""

    def no_default(schema: dict[str, Any]) -> None:
        schema.pop("default", None)

    return Field(None, description=description, json_schema_extra=no_default, **constraints)


class Options(BaseModel):
    """Options of a request, as query arguments or as fields of the body."""

    model_config = ConfigDict(extra="forbid")

    # Without `default` in the document: some generators take a field that has one for required.
    top_k: int | None = absent("Maximum number of classes in the answer; by default 5.", ge=1, le=1_000_000)
    threshold: float | None = absent(
        "Leave out less confident classes; by default as the version says.", ge=0, le=1, allow_inf_nan=False
    )
    model: ModelName | None = absent(f"The model's name; by default `{DEFAULT}`.")
    version: int | None = absent("The model's version; by default the live version.", ge=1)
    debug: bool | None = absent("Add details of how the answer was computed.")
    fresh: bool | None = absent("Neither look the answer up in the cache nor keep it.")
    exact: bool | None = absent("Decode JPEGs whole, also large ones, and resize images whole; slower.")


_MOST_FIELDS = 100
WAYS = ("image_url", "image", "image_urls", "images")


class PredictRequest(Options):
    """Exactly one of `image_url`, `image`, `image_urls` and `images`, and options."""

    # Shown on the page; `examples` itself would have fuzzers fetch from that address.
    model_config = ConfigDict(
        json_schema_extra={"x-examples": [{"image_url": "https://example.com/cat.jpg", "top_k": 3}]}
    )

    image_url: str | None = absent("The URL of an image, http or https, or a data: URL.")
    image: str | None = absent("An image in base64, or as a data: URL.")
    image_urls: list[str] | None = absent("URLs of several images.", min_length=1, fail_fast=True)
    images: list[str] | None = absent("Several images in base64.", min_length=1, fail_fast=True)


class FormRequest(Options):
    """The text fields of a form; the images come as files in the field `image`."""

    image_url: str | None = absent("The URL of an image, if no file is sent.")
    image: str | None = absent("An image in base64, if no file is sent.")


_FILES = WithJsonSchema(
    {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": "The image; repeat the field for several.",
        # Shown on the page; `examples` itself would have fuzzers send this text as an image.
        "x-examples": ["@cat.jpg"],
    }
)


class FileRequest(Options):
    """A form with files, or with an `image_url`."""

    image_url: str | None = absent("The URL of an image, if no file is sent.")
    image: Annotated[list[Any], _FILES] = Field(default=[])


_Raw = Annotated[float | None, Field(description="The confidence before calibration, if there is one.")]


class Score(BaseModel):
    """One class with its confidence."""

    label: str = Field(description="The name of the class.")
    index: int = Field(description="The index of the class in the model's output.")
    confidence: float = Field(description="From 0 to 1.")
    raw_confidence: _Raw = None
    id: str | None = Field(None, description="The class's identifier in its data set, such as a synset.")
    synonyms: list[str] | None = Field(None, description="Other names of the class.")


class ModelRef(BaseModel):
    """The model that answered."""

    name: str
    version: int
    digest: str = Field(description="`sha256:` and the digest of the model.")


class Tensor(BaseModel):
    """An input or output of a model."""

    name: str
    dtype: str
    shape: list[int] = Field(description="Lengths of the axes; -1 for a variable axis.")


class SeenInput(Tensor):
    """The tensor that the model got for an image."""

    minimum: float
    maximum: float
    mean: float
    png: str = Field(description="The resized and cropped image as a data: URL.")


class Debug(BaseModel):
    """Details of how an answer was computed."""

    preprocessing: dict[str, Any] = Field(description="The preprocessing that was applied.")
    activation: str = Field(description="Activation applied to the scores: none, softmax or sigmoid.")
    reasons: dict[str, str] = Field(description="The reason for each choice.")
    warnings: list[str]
    input: SeenInput
    phases: dict[str, float] = Field(description="Milliseconds of each phase.")


_FileName = Annotated[
    str | None, Field(description="The name of the image's file in the form, if the image came with one.")
]


class Answer(BaseModel):
    """The prediction for an image."""

    name: _FileName = None
    predicted_label: str | None = Field(
        description="The label of the first prediction; null if `predictions` is empty."
    )
    confidence: float | None = Field(
        description="The confidence of the first prediction; null if `predictions` is empty."
    )
    raw_confidence: _Raw = None
    predictions: list[Score] = Field(description="The most confident class first.")
    model: ModelRef
    cached: bool = Field(description="Whether the answer came from the cache.")
    abstained: bool | None = Field(
        None, description="Whether all classes are below the threshold; only if there is one."
    )
    multi_label: bool | None = Field(
        None, description="True where confidences are independent: any number of classes may apply."
    )
    debug: Debug | None = Field(None, description="Details of the computation, if requested.")


class Problem(BaseModel):
    """An error, as RFC 9457 has it, with a stable code and the request's id."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    request_id: str


class Failure(BaseModel):
    """The error of one image among many."""

    name: _FileName = None
    error: Problem


class Results(BaseModel):
    """Answers in the order in which the images were sent; an invalid image does not fail the others."""

    results: list[Answer | Failure]


def is_form(request: Request) -> bool:
    """Whether the body is an urlencoded form; `curl -d` declares JSON as one, too."""
    declared = request.mimetype == "application/x-www-form-urlencoded"
    return declared and not request.get_data().lstrip().startswith(b"{")


def parse(data: bytes, schema: type[BaseModel], most_values: int = MOST_VALUES) -> Any:
    """Validate a JSON document of at most so many values.

    Raises:
        InvalidRequest: it is no JSON, or the message names the first field that is wrong.
    """
    if not data.strip():
        raise InvalidRequest("The body is empty; send a JSON object.")
    check_values(data, most_values)
    try:
        values = json.loads(data, parse_float=_number)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise InvalidRequest(f"The body is not valid JSON: the fault is at {where}.") from error
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body is not valid JSON in UTF-8.") from error
    except ValueError as error:
        raise InvalidRequest("The JSON has a number with too many digits.") from error
    except RecursionError as error:
        raise InvalidRequest("The JSON is nested too deeply.") from error
    if not isinstance(values, dict):
        raise InvalidRequest("The body must be a JSON object.")
    # Each that is not known takes a kilobyte and more until one of them is named.
    if len(values) > _MOST_FIELDS:
        raise InvalidRequest(f"The JSON has more than {_MOST_FIELDS} fields.")
    return check(schema, values, strict=True)


def _number(text: str) -> float | int:
    """A number of JSON; 3.0 is whole there (JSON Schema 2020-12, section 6.1.1), and -0.0 keeps its sign."""
    number = float(text)
    return int(number) if number.is_integer() and (number or text[0] != "-") else number


def check(schema: type[BaseModel], values: object, *, strict: bool) -> Any:
    """Validate values.

    Args:
        schema: what they must be.
        values: parsed JSON, or the texts of a query or form.
        strict: whether types must be exact, as JSON has them; else texts are converted.

    Raises:
        InvalidRequest: the message names the first field that is wrong.
    """
    try:
        return schema.model_validate(values, strict=strict)
    except ValidationError as error:
        names = [field.alias or name for name, field in schema.model_fields.items()]
        raise InvalidRequest(field_faults.sentence(error, names, texts=not strict)) from error


def model_json(version: ModelVersion) -> dict[str, Any]:
    """A model version as answers name it (`ModelRef`)."""
    return {"name": version.name, "version": version.version, "digest": version.digest}
