"""What the report of an upload's check looks like."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from predictor.web.schemas import Tensor


class OnGpu(BaseModel):
    """The figures of a model on a GPU."""

    device: str = Field(description="The name of the GPU.")
    load_seconds: float
    run_seconds: float = Field(description="Seconds of a run with one image.")
    batch: int = Field(description="Images in the largest batch of the check.")
    batch_seconds: float = Field(description="Seconds of a run with that batch.")
    memory_bytes: int | None = Field(description="Bytes of GPU memory that the model uses.")


class FileUse(BaseModel):
    """What a file of an upload was used for."""

    name: str = Field(description="The path of the file, as it was sent.")
    use: Literal["model", "weights", "labels", "preprocessing", "calibration", "not used"]


class Source(BaseModel):
    """Where the files of a version were fetched."""

    source: str = Field(description="The source as it was asked for, without a query.")
    revision: str | None = Field(
        description="What names exactly these files there: a commit, a version or a digest."
    )


class Report(BaseModel):
    """What the check found out about a model, and how."""

    model_config = ConfigDict(extra="allow")

    inputs: list[Tensor]
    outputs: list[Tensor]
    preprocessing: dict[str, Any] = Field(
        description="The preprocessing: how an image becomes the model's input."
    )
    activation: str = Field(description="Activation that is applied to the scores: none, softmax or sigmoid.")
    binary: bool | None = Field(
        None, description="Whether one score separates two classes: it is the confidence of the second class."
    )
    classes: int
    reasons: dict[str, str] = Field(description="The reason for each choice.")
    warnings: list[str]
    adapted: list[str] | None = Field(
        None, description="What was changed in the model so that it can be served; the scores stay the same."
    )
    heads: list[str] | None = Field(
        None, description="Outputs that may hold class scores; `output` in the preprocessing chooses one."
    )
    files: list[FileUse] = Field([], description="What each file of the upload was used for.")
    calibration: dict[str, Any] | None = Field(
        None, description="The temperatures and thresholds of the version, as they were sent."
    )
    golden: dict[str, Any] | None = Field(
        None,
        description="How the version did on the golden images: `right`, `of`, `least`, `forced`, `wrong`; "
        "`forced` and `problem` where it was forced although they could not judge it.",
    )
    source: Source | None = Field(None, description="Where the files were fetched, if they were not sent.")
    signed: bool | None = Field(
        None, description="Whether the files have a valid signature; only where one is demanded."
    )
    run_seconds: float | None = Field(None, description="Seconds of a run with one image on the CPU.")
    cuda: OnGpu | None = Field(None, description="The same figures on the GPU, if the workers use one.")
