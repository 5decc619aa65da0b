"""What requests and answers about faster forms of models look like."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from predictor.web.model_schemas import FORCE
from predictor.web.report_schemas import LeftOut
from predictor.web.schemas import ModelRef, absent


class OptimiseRequest(BaseModel):
    """The text fields of an optimisation."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = absent("The model's version; by default the live version.", ge=1)
    limit: int | None = absent("Maximum number of images that are used, balanced between the classes.", ge=1)
    max_loss: float = Field(
        0.5,
        ge=0,
        le=100,
        allow_inf_nan=False,
        description="Percentage points of top-1 accuracy that may be lost.",
    )


_FILES = WithJsonSchema(
    {
        "type": "array",
        "items": {"type": "string", "format": "binary"},
        "description": "A ZIP file of images, or the images themselves; with their classes if these are "
        "known, in the same forms as for an evaluation.",
    }
)


class OptimiseForm(OptimiseRequest):
    """A form with the images."""

    model_config = ConfigDict(json_schema_extra={"required": ["images"]})

    images: Annotated[list[Any], _FILES] = Field(default=[])


class PublishRequest(BaseModel):
    """The version whose faster form is published."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = absent("The version that was optimised; by default the live version.", ge=1)
    digest: str | None = absent("The `digest` in the report of the form that is meant.", max_length=100)
    force: bool | None = FORCE


class Pace(BaseModel):
    """How fast a candidate is beside the original, both measured in turns; rates are images a second."""

    rate: float
    original_rate: float
    ratio: float = Field(description="How many times as fast as the original, the median of all turns.")
    p50_ms: float
    p99_ms: float
    original_p50_ms: float
    original_p99_ms: float


class Speed(BaseModel):
    """One process alone, and one for each core."""

    alone: Pace
    all_cores: Pace
    cores: int


class Candidate(BaseModel):
    """A faster form of a model."""

    model_config = ConfigDict(extra="allow")

    key: str
    what: list[str] = Field(description="How it was made.")
    bytes: int = Field(description="Size of its file.")
    memory_bytes: int = Field(description="Memory that loading and running it takes.")
    speed: Speed
    agreement: dict[str, Any] = Field(
        description="The share of images with the class of the original, or with all its classes."
    )
    confidence: dict[str, float] = Field(
        description="Mean and largest difference of the confidence of the original's class."
    )
    expected_loss: dict[str, float] = Field(
        description="Loss of accuracy by the original's confidences, and `high`, how much it may be."
    )
    objections: list[str] = Field(description="Why it is not recommended; empty if it may be.")
    recommended: bool


class Optimisation(BaseModel):
    """Faster forms of a model, with the proof of each; shares are from 0 to 1."""

    model_config = ConfigDict(extra="allow")

    model: ModelRef
    images: int
    calibration_images: int = Field(description="Images that showed the ranges of numbers.")
    judged_images: int = Field(description="Other images, on which all figures rest.")
    labelled: bool
    max_loss: float
    basis: str = Field(description="What a recommendation rests on.")
    processor: dict[str, Any] = Field(description="The processor for which all of this holds.")
    original: dict[str, Any]
    candidates: list[Candidate]
    skipped: list[str] = Field(description="Forms that were not made, and why.")
    recommended: str | None = Field(description="The key of the recommended candidate; null without one.")
    digest: str | None = Field(
        description="`sha256:` and the digest of the recommended form's file; null without one."
    )
    notice: str | None = Field(None, description="What was noticed of the labels before anything ran.")
    left_out: int
    problems: list[LeftOut]
    without_class: list[LeftOut] = Field(
        description="The first images that are used, although their label is no class of the model."
    )
