"""Comparisons over HTTP: two versions, or a version and a candidate, on the same labelled images."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

from flask import Blueprint, Response, request
from pydantic import BaseModel, ConfigDict, Field

from predictor.errors import InvalidRequest
from predictor.evaluation.classes import Classes
from predictor.evaluation.tune import sample
from predictor.inference.loader import LoadedModel
from predictor.runtime.evaluations import Step
from predictor.runtime.worker import Worker
from predictor.store.registry import DEFAULT, ModelVersion
from predictor.web import evaluations, forms, labelled_images, schemas, steps, uploads
from predictor.web.access import require_admin
from predictor.web.model_schemas import file_field
from predictor.web.openapi import OF_LABELLED_IMAGES, TEXT, operation
from predictor.web.report_schemas import CHOSEN, PICTURES, PicturesReport, Share
from predictor.web.schemas import ModelName, ModelRef, absent
from predictor.web.steps import LINES

NAME = "comparisons"
"""The blueprint's name."""

CANDIDATE = "candidate"
"""The field of a candidate's file."""

_COMPANIONS = ("labels", "preprocessing")


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


def blueprint(worker: Worker) -> Blueprint:
    """The route of comparisons."""
    routes = Blueprint(NAME, __name__)

    @routes.post("/compare")
    @operation(
        name="compare",
        tag="Evaluation",
        bodies={"multipart/form-data": CompareForm},
        answers={"application/json": Comparison, LINES: TEXT},
        errors=OF_LABELLED_IMAGES,
    )
    def compare() -> Response:
        """Compare two models on the same labelled images.

        The second one is another version, another model, or a file that is not uploaded yet, which is checked
        as an upload is. With `Accept: application/x-ndjson` the answer reports the progress.
        """
        require_admin(request, worker.settings)
        with ExitStack() as held:
            begun = _begun(worker, held)
            return steps.answer(begun, held, lambda report: evaluations.render(worker, report=report))

    return routes


def _begun(worker: Worker, held: ExitStack) -> Iterator[Step]:
    """Receive the images and begin."""
    folder = held.enter_context(worker.transactions.staging.new_folder())
    sent = labelled_images.receive(worker.settings, folder, CompareRequest, (CANDIDATE, *_COMPANIONS))
    asked: CompareRequest = sent.fields
    first = worker.engine.model(asked.model, asked.version)
    second, other = _second(worker, asked, first, sent.others, folder / CANDIDATE)
    images = sample(sent.images, asked.limit, Classes(first.spec.labels))
    names = _named(worker, first.version), _named(worker, second.version)
    work = worker.evaluations.compare(first, second, images, names=names, thumbnails=steps.wants_thumbnails())
    about = {
        "model": schemas.model_json(first.version),
        "other": other,
        "memory": [_memory(worker, model) for model in (first, second)],
    }
    return steps.begun(work, held, about)


def _named(worker: Worker, version: ModelVersion) -> str:
    """What a sentence calls one of the two models."""
    if version.version == 0:  # it gets its number when it is published
        return "the candidate"
    live = worker.registry.name(version.name).live == version.version
    return f"{'the live ' if live else ''}version {version.version} of {version.name}"


def _second(
    worker: Worker,
    asked: CompareRequest,
    first: LoadedModel,
    files: Sequence[forms.ReceivedFile],
    folder: Path,
) -> tuple[LoadedModel, dict[str, Any]]:
    """The model that the first is compared with, and how the report names it."""
    if any(file.field == CANDIDATE for file in files):
        if asked.other_model or asked.other_version:
            raise InvalidRequest("Give either a candidate or another version, not both.")
        return _candidate(worker, asked.model, files, folder)
    if files:
        raise InvalidRequest(f"{files[0].field}: this belongs to a file in the field {CANDIDATE}.")
    name, version = asked.other_model or asked.model, asked.other_version
    if version is None and name == first.version.name:
        known = worker.registry.name(name)
        version = known.before() if known.live == first.version.version else known.live
        if version is None:
            raise InvalidRequest(
                "There is no earlier version: give other_version, or a file in the field candidate."
            )
    model = worker.engine.model(name, version)
    return model, schemas.model_json(model.version)


def _candidate(
    worker: Worker, name: str, files: Sequence[forms.ReceivedFile], folder: Path
) -> tuple[LoadedModel, dict[str, Any]]:
    """Check the files of a candidate in a folder of its own, and load it."""
    folder.mkdir()
    parts = [replace(file, field="model") if file.field == CANDIDATE else file for file in files]
    received = uploads.laid_out(parts, folder, worker.settings)
    version = worker.uploads.candidate(folder, replace(received, name=name, by=request.remote_addr))
    title = "candidate" if version.manifest is None else version.manifest.model
    return worker.load(version), {"name": title, "version": None, "digest": version.digest}


def _memory(worker: Worker, model: LoadedModel) -> dict[str, Any]:
    report = worker.report(model.version)
    cuda = report.get("cuda") or {}
    return {
        "file_bytes": model.bytes,
        "check_bytes": report.get("memory_bytes"),
        "gpu_bytes": cuda.get("memory_bytes"),
    }
