"""A multipart request -> the files of an upload, written to the disk as they come."""

import re
from pathlib import Path
from typing import IO, Any

from flask import Request
from werkzeug.datastructures import FileStorage, MultiDict
from werkzeug.exceptions import ClientDisconnected, RequestEntityTooLarge
from werkzeug.formparser import FormDataParser

from predictor.config import MEGA, Settings
from predictor.errors import InvalidRequest, ModelTooLarge
from predictor.runtime.uploads import Received
from predictor.store.manifest import LABELS, MODEL, PREPROCESSING
from predictor.web import model_schemas, schemas

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
    if request.mimetype != "multipart/form-data":
        raise InvalidRequest("Send a multipart form with a file named model.")
    request.max_content_length = settings.max_model_bytes + 2 * _COMPANION_BYTES + _REST_BYTES
    try:
        fields, files = _parsed(request, folder)
    except RequestEntityTooLarge as error:
        raise ModelTooLarge(f"The model may have at most {settings.max_model_mb:g} MB.") from error
    except ClientDisconnected as error:
        raise InvalidRequest("The upload is incomplete.") from error
    except ValueError as error:
        raise InvalidRequest("The multipart form cannot be read.") from error
    body: model_schemas.UploadRequest = schemas.check(model_schemas.UploadRequest, fields, strict=False)
    return Received(body.name, _kept(files, folder, settings), request.remote_addr)


def _parsed(request: Request, folder: Path) -> tuple[dict[str, Any], MultiDict[str, FileStorage]]:
    """The text fields, and the files; each file is written in the order of its coming."""
    opened: list[IO[bytes]] = []

    def open_next(
        total_content_length: int | None,  # noqa: ARG001 (the parser names them all)
        content_type: str | None,  # noqa: ARG001
        filename: str | None,  # noqa: ARG001
        content_length: int | None = None,  # noqa: ARG001
    ) -> IO[bytes]:
        file = (folder / f"part-{len(opened)}").open("w+b")
        opened.append(file)
        return file

    parser = FormDataParser(open_next, max_form_memory_size=_REST_BYTES, silent=False, max_form_parts=_PARTS)
    try:
        _, fields, files = parser.parse(
            request.stream, request.mimetype, request.content_length, request.mimetype_params
        )
    finally:
        for file in opened:
            file.close()
    texts = {name: values[0] if len(values) == 1 else values for name, values in fields.lists()}
    return texts, files


def _kept(files: MultiDict[str, FileStorage], folder: Path, settings: Settings) -> dict[str, str]:
    """Give each file its name in the folder; the uploader's name for each is given back, to be shown."""
    shown: dict[str, str] = {}
    for field, file in files.items(multi=True):
        path = Path(str(file.stream.name))
        if not file.filename and not path.stat().st_size:
            path.unlink()
            continue
        if field not in _FILES:
            raise InvalidRequest(f"{field[:_SHOWN]}: the files are named {', '.join(_FILES)}.")
        if _FILES[field] in shown:
            raise InvalidRequest(f"Only one file named {field} may come.")
        most = settings.max_model_bytes if field == "model" else _COMPANION_BYTES
        if path.stat().st_size > most:
            raise ModelTooLarge(f"The file named {field} may have at most {most / MEGA:g} MB.")
        path.rename(folder / _FILES[field])
        shown[_FILES[field]] = _name(file.filename) or field
    if MODEL not in shown:
        raise InvalidRequest("Send a file named model.")
    return shown


def _name(given: str | None) -> str:
    """The last part of a client's file name, fit to be shown."""
    return _CONTROL.sub("", re.split(r"[/\\]", given or "")[-1])[:_SHOWN]
