"""A Flask request -> images and options, whatever form they come in."""

import re
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, quote

from flask import Request
from pydantic import BaseModel
from werkzeug.datastructures import FileStorage, MultiDict, RequestCacheControl
from werkzeug.http import parse_cache_control_header

from predictor.config import Settings
from predictor.errors import ImageTooLarge, InvalidRequest, UnsupportedImage
from predictor.image.decode import sniff
from predictor.image.kinds import describe, explain, is_text
from predictor.inference.prediction import ImageSource, ImageUrl, Options
from predictor.web import base64_images, field_faults, forms, schemas
from predictor.web.body import NO_BOUNDARY, NO_FORM_DATA, check_whole

_URLENCODED = "application/x-www-form-urlencoded"
# Types under which bytes of an unknown format may still be an image; S3 and SageMaker have their own.
_IMAGE_TYPES = {"application/octet-stream", "binary/octet-stream", "application/x-image"}
JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*'?(?:\{|\[\s*[\[\]{\"\d-])|\xff\xfe\{\0|\xfe\xff\0\{")
"""What JSON begins with, in UTF-8 or UTF-16, perhaps in the single quotes that Windows does not remove."""
_FORM = re.compile(rb"([\w.\-]{1,64})(?:\[\d*\]|%5B\d*%5D)?=")
_MULTIPART = re.compile(rb"(?:\r?\n)?--[^\r\n]{1,200}\r?\nContent-", re.IGNORECASE)
_OURS = b'"image'
_LOOKED_AT = 1024
_MAX_FIELDS = 100
_ESCAPED = "surrogateescape"
_OTHER_BYTES = re.compile("[\udc80-\udcff]+")
_FORMS_TAKEN = (
    "Send JSON, a form with a file in the field image, or the image itself as image/* or "
    "application/octet-stream."
)


@dataclass(frozen=True)
class Fields:
    """What a request may hold.

    Attributes:
        query: its query arguments.
        json: its JSON, in which these may stand, too.
        form: the text fields of its form, in which they may stand, too.
        more: the names of those that are no options of a prediction.
    """

    query: type[BaseModel]
    json: type[BaseModel]
    form: type[BaseModel]
    more: tuple[str, ...] = ()


PREDICTION = Fields(schemas.Options, schemas.PredictRequest, schemas.FormRequest)


@dataclass(frozen=True)
class PredictInput:
    """The images of a request in the order sent.

    Attributes:
        images: at least one.
        many: whether the request was of a form that is answered with a list.
        options: what was chosen.
        names: the name of each image's file, None for an image without one; empty if no image has one.
        more: what was chosen besides.
    """

    images: list[ImageSource]
    many: bool
    options: Options
    names: list[str | None] = field(default_factory=list)
    more: dict[str, Any] = field(default_factory=dict)


def read(request: Request, settings: Settings, fields: Fields = PREDICTION) -> PredictInput:
    """Read the images and options of a prediction request, or of another one that has images.

    The bytes decide what a body is, for many clients send it with no Content-Type or with a wrong one
    (RFC 9110 section 8.3 allows a recipient to look).

    Raises:
        InvalidRequest: the request is of no documented form.
    """
    request.max_content_length = settings.max_body_bytes
    multipart = request.mimetype == forms.MULTIPART and "boundary" in request.mimetype_params
    found = _from_multipart(request, fields) if multipart else _from_body(request, settings, fields)
    _check_count(len(found.images), settings)
    return found


def _check_count(count: int, settings: Settings) -> None:
    if count > settings.max_batch:
        raise InvalidRequest(f"At most {settings.max_batch} images may come in one request.")


def _from_body(request: Request, settings: Settings, fields: Fields) -> PredictInput:
    data = read_body(request)
    if request.mimetype == _URLENCODED:
        check_whole(data)
    declared = request.mimetype.startswith("image/") or request.mimetype in _IMAGE_TYPES
    if sniff(data) or describe(data):
        return _image(request, data, fields)
    if not data and not declared:
        _chosen(request, fields)
        raise InvalidRequest(f"The body is empty. {_FORMS_TAKEN}")
    if _MULTIPART.match(data) or (request.mimetype == forms.MULTIPART and not JSON.match(data)):
        raise InvalidRequest(NO_FORM_DATA if "boundary" in request.mimetype_params else NO_BOUNDARY)
    if _is_form(request, data, fields):
        return _from_form(request, fields, _fields(data), [])
    # JSON that is declared to be an image is an error of another server that was saved as one.
    if request.is_json or (JSON.match(data) and (_OURS in data[:_LOOKED_AT] or not declared)):
        return _from_json(request, data, settings, fields)
    if declared or base64_images.is_image(data) or not is_text(data):
        return _image(request, data, fields)
    # As an image it is counted as one that was refused.
    error = UnsupportedImage(f"{explain(data)} {_FORMS_TAKEN}")
    return _input([error], _chosen(request, fields), fields)


def _is_form(request: Request, data: bytes, fields: Fields) -> bool:
    """Whether a body is an urlencoded form: by its type, or by a first field that we know."""
    found = _FORM.match(data)
    names = (field.alias or name for name, field in fields.form.model_fields.items())
    known = found is not None and found[1].decode() in names
    return known or (found is not None and request.mimetype == _URLENCODED)


def _image(request: Request, data: bytes, fields: Fields) -> PredictInput:
    return _input([base64_images.of_bytes(data)], _chosen(request, fields), fields)


def _input(
    images: list[ImageSource],
    chosen: dict[str, Any],
    fields: Fields,
    *,
    many: bool = False,
    names: list[str | None] | None = None,
) -> PredictInput:
    more = {name: chosen.pop(name) for name in fields.more if name in chosen}
    return PredictInput(images, many, Options(**chosen), names or [], more)


def _from_json(request: Request, data: bytes, settings: Settings, fields: Fields) -> PredictInput:
    body: BaseModel = schemas.parse(data, fields.json)
    images, many = _named_images(body, settings)
    return _input(images, _chosen(request, fields, body), fields, many=many)


def _named_images(body: BaseModel, settings: Settings) -> tuple[list[ImageSource], bool]:
    ways = [way for way in schemas.WAYS if way in type(body).model_fields]
    given = [way for way in ways if getattr(body, way) is not None]
    if len(given) != 1:
        raise InvalidRequest(f"Give exactly one of {', '.join(ways)}.")
    value = getattr(body, given[0])
    many = isinstance(value, list)
    texts = value if many else [value]
    # An image takes a kilobyte, and a body has room for millions of empty texts.
    _check_count(len(texts), settings)
    read = _from_url if given[0].startswith("image_url") else base64_images.of_text
    return [read(text) for text in texts], many


def _from_multipart(request: Request, fields: Fields) -> PredictInput:
    if stray := sorted(set(request.files) - {forms.IMAGE}):
        raise InvalidRequest(f"{field_faults.shown(stray[0])}: name the file field image.")
    return _from_form(request, fields, request.form, request.files.getlist(forms.IMAGE))


def _from_form(
    request: Request, fields: Fields, texts: MultiDict[str, str], files: list[FileStorage]
) -> PredictInput:
    contents = [(file.filename, file.read()) for file in files]
    # A browser sends an empty file without a name for a field in which nothing was chosen.
    contents = [(name, data) for name, data in contents if name or data]
    given = field_faults.texts(texts)
    encoded = [text for text in texts.getlist(forms.IMAGE) if text]
    body: Any = schemas.check(fields.form, given | {forms.IMAGE: None}, strict=False)
    files_sent = [base64_images.of_bytes(data) for _, data in contents]
    images = files_sent + [base64_images.of_text(text) for text in encoded]
    if [bool(files_sent), bool(encoded), bool(body.image_url)].count(True) != 1:
        raise InvalidRequest("Give either files in the field image or an image_url.")
    images = images or [_from_url(body.image_url)]
    names = [name or None for name, _ in contents]
    return _input(images, _chosen(request, fields, body), fields, many=len(images) > 1, names=names)


def _fields(data: bytes) -> MultiDict[str, str]:
    """The fields of an urlencoded form; bytes that are no UTF-8 stay escaped, as in a URL."""
    try:
        fields = parse_qsl(
            data.decode(errors=_ESCAPED),
            keep_blank_values=True,
            errors=_ESCAPED,
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError as error:
        raise InvalidRequest(f"The form has more than {_MAX_FIELDS} fields.") from error
    return MultiDict((name, _OTHER_BYTES.sub(_quoted, text)) for name, text in fields)


def _quoted(found: re.Match[str]) -> str:
    return quote(found[0].encode(errors=_ESCAPED))


def read_body(request: Request) -> bytes:
    """The whole body; of known length and within bounds, it is read without a stream around it.

    Raises:
        ImageTooLarge, RequestEntityTooLarge: it has more bytes than `request.max_content_length`.
    """
    length, most = request.content_length, request.max_content_length
    # What may be a form is kept, so that the page can read the form from it again.
    if request.mimetype == _URLENCODED or length is None or most is None or length > most:
        # A body of unknown length ends silently at the bound, so that one byte more tells.
        request.max_content_length = most and most + (length is None)
        data = request.get_data(cache=True, parse_form_data=False)
        if most is not None and len(data) > most:
            raise ImageTooLarge("The request is larger than allowed.")
        return data
    known: bytes = request.environ["wsgi.input"].read(length)
    return known


def _chosen(request: Request, fields: Fields, body: BaseModel | None = None) -> dict[str, Any]:
    """What the headers ask for, overruled by the query's options, and these by those in the body."""
    chosen: dict[str, Any] = {"fresh": asks_anew(request)}
    if body is None and not request.query_string:
        return chosen
    query: BaseModel = schemas.check(fields.query, field_faults.texts(request.args), strict=False)
    for source in (query, body):
        given = fields.query.model_fields.keys() & (source.model_fields_set if source else set())
        chosen |= {name: value for name in given if (value := getattr(source, name)) is not None}
    return chosen


def asks_anew(request: Request) -> bool:
    """Whether the caller's headers refuse a kept answer (RFC 9111 sections 5.2.1 and 5.4)."""
    if (given := request.environ.get("HTTP_CACHE_CONTROL")) is None:
        return "no-cache" in request.environ.get("HTTP_PRAGMA", "").lower()
    asked = parse_cache_control_header(given.lower(), cls=RequestCacheControl)
    return bool(asked.no_cache or asked.no_store) or asked.max_age == 0


def _from_url(text: str) -> ImageSource:
    """The image of a URL; data: URLs come here, too, since other services take them so."""
    return base64_images.of_text(text) if base64_images.is_data_url(text) else ImageUrl(text)
