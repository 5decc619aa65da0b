"""A multipart request -> the files of an upload."""

import os
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from flask import Request

from predictor.archives import MAX_NAME
from predictor.config import MEGA, Settings
from predictor.errors import InvalidRequest, ModelTooLarge
from predictor.importing.bundle import recognise
from predictor.importing.companions import COMPANION_BYTES
from predictor.importing.placed import COMPANIONS, placed
from predictor.importing.unpacking import MAX_FILES, Sent, unpacked
from predictor.runtime.received import Found, Received
from predictor.sources.pull import pull
from predictor.sources.signature import signed
from predictor.store.registry import DEFAULT
from predictor.web import field_faults, forms, model_schemas, schemas

_FIELDS = ("model", "files", *COMPANIONS)
_REST_BYTES = MEGA
_TEXT_FIELDS = 10
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_DRIVE = re.compile(r"[A-Za-z]:")


def receive(request: Request, settings: Settings, folder: Path) -> Received:
    """Write an upload's files into a folder, under names of our own.

    Raises:
        InvalidRequest: the form is not of the documented kind, or an archive in it cannot be read.
        FetchError: the source that it names cannot be read.
        InvalidModel: there is no model in it.
        ModelTooLarge: a file has more bytes than allowed, or all together have.
        OSError: the disk does not take it.
    """
    fields, parts = forms.receive(
        request,
        folder,
        forms.Bounds(
            settings.max_model_bytes + 2 * COMPANION_BYTES + _REST_BYTES,
            MAX_FILES + _TEXT_FIELDS,
            ModelTooLarge(f"A model may have at most {settings.max_model_mb:g} MB and {MAX_FILES} files."),
        ),
        field="model",
    )
    _check_fields(fields, parts)
    parts += _typed(fields, folder)
    body: model_schemas.UploadRequest = schemas.check(model_schemas.UploadRequest, fields, strict=False)
    received = laid_out(parts, folder, settings, file=body.file, source=body.source)
    return replace(received, name=body.name, by=request.remote_addr, force=bool(body.force))


def _check_fields(fields: dict[str, Any], files: Sequence[forms.ReceivedFile]) -> None:
    """Refuse fields that an upload has not, and texts where files belong, with what was probably meant."""
    known = model_schemas.UploadForm.model_fields
    for name in (*fields, *(one.field for one in files)):
        if name not in known:
            raise InvalidRequest(field_faults.unknown(name, known))
    for name in ("model", "files"):
        if name in fields:
            raise InvalidRequest(f"{name} must be a file, not text; with curl: -F {name}=@FILE.")


def laid_out(
    parts: Sequence[forms.ReceivedFile],
    folder: Path,
    settings: Settings,
    *,
    file: str | None = None,
    source: str | None = None,
) -> Received:
    """Lay the files of a form into a folder, under names of our own: those of a version of `default`.

    Args:
        parts: files of the fields model, files, labels and preprocessing.
        folder: where they are to lie.
        settings: limits.
        file: which ONNX file of several is the model.
        source: where the model is fetched, in place of files.

    Raises:
        InvalidRequest, InvalidModel, ModelTooLarge: as `receive`.
    """
    wanted, source = _relative(file or "") or None, (source or "").strip()
    sent, given = _sent(parts, source=bool(source))
    about: dict[str, Any] = {}
    if source:
        pulled = pull(source, folder, settings, os.environ, file=wanted)
        sent, about = [*pulled.files], {"source": pulled.to_json()}
    models = [one.name for one in sent if one.model and not one.is_archive()]
    files = unpacked(sent, folder, settings.max_model_bytes)
    if settings.signing_key is not None:
        files, about["signed"] = _verified(files, settings.signing_key, folder), True
    model = next((name for name in models if name in files), None)
    bundle = recognise(files, model=model, file=wanted, given=given.keys())
    lies = placed(folder, files, bundle, given, Path.rename)
    for path in files.values():
        path.unlink(missing_ok=True)
    found = Found(bundle.unsure, bundle.guessed, bundle.warnings)
    return Received(DEFAULT, lies.files, None, lies.data, bundle.unused, about=about, found=found)


def revision(
    request: Request, form: type[model_schemas.RevisionOptions], field: str
) -> tuple[model_schemas.RevisionOptions, str]:
    """What a version is to be revised by: the options, and the text of its new file.

    Args:
        request: what comes.
        form: the page's form.
        field: the name of the field in it that has the text.

    Raises:
        InvalidRequest: the request is not of the documented kind.
    """
    request.max_content_length = COMPANION_BYTES
    asked = field_faults.texts(request.args)
    # curl declares any text as a form.
    parts = request.mimetype == "multipart/form-data"
    if parts or (schemas.is_form(request) and request.form.keys() & form.model_fields.keys()):
        asked |= {name: text for name, text in field_faults.texts(request.form).items() if text}
        asked |= {name: _utf8(file.read()) for name, file in request.files.items()}
        sent: model_schemas.RevisionOptions = schemas.check(form, asked, strict=False)
        return sent, str(getattr(sent, field))
    query: model_schemas.RevisionOptions = schemas.check(model_schemas.RevisionOptions, asked, strict=False)
    return query, _utf8(request.get_data(cache=False))


def _utf8(data: bytes) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidRequest("The body must be UTF-8 text.") from error


def _typed(fields: dict[str, Any], folder: Path) -> list[forms.ReceivedFile]:
    """Labels and preprocessing that are text, as `curl -F` sends them without an @, out of the fields."""
    found = list[forms.ReceivedFile]()
    for name in COMPANIONS:
        if isinstance(fields.get(name), str):
            path = folder / f"{name}.text"
            path.write_text(fields.pop(name), "utf-8")
            found.append(forms.ReceivedFile(name, "", path))
    return found


def _verified(files: dict[str, Path], key: Path, folder: Path) -> dict[str, Path]:
    """The files that the model's signature is about; the others are removed."""
    kept = signed(files, key, folder)
    for name in files.keys() - kept.keys():
        files[name].unlink()
    return kept


def _sent(parts: Sequence[forms.ReceivedFile], *, source: bool) -> tuple[list[Sent], dict[str, Sent]]:
    """The model with what belongs to it, and the labels and preprocessing that were sent apart."""
    sent: list[Sent] = []
    given: dict[str, Sent] = {}
    for part in parts:
        field = part.field
        if field not in _FIELDS:
            raise InvalidRequest(
                f"{field_faults.shown(field)} takes no file; the fields of files are {', '.join(_FIELDS)}."
            )
        if field != "files" and sum(other.field == field for other in parts) > 1:
            raise InvalidRequest(f"Send only one file in the field {field}.")
        name = _relative(part.filename) or _last(part.filename) or field
        one = Sent(name, part.path, model=field == "model")
        if field in COMPANIONS:
            given[field] = one
            _check_size(one, field)
        else:
            sent.append(one)
    if not sent and not source:
        raise InvalidRequest("Send a file in the field model, or name the source of one.")
    if sent and source:
        raise InvalidRequest("Send the files of a model or name its source, not both.")
    return sent, given


def _check_size(one: Sent, field: str) -> None:
    if one.path.stat().st_size > COMPANION_BYTES:
        raise ModelTooLarge(f"The file in the field {field} may have at most {COMPANION_BYTES / MEGA:g} MB.")


def _relative(given: str) -> str:
    """A client's file name as a relative path with slashes; it names the file and never leads anywhere."""
    parts = re.split(r"[/\\]", _CONTROL.sub("", given))
    return "/".join(part for part in parts if part not in {"", ".", ".."} and not _DRIVE.fullmatch(part))[
        -MAX_NAME:
    ]


def _last(given: str) -> str:
    """The last part of a client's file name, if it says something after all."""
    return _CONTROL.sub("", re.split(r"[/\\]", given)[-1])
