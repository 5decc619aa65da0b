"""What the reports of a check and of an evaluation look like, and the request for an evaluation."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, WithJsonSchema

from predictor.store.registry import DEFAULT
from predictor.web.schemas import ModelName, ModelRef, Tensor, absent

CHOSEN = BeforeValidator(lambda value: None if value == "" else value)
"""A field of the page in which nothing was chosen is one that was not sent."""


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
    final_layers: dict[str, Any] | None = Field(
        None, description="The tensors at the end of a network that has a class activation map."
    )
    run_seconds: float | None = Field(None, description="Seconds of a run with one image on the CPU.")
    cuda: OnGpu | None = Field(None, description="The same figures on the GPU, if the workers use one.")


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
    labels_from: str | None = Field(
        None,
        description="What the labels were taken from: tables by their names, or names of folders or files.",
    )
    notice: str | None = Field(None, description="What was noticed of the labels before anything ran.")


class Ranking(PicturesReport):
    """Plausible preprocessings of a model, the best first."""

    labelled: bool = Field(
        description="Whether labels decide the ranking; else the mean confidence, which is weaker evidence."
    )
    basis: str
    notice: str | None = Field(None, description="What was noticed of the labels before anything ran.")
    candidates: list[dict[str, Any]]
