"""What requests and answers about evaluations look like."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from predictor.store.registry import DEFAULT
from predictor.web.schemas import ModelName, ModelRef, absent


class EvaluationRequest(BaseModel):
    """The text fields of an evaluation."""

    model_config = ConfigDict(extra="forbid")

    model: ModelName = DEFAULT
    version: int | None = absent("The model's version; by default the live version.", ge=1)
    limit: int | None = absent("Maximum number of images that are used, balanced between the classes.", ge=1)


_FILES = WithJsonSchema(
    {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": "A ZIP file of class folders, or the images themselves, named with their folders.",
    }
)


class EvaluationForm(EvaluationRequest):
    """A form with the images."""

    model_config = ConfigDict(json_schema_extra={"required": ["pictures"]})

    pictures: Annotated[list[Any], _FILES] = Field(default=[])


class Share(BaseModel):
    """A share of images, with its 95 % confidence interval."""

    value: float
    low: float
    high: float
    hits: int
    of: int


class LeftOut(BaseModel):
    """An image that was left out."""

    file: str
    problem: str


class PicturesReport(BaseModel):
    """Fields of every report."""

    model_config = ConfigDict(extra="allow")

    model: ModelRef
    pictures: int
    left_out: int
    problems: list[LeftOut]


class Evaluation(PicturesReport):
    """Results of a model on labelled images."""

    top1: Share
    top5: Share
    classes: list[dict[str, Any]] = Field(description="Accuracy of each class, the worst first.")
    confusions: list[dict[str, Any]] = Field(description="Confusions, the most frequent first.")
    calibration: dict[str, Any] = Field(description="The expected calibration error and its bins.")
    latency: dict[str, Any] = Field(description="Latency of an image in milliseconds.")


class Ranking(PicturesReport):
    """Plausible preprocessings of a model, the best first."""

    labelled: bool = Field(
        description="Whether labels decide the ranking; else the mean confidence, which is weaker evidence."
    )
    basis: str
    candidates: list[dict[str, Any]]
