"""The API: what keeps the answers of a name good: calibrated confidences, and golden images."""

from typing import Annotated, Any

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel, ConfigDict, Field

from predictor.errors import (
    Forbidden,
    InvalidModel,
    InvalidRequest,
    ModelConflict,
    ModelNotFound,
    ModelTooLarge,
    NotReady,
    StorageFull,
    Unauthorized,
)
from predictor.model_files import CALIBRATION
from predictor.runtime.worker import Worker
from predictor.web import labelled_images, model_schemas, uploads
from predictor.web.access import require_admin
from predictor.web.model_schemas import Machines, RevisionOptions
from predictor.web.models import model_name, published_answer
from predictor.web.openapi import operation
from predictor.web.report_schemas import CHOSEN, PICTURES
from predictor.web.schemas import absent

NAME = "quality"
"""The blueprint's name."""

_MAY = (InvalidRequest, Unauthorized, Forbidden, ModelNotFound, ModelConflict, StorageFull)
_CHANGE = (*_MAY, InvalidModel, NotReady, ModelTooLarge)


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


def blueprint(worker: Worker) -> Blueprint:
    """Routes of calibrations and golden images."""
    routes = Blueprint(NAME, __name__)
    _calibrate(routes, worker)
    _show_golden(routes, worker)
    _change_golden(routes, worker)
    return routes


def _calibrate(routes: Blueprint, worker: Worker) -> None:
    @routes.post("/models/<name>/calibration")
    @operation(
        name="set_calibration",
        tag="Models",
        path=model_schemas.ModelPath,
        query=model_schemas.RevisionOptions,
        bodies={
            "application/json": CalibrationBody,
            "application/x-www-form-urlencoded": CalibrationForm,
            "multipart/form-data": CalibrationForm,
        },
        answers={"application/json": model_schemas.Uploaded},
        errors=_CHANGE,
    )
    def calibrate(name: str) -> Response:
        """Publish a version with calibrated confidences.

        The body is what an evaluation suggests as `calibration.fit.calibration`. The new version has the
        files of the live version, or of the given one. Its answers have `confidence` and `raw_confidence`,
        and leave out classes below its thresholds unless the request has a `threshold` of its own.
        """
        require_admin(request, worker.settings)
        asked, text = uploads.revision(request, CalibrationForm, CALIBRATION)
        revised = worker.uploads.revise(
            model_name(name),
            asked.version,
            text,
            request.remote_addr,
            file=CALIBRATION,
            force=bool(asked.force),
        )
        return published_answer(worker, revised)


def _show_golden(routes: Blueprint, worker: Worker) -> None:
    @routes.get("/models/<name>/golden")
    @operation(
        name="get_golden_images",
        tag="Models",
        path=model_schemas.ModelPath,
        answers={"application/json": Golden},
        errors=_MAY,
    )
    def show(name: str) -> Response:
        """Show the golden images of a model."""
        require_admin(request, worker.settings)
        known = model_name(name)
        worker.registry.name(known)
        return jsonify(worker.gate.show(known))


def _change_golden(routes: Blueprint, worker: Worker) -> None:
    @routes.post("/models/<name>/golden")
    @operation(
        name="set_golden_images",
        tag="Models",
        path=model_schemas.ModelPath,
        bodies={"multipart/form-data": GoldenForm},
        answers={"application/json": Golden},
        errors=_CHANGE,
    )
    def keep(name: str) -> Response:
        """Keep labelled images that every new version must get right.

        They come in the same forms as for an evaluation, and replace those that the model has. An upload, a
        new preprocessing or calibration, and an activation that gets fewer than `least` of them right is
        refused, unless it has `force=true`.
        """
        require_admin(request, worker.settings)
        model = worker.engine.model(model_name(name))
        with worker.uploads.attempt(), worker.transactions.staging.new_folder() as folder:
            sent = labelled_images.receive(worker.settings, folder, GoldenRequest)
            kept = worker.gate.keep(model, sent.images, sent.fields.least, request.remote_addr)
        return _changed(worker, kept)

    @routes.delete("/models/<name>/golden")
    @operation(
        name="delete_golden_images",
        tag="Models",
        path=model_schemas.ModelPath,
        answers={"application/json": Golden},
        errors=(*_MAY, NotReady),
    )
    def remove(name: str) -> Response:
        """Delete the golden images of a model, so that every version may serve."""
        require_admin(request, worker.settings)
        known = model_name(name)
        with worker.uploads.attempt():
            worker.gate.remove(known)
        return _changed(worker, worker.gate.show(known))


def _changed(worker: Worker, golden: dict[str, Any]) -> Response:
    """The answer to a change of golden images."""
    return jsonify(golden if worker.cluster is None else golden | {"machines": worker.cluster.machines})
