"""What requests and answers about evaluations look like."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from predictor.store.registry import DEFAULT
from predictor.web.schemas import ModelName, ModelRef, absent

CHOSEN = BeforeValidator(lambda value: None if value == "" else value)
"""A field of the page in which nothing was chosen is one that was not sent."""


class EvaluationRequest(BaseModel):
    """The text fields of an evaluation."""

    model_config = ConfigDict(extra="forbid")

    model: ModelName = DEFAULT
    version: Annotated[int | None, CHOSEN] = absent("The model's version; by default the live version.", ge=1)
    limit: int | None = absent("Maximum number of images that are used, balanced between the classes.", ge=1)
    precision: Annotated[float | None, CHOSEN] = absent(
        "Suggest thresholds with which answers are right as often as this; of no use for `/tune`.",
        gt=0,
        le=1,
        allow_inf_nan=False,
    )


_FILES = WithJsonSchema(
    {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": "A ZIP file of class folders, or the images themselves, named with their folders.",
    }
)


PICTURES = Annotated[list[Any], _FILES]
"""The type of the field with the images."""


class EvaluationForm(EvaluationRequest):
    """A form with the images."""

    model_config = ConfigDict(json_schema_extra={"required": ["pictures"]})

    pictures: PICTURES = Field(default=[])


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


class NamedClass(BaseModel):
    """A class."""

    index: int
    label: str


class Matrix(BaseModel):
    """A confusion matrix."""

    classes: list[NamedClass] = Field(description="Classes that occur, in order of rows and columns.")
    counts: list[list[int]] | None = Field(
        description="Rows of true and columns of predicted classes; null with more than 50 classes."
    )
    entries: list[list[int]] = Field(
        description="For each pair that occurs: the index of the true class, of the predicted class, and "
        "the number of images."
    )


class JudgedImage(BaseModel):
    """An image with its class and the answer."""

    model_config = ConfigDict(extra="allow")

    file: str
    truth: NamedClass | None = Field(description="Its class; null where no class applies.")
    predicted: NamedClass
    confidence: float
    outcome: Literal["right", "unsure", "wrong"] = Field(
        description="`unsure`: right, with a confidence below 0.5 or below the version's threshold. Where "
        "classes are independent, `right` if just those are named that apply, else `wrong`."
    )
    truths: list[NamedClass] | None = absent("All its classes, where there may be several.")
    missed: list[NamedClass] | None = absent("Independent classes that apply and are not named.")
    extra: list[NamedClass] | None = absent("Independent classes that are named and do not apply.")
    thumbnail: str | None = Field(
        None, description="A small copy as a data: URL, of wrong and unsure images, for pages only."
    )


class Evaluation(PicturesReport):
    """Results of a model on labelled images."""

    accuracy: Share = Field(
        description="Images that are right: where classes are independent, those of which just the classes "
        "that apply are named; else as `top1`."
    )
    top1: Share = Field(description="Images with a class whose most confident class applies.")
    top5: Share
    f1: dict[str, float] = Field(
        description="Mean F1: `macro` counts each class once, `weighted` as often as it has images."
    )
    classes: list[dict[str, Any]] = Field(
        description="Accuracy, precision, recall and F1 of each class that has images or is predicted, the "
        "least accurate first."
    )
    confusions: list[dict[str, Any]] = Field(description="Confusions, the most frequent first.")
    matrix: Matrix | None = Field(description="The confusion matrix; null where classes are independent.")
    calibration: dict[str, Any] = Field(
        description="The expected calibration error and its bins; `fit` has what was fitted on half of the "
        "images and tested on the other half."
    )
    latency: dict[str, Any] = Field(description="Latency of an image in milliseconds.")
    images: list[JudgedImage] = Field(description="All images: wrong ones, unsure ones, right ones.")
    notice: str | None = Field(None, description="What was noticed of the labels before anything ran.")


class Ranking(PicturesReport):
    """Plausible preprocessings of a model, the best first."""

    labelled: bool = Field(
        description="Whether labels decide the ranking; else the mean confidence, which is weaker evidence."
    )
    basis: str
    candidates: list[dict[str, Any]]
