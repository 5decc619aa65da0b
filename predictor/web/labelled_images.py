"""A multipart request with labelled images -> the images, and what else the form has."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from flask import request
from pydantic import BaseModel

from predictor.archives import is_archive
from predictor.config import MEGA, Settings
from predictor.errors import ImageTooLarge, InvalidRequest, ModelTooLarge
from predictor.evaluation import image_files
from predictor.evaluation.images import Files, LabelledImage, labelled
from predictor.store.files import storage_errors
from predictor.web import field_faults, forms, middleware, schemas

FIELD = "pictures"
"""The field of the images, unless a route says otherwise."""

_REST_BYTES = MEGA
_PARTS = 20_000
_NAME_LENGTH = 200


@dataclass(frozen=True)
class LabelledImages:
    """What a form holds.

    Attributes:
        fields: the text fields, as the schema has them.
        images: the images with their classes, and the files that are left out.
        others: the files of other fields.
    """

    fields: Any
    images: list[LabelledImage]
    others: list[forms.ReceivedFile]


def receive(
    settings: Settings,
    folder: Path,
    schema: type[BaseModel],
    others: Sequence[str] = (),
    *,
    field: str = FIELD,
) -> LabelledImages:
    """Write the files of the present request into a folder, where the images are read from later.

    Args:
        settings: limits.
        folder: an empty one.
        schema: of the text fields.
        others: the names of further file fields.
        field: the field of the images.

    Raises:
        InvalidRequest: the form is not of the documented kind, or has no images.
        ModelTooLarge: it has too many bytes or files.
        StorageFull: the disk does not take it.
    """
    too_large = ModelTooLarge(f"The images may have at most {settings.max_model_mb:g} MB together.")
    bounds = forms.Bounds(settings.max_model_bytes + _REST_BYTES, _PARTS, too_large)
    with storage_errors():
        fields, files = forms.receive(request, folder, bounds, field=field)
    if field in fields:
        raise InvalidRequest(f"{field} must be files, not text; curl sends a file by -F {field}=@FILE.")
    body = schemas.check(schema, fields, strict=False)
    known = [file for file in files if file.field in others]
    sent = _files([file for file in files if file.field not in others], settings.max_image_bytes, field)
    return LabelledImages(body, labelled(sent, partial(middleware.check_connected, request)), known)


def _files(files: Sequence[forms.ReceivedFile], max_bytes: int, field: str) -> Files:
    """Each file by the name that its sender gave it."""
    if stray := next((file.field for file in files if file.field != field), None):
        raise InvalidRequest(f"{field_faults.shown(stray)}: name each file field {field}.")
    if len(files) == 1 and (files[0].filename.lower().endswith(".zip") or is_archive(files[0].path)):
        return [*image_files.files_of(files[0].path, max_bytes).items()]
    return [(file.filename[-_NAME_LENGTH:], partial(_read, file.path, max_bytes)) for file in files]


def _read(path: Path, max_bytes: int) -> bytes:
    if path.stat().st_size > max_bytes:
        raise ImageTooLarge(f"The file has more than {max_bytes} bytes.")
    return path.read_bytes()
