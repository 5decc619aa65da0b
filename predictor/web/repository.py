"""The model repository extension of the Open Inference Protocol: which models there are, load, unload.

An unloaded model's files stay; it serves again once it is loaded, uploaded or activated.
"""

from typing import Any

from flask import Blueprint, Response, jsonify, request
from pydantic import BaseModel

from predictor.errors import (
    Forbidden,
    ImageTooLarge,
    InvalidRequest,
    ModelNotFound,
    NotReady,
    StorageFull,
    Unauthorized,
)
from predictor.runtime.worker import Worker
from predictor.store.state import Name
from predictor.web import inference_schemas, schemas
from predictor.web.access import require_admin
from predictor.web.inference import ModelPath, described
from predictor.web.inference_inputs import body

_MAX_BODY_BYTES = 1_000_000
_CHANGE = (
    InvalidRequest, Unauthorized, Forbidden, ModelNotFound, ImageTooLarge, NotReady, StorageFull,
)  # fmt: skip
_BODIES = {"application/json": inference_schemas.ChangeRequest}
_INDEX = {"type": "array", "items": inference_schemas.IndexEntry}


def blueprint(worker: Worker) -> Blueprint:
    """Routes of the repository."""
    routes = Blueprint("repository", __name__, url_prefix="/v2/repository")

    @routes.post("/index")
    @described(
        bodies={"application/json": inference_schemas.IndexRequest},
        answers={"application/json": _INDEX},
        errors=(InvalidRequest, ImageTooLarge),
    )
    def index() -> Response:
        """List the models, loaded and not."""
        wanted: inference_schemas.IndexRequest = _read(inference_schemas.IndexRequest)
        found = [_entry(name, known) for name, known in sorted(worker.registry.read().names.items())]
        return jsonify([one for one in found if not wanted.ready or one["state"] == "READY"])

    _add_changes(routes, worker)
    return routes


def _add_changes(routes: Blueprint, worker: Worker) -> None:
    @routes.post("/models/<name>/load")
    @described(path=ModelPath, bodies=_BODIES, answers={}, errors=_CHANGE)
    def load(name: str) -> Response:
        """Have a model served again.

        A 200 answer means that every worker serves the version that was live last. Files cannot come with the
        request; `POST /upload` takes them.
        """
        require_admin(request, worker.settings)
        _refuse_files(_read(inference_schemas.ChangeRequest))
        worker.uploads.change(lambda: worker.loading.load(name))
        return Response()

    @routes.post("/models/<name>/unload")
    @described(path=ModelPath, bodies=_BODIES, answers={}, errors=_CHANGE)
    def unload(name: str) -> Response:
        """Have a model no longer served, until it is loaded again; its files stay.

        A 200 answer means that no worker serves it.
        """
        require_admin(request, worker.settings)
        _read(inference_schemas.ChangeRequest)
        worker.uploads.change(lambda: worker.loading.unload(name))
        return Response()


def _read(schema: type[BaseModel]) -> Any:
    """The body's JSON; an empty body stands for an empty object."""
    return schemas.parse(body(request, _MAX_BODY_BYTES) or b"{}", schema)


def _refuse_files(sent: inference_schemas.ChangeRequest) -> None:
    given = (sent.parameters or {}).keys()
    if any(name == "config" or name.startswith("file:") for name in given):
        raise InvalidRequest("A model's files and configuration cannot come with a load; use POST /upload.")


def _entry(name: str, known: Name) -> dict[str, Any]:
    """A model (`inference_schemas.IndexEntry`), by the version that serves or would be loaded."""
    version = known.live or known.before()
    loaded = known.live is not None
    return {
        "name": name,
        "version": "" if version is None else str(version),
        "state": "READY" if loaded else "UNAVAILABLE",
        "reason": "" if loaded else "unloaded" if version else "no version can serve",
    }
