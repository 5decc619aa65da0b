"""What requests for explanations and their answers look like."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from predictor.web.schemas import ModelName, ModelRef, absent

_FILE = WithJsonSchema(
    {
        "type": "string",
        "format": "binary",
        "description": "The image.",
        # Shown on the page; `examples` itself would have fuzzers send this text as an image.
        "x-examples": ["@cat.jpg"],
    }
)


class ExplainOptions(BaseModel):
    """Options of an explanation, as query arguments or as fields of the body."""

    model_config = ConfigDict(extra="forbid")

    class_: int | str | None = absent(
        "The class to explain: its label, id, a synonym or its index; by default the most confident one.",
        alias="class",
    )
    method: Literal["auto", "cam", "masks"] | None = absent(
        "`cam`: a class activation map; `masks`: a fit to masked images; `auto`, the default: the first "
        "where the model has one, else the second."
    )
    overlay: bool | None = absent("Add the map over the image, as a data: URL of a PNG.")
    model: ModelName | None = absent("The model's name; by default `default`.")
    version: int | None = absent("The model's version; by default the live version.", ge=1)
    exact: bool | None = absent("Decode JPEGs whole, also large ones, and resize images whole; slower.")


class ExplainRequest(ExplainOptions):
    """Either `image_url` or `image`, and options."""

    # Shown on the page; `examples` itself would have fuzzers fetch from that address.
    model_config = ConfigDict(
        json_schema_extra={"x-examples": [{"image_url": "https://example.com/cat.jpg", "class": "tabby"}]}
    )

    image_url: str | None = absent("The URL of an image, http or https, or a data: URL.")
    image: str | None = absent("An image in base64, or as a data: URL.")


class ExplainFormRequest(ExplainOptions):
    """The text fields of a form; the image comes as a file named `image`."""

    image_url: str | None = absent("The URL of an image, if no file is sent.")
    image: str | None = absent("An image in base64, if no file is sent.")


class ExplainFileRequest(ExplainOptions):
    """A form with a file, or with an `image_url`."""

    image_url: str | None = absent("The URL of an image, if no file is sent.")
    image: Annotated[Any, _FILE] = None


class ExplainedClass(BaseModel):
    """A class."""

    label: str
    index: int = Field(description="The index of the class in the model's output.")


class ImageSize(BaseModel):
    """The size of an upright image in pixels."""

    width: int
    height: int


class Explanation(BaseModel):
    """Which parts of an image speak for a class, and which against it."""

    name: str | None = Field(None, description="The name of the image's file in the form, if it has one.")
    explained: ExplainedClass = Field(alias="class")
    confidence: float = Field(description="Of the class, for the image as it is.")
    method: Literal["cam", "masks"]
    runs: int = Field(description="Runs of the model that the map is made of.")
    fidelity: float | None = Field(
        description="R2 of `masks`, 0 to 1: how much of the variance of the confidences the map foretells "
        "for masks that it was not made of. Below 0.2 it is not to be trusted. Null for `cam`."
    )
    grid: list[list[float]] = Field(
        description="The map over `box`, row by row: numbers above 0 speak for the class, below 0 against "
        "it. With `masks`, what a part adds to the confidence; with `cam`, what it adds to the score before "
        "the activation."
    )
    image: ImageSize
    box: list[float] = Field(
        description="The part of the image that the model saw: left, top, right and bottom in its pixels. It "
        "reaches beyond the image where the preprocessing adds an edge.",
        min_length=4,
        max_length=4,
    )
    model: ModelRef
    overlay: str | None = Field(
        None, description="The map over the image as a data: URL of a PNG, if the request asked for it."
    )
