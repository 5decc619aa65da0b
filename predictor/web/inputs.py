"""A Flask request -> pictures and options, whatever form they come in."""

import binascii
from dataclasses import dataclass
from typing import Any

from flask import Request
from werkzeug.datastructures import FileStorage, MultiDict

from predictor.config import Settings
from predictor.errors import InvalidRequest, PredictorError, UnsupportedImage
from predictor.image.decode import sniff
from predictor.runtime.prediction import Encoded, Options, Picture, Remote
from predictor.web import schemas

_FORMS = ("multipart/form-data", "application/x-www-form-urlencoded")


@dataclass(frozen=True)
class PredictInput:
    """The pictures of a request in the order sent.

    Attributes:
        pictures: at least one.
        many: whether the request was of a form that is answered with a list.
    """

    pictures: list[Picture]
    many: bool
    options: Options


def read(request: Request, settings: Settings) -> PredictInput:
    """Read the pictures and options of a prediction request.

    Raises:
        InvalidRequest: the request is of no documented form.
        UnsupportedImage: the body's content type is no picture's.
    """
    request.max_content_length = settings.max_body_bytes
    if request.is_json:
        found = _from_json(request)
    elif request.mimetype in _FORMS:
        found = _from_form(request)
    elif request.mimetype.startswith("image/") or request.mimetype == "application/octet-stream":
        found = _from_body(request)
    else:
        raise UnsupportedImage(
            "Send JSON, a form with a file named image, or the picture itself as image/* or "
            "application/octet-stream."
        )
    if len(found.pictures) > settings.max_batch:
        raise InvalidRequest(f"At most {settings.max_batch} pictures may come in one request.")
    return found


def _from_json(request: Request) -> PredictInput:
    body: schemas.PredictRequest = schemas.body(request, schemas.PredictRequest)
    pictures, many = _named_pictures(body)
    return PredictInput(pictures, many, _options(request, body))


def _named_pictures(body: schemas.PredictRequest) -> tuple[list[Picture], bool]:
    given = body.model_fields_set & set(schemas.WAYS)
    if len(given) != 1:
        raise InvalidRequest(f"Give exactly one of {', '.join(schemas.WAYS)}.")
    way = given.pop()
    value = getattr(body, way)
    many = isinstance(value, list)
    read = Remote if way.startswith("image_url") else _base64
    return [read(text) for text in (value if many else [value])], many


def _from_form(request: Request) -> PredictInput:
    if picture := _undeclared(request):
        return PredictInput([picture], many=False, options=_options(request))
    files = [file for file in request.files.getlist("image") if not _empty_choice(file)]
    if stray := sorted(set(request.files) - {"image"}):
        raise InvalidRequest(f"{stray[0][:100]}: the field of a picture is named image.")
    body: schemas.FormRequest = schemas.check(schemas.FormRequest, _texts(request.form), strict=False)
    if bool(files) == bool(body.image_url):
        raise InvalidRequest("Give either files named image or an image_url.")
    pictures: list[Picture] = [Encoded(file.read()) for file in files]
    if body.image_url:
        pictures = [Remote(body.image_url)]
    return PredictInput(pictures, len(pictures) > 1, _options(request, body))


def _undeclared(request: Request) -> Picture | None:
    """The picture that `curl --data-binary` sends under the name of a form, if it is one."""
    if request.mimetype != _FORMS[1]:
        return None
    data = request.get_data(cache=True, parse_form_data=False)
    return Encoded(data) if sniff(data) else None


def _empty_choice(file: FileStorage) -> bool:
    """Whether this is what a browser sends for a file field in which nothing was chosen."""
    return not file.filename and not file.stream.read(1) and not file.stream.seek(0)


def _from_body(request: Request) -> PredictInput:
    picture = Encoded(_body(request))
    return PredictInput([picture], many=False, options=_options(request))


def _body(request: Request) -> bytes:
    """The whole body; of known length and within bounds, it is read without a stream around it."""
    length, most = request.content_length, request.max_content_length
    if length is None or most is None or length > most:
        return request.get_data(cache=False)
    data: bytes = request.environ["wsgi.input"].read(length)
    return data


def _options(request: Request, body: schemas.Options | None = None) -> Options:
    """The query's options, overruled by those that stand in the body."""
    if body is None and not request.query_string:
        return Options()
    query: schemas.Options = schemas.check(schemas.Options, _texts(request.args), strict=False)
    chosen = {name: getattr(query, name) for name in schemas.Options.model_fields}
    if body is not None:
        given = body.model_fields_set & chosen.keys()
        chosen |= {name: getattr(body, name) for name in given}
    return Options(**chosen)


def _texts(values: MultiDict[str, str]) -> dict[str, Any]:
    """Each field's text; given twice, it becomes a list, which no field accepts."""
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in values.lists()}


def _base64(text: str) -> Picture:
    """The picture of a base64 text or data: URL, or the error of that one picture."""
    if text.startswith("data:"):
        header, comma, text = text.partition(",")
        if not comma or not header.endswith(";base64"):
            return _bad_base64()
    try:
        return Encoded(binascii.a2b_base64("".join(text.split()), strict_mode=True))
    except ValueError:
        return _bad_base64()


def _bad_base64() -> PredictorError:
    return InvalidRequest("The picture is not base64, or not a data: URL in base64.")
