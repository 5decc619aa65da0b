"""The API: upload models, see them, change which one serves."""

from typing import Any

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel

from predictor.errors import (
    FetchBlocked,
    FetchFailed,
    FetchTimeout,
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
from predictor.store.publish import Published
from predictor.store.registry import ModelVersion
from predictor.web import field_faults, model_schemas, pages, schemas, uploads
from predictor.web.access import require_admin
from predictor.web.flask_app import wants_page
from predictor.web.openapi import operation
from predictor.web.serializers import model_json, models_json

NAME = "models"
"""The blueprint's name."""
_MAY = (Unauthorized, Forbidden)
_FETCH = (FetchBlocked, FetchFailed, FetchTimeout)
_MAX_BODY_BYTES = 100_000
_CHANGE = (InvalidRequest, *_MAY, ModelNotFound, ModelConflict, InvalidModel, NotReady, StorageFull)


def blueprint(worker: Worker) -> Blueprint:
    """Routes of the models."""
    models = Blueprint(NAME, __name__)
    _upload(models, worker)
    _show(models, worker)
    _change(models, worker)
    _revise(models, worker)
    _delete(models, worker)
    return models


def _upload(models: Blueprint, worker: Worker) -> None:
    @models.post("/upload")
    @operation(
        name="upload_model",
        tag="Models",
        bodies={"multipart/form-data": model_schemas.UploadForm},
        answers={"application/json": model_schemas.Uploaded},
        errors=(
            *_FETCH,
            InvalidRequest,
            *_MAY,
            ModelConflict,
            ModelTooLarge,
            InvalidModel,
            NotReady,
            StorageFull,
        ),
    )
    def upload() -> Response:
        """Upload a model and make it live.

        A separate process checks the model first. A 200 answer means that every worker serves it; after any
        other answer every worker still serves the previous version. An upload of the live version's files
        changes nothing, and `unchanged` says so.
        """
        require_admin(request, worker.settings)
        published = worker.uploads.take(lambda folder: uploads.receive(request, worker.settings, folder))
        return published_answer(worker, published)


def _show(models: Blueprint, worker: Worker) -> None:
    @models.get("/models")
    @operation(name="list_models", tag="Models", answers={"application/json": model_schemas.Models})
    def every() -> Response:
        """List all models and their versions."""
        return jsonify(models_json(worker))

    @models.get("/models/<name>")
    @operation(
        name="get_model",
        tag="Models",
        path=model_schemas.ModelPath,
        answers={"application/json": model_schemas.Model},
        errors=(InvalidRequest, ModelNotFound),
    )
    def one(name: str) -> Response:
        """Show a model and its versions."""
        return jsonify(model_json(worker, model_name(name)))


def _change(models: Blueprint, worker: Worker) -> None:
    @models.post("/models/<name>/activate")
    @operation(
        name="activate_version",
        tag="Models",
        path=model_schemas.ModelPath,
        bodies={
            "application/json": model_schemas.ActivateRequest,
            "application/x-www-form-urlencoded": model_schemas.ActivateRequest,
        },
        answers={"application/json": model_schemas.Changed},
        errors=_CHANGE,
    )
    def activate(name: str) -> Response:
        """Activate another version."""
        require_admin(request, worker.settings)
        wanted: model_schemas.ActivateRequest = small_body(model_schemas.ActivateRequest)
        version = worker.uploads.activate(model_name(name), wanted.version, force=bool(wanted.force))
        return _changed(worker, version)

    @models.post("/models/<name>/rollback")
    @operation(
        name="roll_back",
        tag="Models",
        path=model_schemas.ModelPath,
        answers={"application/json": model_schemas.Changed},
        errors=_CHANGE,
    )
    def rollback(name: str) -> Response:
        """Roll back to the version that was live before."""
        require_admin(request, worker.settings)
        version = worker.uploads.change(lambda: worker.publisher.rollback(model_name(name)))
        return _changed(worker, version)


def _revise(models: Blueprint, worker: Worker) -> None:
    @models.post("/models/<name>/preprocessing")
    @operation(
        name="set_preprocessing",
        tag="Models",
        path=model_schemas.ModelPath,
        query=model_schemas.RevisionOptions,
        bodies={
            "application/json": {"type": "object", "x-examples": [{"size": [224, 224], "resize": "stretch"}]},
            "application/x-www-form-urlencoded": model_schemas.RevisionForm,
            "multipart/form-data": model_schemas.RevisionForm,
        },
        answers={"application/json": model_schemas.Uploaded},
        errors=(*_CHANGE, ModelTooLarge),
    )
    def preprocessing(name: str) -> Response:
        """Publish a version with another preprocessing.

        The body is a preprocessing file in any supported format. The new version has the files of the live
        version, or of the given one, and is checked like any upload.
        """
        require_admin(request, worker.settings)
        asked, text = uploads.revision(request, model_schemas.RevisionForm, "preprocessing")
        force = bool(asked.force)
        revised = worker.uploads.revise(
            model_name(name), asked.version, text, request.remote_addr, force=force
        )
        return published_answer(worker, revised)


def _delete(models: Blueprint, worker: Worker) -> None:
    @models.delete("/models/<name>/versions/<version>")
    @operation(
        name="delete_version",
        tag="Models",
        path=model_schemas.VersionPath,
        answers={"application/json": model_schemas.Deleted},
        errors=(InvalidRequest, *_MAY, ModelNotFound, ModelConflict, StorageFull),
    )
    def delete(name: str, version: str) -> Response:
        """Delete a version that is not live."""
        require_admin(request, worker.settings)
        values = {"name": name, "version": version}
        wanted: model_schemas.VersionPath = schemas.check(model_schemas.VersionPath, values, strict=False)
        with worker.uploads.attempt():
            worker.publisher.delete(wanted.name, wanted.version)
        answer = {"status": "success", "name": wanted.name, "version": wanted.version}
        return _answer(worker, answer, message=f"Version {wanted.version} of {wanted.name} is deleted.")

    @models.delete("/models/<name>")
    @operation(
        name="delete_model",
        tag="Models",
        path=model_schemas.ModelPath,
        answers={"application/json": model_schemas.DeletedModel},
        errors=(InvalidRequest, *_MAY, ModelNotFound, ModelConflict, NotReady, StorageFull),
    )
    def delete_name(name: str) -> Response:
        """Delete a model with all its versions, except `default`.

        A 200 answer means that no worker serves it any more: predictions with it are answered with
        `model_not_found`. After any other answer every worker still serves it.
        """
        require_admin(request, worker.settings)
        wanted = model_name(name)
        versions = worker.uploads.change(lambda: worker.publisher.delete_name(wanted))
        answer = {"status": "success", "name": wanted, "versions": versions}
        return _answer(worker, answer, message=f"The model {wanted} is deleted.")


def model_name(name: str) -> str:
    """The name of a model in a path.

    Raises:
        InvalidRequest: it cannot be one.
    """
    path: model_schemas.ModelPath = schemas.check(model_schemas.ModelPath, {"name": name}, strict=False)
    return path.name


def small_body(schema: type[BaseModel], empty: bytes = b"") -> Any:
    """A page's form, or JSON, which `curl -d` declares to be a form, too.

    Args:
        schema: of its fields.
        empty: the JSON that an empty body stands for.

    Raises:
        InvalidRequest: it is neither; the message names the first field that is wrong.
    """
    request.max_content_length = _MAX_BODY_BYTES
    data = request.get_data().strip() or empty
    if data != empty and schemas.is_form(request):
        return schemas.check(schema, field_faults.texts(request.form), strict=False)
    return schemas.parse(data, schema)


def published_answer(worker: Worker, published: Published) -> Response:
    """The answer to what made a version live: JSON for a script, the page for a browser."""
    uploaded = model_schemas.uploaded_json(published, worker.report(published.version))
    return _answer(worker, uploaded, uploaded=uploaded)


def _changed(worker: Worker, version: ModelVersion) -> Response:
    answer = {"status": "success", **schemas.model_json(version)}
    return _answer(worker, answer, message=f"Version {version.version} of {version.name} is live.")


def _answer(worker: Worker, answer: dict[str, Any], **shown: Any) -> Response:
    """JSON for a script, the page for a browser."""
    if worker.cluster is not None:
        answer = {**answer, "machines": worker.cluster.machines}
    if wants_page():
        return Response(pages.render_models(worker, **shown), mimetype="text/html")
    return jsonify(answer)
