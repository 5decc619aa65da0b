"""A multipart request -> the files of an upload."""

import re
from collections.abc import Sequence
from pathlib import Path

from flask import Request

from predictor.config import MEGA, Settings
from predictor.errors import InvalidRequest, ModelTooLarge
from predictor.runtime.uploads import Received
from predictor.store.manifest import LABELS, MODEL, PREPROCESSING
from predictor.web import forms, model_schemas, schemas

_FILES = {"model": MODEL, "labels": LABELS, "preprocessing": PREPROCESSING}
_COMPANION_BYTES = 4 * MEGA
_REST_BYTES = MEGA // 10
_PARTS = 20
_SHOWN = 100
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def receive(request: Request, settings: Settings, folder: Path) -> Received:
    """Write an upload's files into a folder, under names of our own.

    Raises:
        InvalidRequest: the form is not of the documented kind.
        ModelTooLarge: a file has more bytes than allowed.
        OSError: the disk does not take it.
    """
    fields, files = forms.receive(
        request,
        folder,
        forms.Bounds(
            settings.max_model_bytes + 2 * _COMPANION_BYTES + _REST_BYTES,
            _PARTS,
            ModelTooLarge(f"The model may have at most {settings.max_model_mb:g} MB."),
        ),
        field="model",
    )
    body: model_schemas.UploadRequest = schemas.check(model_schemas.UploadRequest, fields, strict=False)
    return Received(body.name, _kept(files, folder, settings), request.remote_addr)


def revision(request: Request) -> tuple[int | None, str]:
    """The version that is to be revised, None for the live one, and the text of its new preprocessing.

    Raises:
        InvalidRequest: the request is not of the documented kind.
    """
    request.max_content_length = _COMPANION_BYTES
    if request.mimetype == "application/x-www-form-urlencoded":
        form: model_schemas.RevisionForm = schemas.check(
            model_schemas.RevisionForm, dict(request.form), strict=False
        )
        return form.version, form.preprocessing
    query: model_schemas.RevisionOptions = schemas.check(
        model_schemas.RevisionOptions, dict(request.args), strict=False
    )
    try:
        return query.version, request.get_data(cache=False).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body must be UTF-8 text.") from error


def _kept(files: Sequence[forms.ReceivedFile], folder: Path, settings: Settings) -> dict[str, str]:
    """Give each file its name in the folder; the uploader's name for each is given back, to be shown."""
    shown: dict[str, str] = {}
    for file in files:
        field = file.field
        if field not in _FILES:
            raise InvalidRequest(f"{schemas.shown(field)}: name the file fields {', '.join(_FILES)}.")
        if _FILES[field] in shown:
            raise InvalidRequest(f"Send only one file named {field}.")
        most = settings.max_model_bytes if field == "model" else _COMPANION_BYTES
        if file.path.stat().st_size > most:
            raise ModelTooLarge(f"The file named {field} may have at most {most / MEGA:g} MB.")
        file.path.rename(folder / _FILES[field])
        shown[_FILES[field]] = _name(file.filename) or field
    if MODEL not in shown:
        raise InvalidRequest("Send a file named model.")
    return shown


def _name(given: str) -> str:
    """The last part of a client's file name, fit to be shown."""
    return _CONTROL.sub("", re.split(r"[/\\]", given)[-1])[:_SHOWN]
