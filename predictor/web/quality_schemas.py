"""What requests and answers about calibrations, golden images and comparisons look like."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field

from predictor.store.registry import DEFAULT
from predictor.web.model_schemas import Machines, RevisionOptions, file_field
from predictor.web.report_schemas import CHOSEN, PICTURES, PicturesReport, Share
from predictor.web.schemas import ModelName, ModelRef, absent


class CalibrationBody(BaseModel):
    """Temperatures that logits are divided by, and thresholds."""

    model_config = ConfigDict(
        extra="forbid", json_schema_extra={"x-examples": [{"temperature": 1.4, "threshold": 0.7}]}
    )

    temperature: float | None = absent("One temperature for all classes.", ge=0.05, le=20)
    temperatures: list[float] | None = absent("One for each class, where classes are independent.")
    threshold: float | None = absent("Classes with a lower confidence are left out.", ge=0, le=1)
    thresholds: list[float] | None = absent("The same for each class.")


class CalibrationForm(RevisionOptions):
    """The page's form."""

    calibration: str = Field(description="The calibration, as JSON.")


class GoldenRequest(BaseModel):
    """The text fields of golden images."""

    model_config = ConfigDict(extra="forbid")

    least: Annotated[int | None, CHOSEN] = absent(
        "How many a version must get right; by default as many as the live version does.", ge=0
    )


class GoldenForm(GoldenRequest):
    """A form with the images."""

    model_config = ConfigDict(json_schema_extra={"required": ["pictures"]})

    pictures: PICTURES = Field(default=[])


class GoldenImage(BaseModel):
    """A golden image."""

    file: str
    label: str


class Golden(BaseModel):
    """The golden images of a model."""

    model_config = ConfigDict(extra="allow")

    name: str
    images: list[GoldenImage]
    least: int = Field(description="How many a version must get right.")
    created: str | None = Field(description="When they were sent; null if there are none.")
    live: dict[str, Any] | None = Field(
        None, description="How the live version does, in the answer to new images: `right` and `wrong`."
    )
    machines: Machines | None = absent("The machines, where several share a store; in answers to changes.")


class CompareRequest(BaseModel):
    """The text fields of a comparison."""

    model_config = ConfigDict(extra="forbid")

    model: ModelName = DEFAULT
    version: Annotated[int | None, CHOSEN] = absent("Its version; by default the live version.", ge=1)
    other_model: Annotated[ModelName | None, CHOSEN] = absent(
        "The name of the second model; by default that of the first."
    )
    other_version: Annotated[int | None, CHOSEN] = absent(
        "The version of the second model; by default the one that was live before the first.", ge=1
    )
    limit: int | None = absent("Maximum number of images that are used, balanced between the classes.", ge=1)


class CompareForm(CompareRequest):
    """A form with the images, and perhaps the files of a candidate in place of a second version."""

    model_config = ConfigDict(json_schema_extra={"required": ["pictures"]})

    pictures: PICTURES = Field(default=[])
    candidate: file_field("The ONNX file or ZIP file of a model that is not uploaded yet.") = None  # type: ignore[valid-type]
    labels: file_field("The labels of the candidate.") = None  # type: ignore[valid-type]
    preprocessing: file_field("The preprocessing of the candidate.") = None  # type: ignore[valid-type]


class Difference(BaseModel):
    """The accuracy of the second less that of the first, with its 95 % confidence interval."""

    value: float
    low: float
    high: float


class OtherRef(BaseModel):
    """The second model; a candidate has no version."""

    name: str
    version: int | None
    digest: str


class Lacking(BaseModel):
    """The difference with the images whose class one of the models lacks, as wrong ones of that model."""

    pictures: list[int] = Field(description="Images whose class the first lacks, and the second.")
    difference: Difference
    p_value: float


class Comparison(PicturesReport):
    """Two models on the same labelled images."""

    model: ModelRef
    other: OtherRef
    accuracy: list[Share] = Field(
        description="Images that each gets right: where classes are independent, those of which just the "
        "classes that apply are named; else as `top1`."
    )
    top1: list[Share] = Field(description="Images with a class whose most confident class applies, of both.")
    both_right: int
    only_first_right: int
    only_second_right: int
    both_wrong: int
    difference: Difference
    p_value: float = Field(description="McNemar's exact test: how likely equally good models differ so much.")
    lacking: Lacking | None = Field(description="Null where both have the classes of all images.")
    agreement: Share = Field(description="Images for which both predict the same class.")
    calibration_error: list[float]
    latency: list[dict[str, Any]] = Field(description="Milliseconds of an image, of both.")
    memory: list[dict[str, Any]] = Field(
        description="Bytes of the files of both, and of memory in their checks, if known."
    )
    images: list[dict[str, Any]] = Field(description="Images for which the models predict different classes.")
