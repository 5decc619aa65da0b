"""What requests and answers about models look like."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from predictor.sources.pull import MAX_SOURCE
from predictor.store.publish import Published
from predictor.store.registry import DEFAULT
from predictor.web.report_schemas import Report
from predictor.web.schemas import ModelName, ModelRef, absent, model_json


def file_field(description: str) -> Any:
    """The type of a file of a form."""
    schema = {"type": "string", "format": "binary", "description": description}
    return Annotated[Any, WithJsonSchema(schema)]


FORCE: Any = absent("Make the version live although it gets too few golden images right; this is recorded.")
"""The option that overrules the gate of golden images."""


class UploadRequest(BaseModel):
    """The text fields of an upload."""

    model_config = ConfigDict(extra="forbid")

    name: ModelName = DEFAULT
    file: str | None = absent(
        "Which ONNX file is the model, if there are several: its path, or the end of it.",
        max_length=500,
    )
    force: bool | None = FORCE
    source: str | None = absent(
        "Where the service fetches the model instead, such as `hf:org/name@revision`.", max_length=MAX_SOURCE
    )


class UploadForm(UploadRequest):
    """A form with the files of a model, `model`, `files` or both, or with its `source`."""

    model: file_field("The ONNX file, or a ZIP file of it and what belongs to it.") = None  # type: ignore[valid-type]
    files: list[file_field("A file.")] = Field(  # type: ignore[valid-type]
        [],
        description="What else belongs to the model: weights, labels, preprocessing, or all of it.",
    )
    labels: file_field("The classes in order of their index, as JSON or text.") = None  # type: ignore[valid-type]
    preprocessing: file_field("The preprocessing: how an image becomes the model's input, as JSON.") = None  # type: ignore[valid-type]


class ActivateRequest(BaseModel):
    """The version to activate."""

    model_config = ConfigDict(extra="forbid", json_schema_extra={"x-examples": [{"version": 1}]})

    version: int = Field(ge=1, description="The version.")
    force: bool | None = FORCE


class RevisionOptions(BaseModel):
    """The version on which the new one is based."""

    model_config = ConfigDict(extra="forbid")

    version: int | None = absent("The version whose files are used; by default the live version.", ge=1)
    force: bool | None = FORCE


class RevisionForm(RevisionOptions):
    """The page's form."""

    preprocessing: str = Field(description="The preprocessing, as JSON.")


class ModelPath(BaseModel):
    """The model in a path."""

    name: ModelName


class VersionPath(ModelPath):
    """The version of a model in a path."""

    version: int = Field(ge=1, description="The version.")


class Machines(BaseModel):
    """The machines that share a store."""

    serving: int = Field(description="Machines that serve the change.")
    of: int = Field(description="Machines that live.")


class Change(BaseModel):
    """What answers to all changes have."""

    status: Literal["success"]
    machines: Machines | None = absent("The machines, where several share a store.")


class Uploaded(ModelRef, Change):
    """The version that is live now."""

    model: str = Field(description="The name of the model file.")
    labels: str | None = Field(description="The name of the labels file; null without labels.")
    report: Report
    unchanged: bool = Field(
        description="True where the live version has exactly these files already: it stays live under its "
        "number, and no new version was made. `model`, `labels` and `report` are those of its own upload."
    )


class Changed(ModelRef, Change):
    """The version that is live now."""


class Deleted(Change):
    """The version is deleted."""

    name: str
    version: int


class DeletedModel(Change):
    """The model is deleted with all its versions."""

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
    action: Literal[
        "upload", "activate", "rollback", "quarantine", "load", "unload", "upload_forced", "activate_forced"
    ] = Field(description="`_forced`: although it got too few golden images right.")
    version: int | None


class Model(BaseModel):
    """The versions of a model."""

    name: str
    live: int | None = Field(description="The live version; null if no version can serve.")
    before: int | None = Field(description="The version that a rollback activates; null without one.")
    versions: list[Version] = Field(description="The newest first.")
    history: list[Event] = Field(description="The latest change last.")


class Machine(BaseModel):
    """One of several machines that share a store."""

    name: str
    this: bool = Field(description="Whether it is the machine that answers.")
    serving: bool = Field(description="Whether it lives and serves the last change.")
    seconds: int = Field(description="Seconds from its last heartbeat to that of this machine.")


class Models(BaseModel):
    """All models."""

    models: list[Model]
    serial: int | None = absent("The number of the last change, where several machines share a store.")
    machines: list[Machine] | None = absent("The machines, where several share a store.")


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
