"""What requests and answers about models look like."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from predictor.sources.pull import MAX_SOURCE
from predictor.store.publish import Published
from predictor.store.registry import DEFAULT
from predictor.web.schemas import ModelName, ModelRef, Tensor, absent, model_json


def _file(description: str) -> Any:
    schema = {"type": "string", "format": "binary", "description": description}
    return Annotated[Any, WithJsonSchema(schema)]


class UploadRequest(BaseModel):
    """The text fields of an upload."""

    model_config = ConfigDict(extra="forbid")

    name: ModelName = DEFAULT
    file: str | None = absent(
        "Which ONNX file is the model, if there are several: its path, or the end of it.",
        max_length=500,
    )
    source: str | None = absent(
        "Where the service fetches the model instead, such as `hf:org/name@revision`.", max_length=MAX_SOURCE
    )


class UploadForm(UploadRequest):
    """A form with the files of a model, `model`, `files` or both, or with its `source`."""

    model: _file("The ONNX file, or a ZIP file of it and what belongs to it.") = None  # type: ignore[valid-type]
    files: list[_file("A file.")] = Field(  # type: ignore[valid-type]
        [],
        description="What else belongs to the model: weights, labels, preprocessing, or all of it.",
    )
    labels: _file("The classes in order of their index, as JSON or text.") = None  # type: ignore[valid-type]
    preprocessing: _file("The preprocessing: how an image becomes the model's input, as JSON.") = None  # type: ignore[valid-type]


class ActivateRequest(BaseModel):
    """The version to activate."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"x-examples": [{"version": 1}]})

    version: int = Field(ge=1, description="The version.")


class RevisionOptions(BaseModel):
    """The version on which the new one is based."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = absent("The version whose files are used; by default the live version.", ge=1)


class RevisionForm(RevisionOptions):
    """The page's form."""

    preprocessing: str = Field(description="The preprocessing, as JSON.")


class ModelPath(BaseModel):
    """The model in a path."""

    name: ModelName


class VersionPath(ModelPath):
    """The version of a model in a path."""

    version: int = Field(ge=1, description="The version.")


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
    use: Literal["model", "weights", "labels", "preprocessing", "not used"]


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
    source: Source | None = Field(None, description="Where the files were fetched, if they were not sent.")
    signed: bool | None = Field(
        None, description="Whether the files have a valid signature; only where one is demanded."
    )
    run_seconds: float | None = Field(None, description="Seconds of a run with one image on the CPU.")
    cuda: OnGpu | None = Field(None, description="The same figures on the GPU, if the workers use one.")


class Uploaded(ModelRef):
    """The version that is live now."""

    status: Literal["success"]
    model: str = Field(description="The name of the model file.")
    labels: str | None = Field(description="The name of the labels file; null without labels.")
    report: Report
    unchanged: bool = Field(
        description="True where the live version has exactly these files already: it stays live under its "
        "number, and no new version was made. `model`, `labels` and `report` are those of its own upload."
    )


class Changed(ModelRef):
    """The version that is live now."""

    status: Literal["success"]


class Deleted(BaseModel):
    """The version is deleted."""

    status: Literal["success"]
    name: str
    version: int


class DeletedModel(BaseModel):
    """The model is deleted with all its versions."""

    status: Literal["success"]
    name: str
    versions: list[int] = Field(description="The versions that were deleted.")


class Version(BaseModel):
    """One version of a model."""

    version: int
    digest: str
    live: bool
    created: str | None = Field(
        description="Time of the upload; null for the version that ships with the service."
    )
    model: str = Field(description="The name of the model file.")
    labels: str | None = Field(description="The name of the labels file; null without labels.")
    files: dict[str, dict[str, Any]] = Field(description="Digest and size of each file.")
    quarantined: str | None = Field(description="Reason for the quarantine; null without one.")
    classes: int | None
    preprocessing: dict[str, Any] | None
    report: Report | None


class Event(BaseModel):
    """A change of the live version."""

    time: str
    action: Literal["upload", "activate", "rollback", "quarantine", "load", "unload"]
    version: int | None


class Model(BaseModel):
    """The versions of a model."""

    name: str
    live: int | None = Field(description="The live version; null if no version can serve.")
    before: int | None = Field(description="The version that a rollback activates; null without one.")
    versions: list[Version] = Field(description="The newest first.")
    history: list[Event] = Field(description="The latest change last.")


class Models(BaseModel):
    """All models."""

    models: list[Model]


def uploaded_json(published: Published, report: Mapping[str, Any]) -> dict[str, Any]:
    """An upload that serves (`Uploaded`), with the report of the version that is live."""
    version, manifest = published.version, published.version.manifest
    return {
        "status": "success",
        "model": version.path.name if manifest is None else manifest.model,
        "labels": None if manifest is None else manifest.labels,
        "report": report,
        "unchanged": published.unchanged,
        **model_json(version),
    }
