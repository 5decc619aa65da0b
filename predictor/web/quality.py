"""The API: what keeps the answers of a name good: calibrated confidences, and golden images."""

from typing import Any

from flask import Blueprint, Response, jsonify, request

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
from predictor.runtime.worker import Worker
from predictor.store.manifest import CALIBRATION
from predictor.web import labelled_images, model_schemas, quality_schemas, schemas, uploads
from predictor.web.access import require_admin
from predictor.web.models import published_answer
from predictor.web.openapi import operation

NAME = "quality"
"""The blueprint's name."""

_MAY = (InvalidRequest, Unauthorized, Forbidden, ModelNotFound, ModelConflict, StorageFull)
_CHANGE = (*_MAY, InvalidModel, NotReady, ModelTooLarge)


def blueprint(worker: Worker) -> Blueprint:
    """Routes of calibrations and golden images."""
    room = Blueprint(NAME, __name__)
    _calibrate(room, worker)
    _show_golden(room, worker)
    _change_golden(room, worker)
    return room


def _calibrate(room: Blueprint, worker: Worker) -> None:
    @room.post("/models/<name>/calibration")
    @operation(
        name="set_calibration",
        tag="Models",
        path=model_schemas.ModelPath,
        query=model_schemas.RevisionOptions,
        bodies={
            "application/json": quality_schemas.CalibrationBody,
            "application/x-www-form-urlencoded": quality_schemas.CalibrationForm,
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
        asked, text = uploads.revision(request, quality_schemas.CalibrationForm, CALIBRATION)
        revised = worker.uploads.revise(
            _name(name), asked.version, text, request.remote_addr, file=CALIBRATION, force=bool(asked.force)
        )
        return published_answer(worker, revised)


def _show_golden(room: Blueprint, worker: Worker) -> None:
    @room.get("/models/<name>/golden")
    @operation(
        name="get_golden_images",
        tag="Models",
        path=model_schemas.ModelPath,
        answers={"application/json": quality_schemas.Golden},
        errors=_MAY,
    )
    def show(name: str) -> Response:
        """Show the golden images of a model."""
        require_admin(request, worker.settings)
        known = _name(name)
        worker.registry.name(known)
        return jsonify(worker.gate.show(known))


def _change_golden(room: Blueprint, worker: Worker) -> None:
    @room.post("/models/<name>/golden")
    @operation(
        name="set_golden_images",
        tag="Models",
        path=model_schemas.ModelPath,
        bodies={"multipart/form-data": quality_schemas.GoldenForm},
        answers={"application/json": quality_schemas.Golden},
        errors=_CHANGE,
    )
    def keep(name: str) -> Response:
        """Keep labelled images that every new version must get right.

        They come in the same forms as for an evaluation, and replace those that the model has. An upload, a
        new preprocessing or calibration, and an activation that gets fewer than `least` of them right is
        refused, unless it has `force=true`.
        """
        require_admin(request, worker.settings)
        model = worker.engine.model(_name(name))
        with worker.transactions.staging.new_folder() as folder:
            sent = labelled_images.receive(worker.settings, folder, quality_schemas.GoldenRequest)
            kept = worker.gate.keep(model, sent.pictures, sent.fields.least, request.remote_addr)
        return _changed(worker, kept)

    @room.delete("/models/<name>/golden")
    @operation(
        name="delete_golden_images",
        tag="Models",
        path=model_schemas.ModelPath,
        answers={"application/json": quality_schemas.Golden},
        errors=(*_MAY, NotReady),
    )
    def remove(name: str) -> Response:
        """Delete the golden images of a model, so that every version may serve."""
        require_admin(request, worker.settings)
        known = _name(name)
        worker.gate.remove(known)
        return _changed(worker, worker.gate.show(known))


def _changed(worker: Worker, golden: dict[str, Any]) -> Response:
    """The answer to a change of golden images."""
    return jsonify(golden if worker.cluster is None else golden | {"machines": worker.cluster.machines})


def _name(name: str) -> str:
    values: dict[str, Any] = {"name": name}
    path: model_schemas.ModelPath = schemas.check(model_schemas.ModelPath, values, strict=False)
    return path.name
