"""A Flask request -> images and options, whatever form they come in."""

import binascii
import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

from flask import Request
from werkzeug.datastructures import MultiDict

from predictor.config import Settings
from predictor.errors import InvalidRequest, PredictorError, UnsupportedImage
from predictor.image import decode
from predictor.image.decode import sniff
from predictor.inference.prediction import EncodedImage, ImageSource, ImageUrl, Options
from predictor.web import forms, schemas

_URLENCODED = "application/x-www-form-urlencoded"
# Types under which bytes of an unknown format may still be an image; S3 and SageMaker have their own.
_IMAGE_TYPES = {"application/octet-stream", "binary/octet-stream", "application/x-image"}
_JSON = re.compile(rb"(?:\xef\xbb\xbf)?\s*\{")
_FORM = re.compile(rb"[\w.\-]{1,64}=")
_URL_SAFE = str.maketrans("-_", "+/")
_FORMS_TAKEN = (
    "Send JSON, a form with a file named image, or the image itself as image/* or application/octet-stream."
)


@dataclass(frozen=True)
class PredictInput:
    """The images of a request in the order sent.

    Attributes:
        images: at least one.
        many: whether the request was of a form that is answered with a list.
    """

    images: list[ImageSource]
    many: bool
    options: Options


def read(request: Request, settings: Settings) -> PredictInput:
    """Read the images and options of a prediction request.

    The bytes decide what a body is, for many clients send it with no Content-Type or with a wrong one
    (RFC 9110 section 8.3 allows a recipient to look).

    Raises:
        InvalidRequest: the request is of no documented form.
        UnsupportedImage: the body is neither an image nor declared as one.
    """
    request.max_content_length = settings.max_body_bytes
    found = _from_form(request) if request.mimetype == forms.MULTIPART else _from_body(request)
    if len(found.images) > settings.max_batch:
        raise InvalidRequest(f"At most {settings.max_batch} images may come in one request.")
    return found


def _from_body(request: Request) -> PredictInput:
    data = _body(request)
    if sniff(data):
        return _image(request, data)
    if request.is_json or _JSON.match(data):
        return _from_json(request, data)
    if request.mimetype == _URLENCODED and _FORM.match(data):
        return _from_form(request)
    declared = request.mimetype.startswith("image/") or request.mimetype in _IMAGE_TYPES
    if declared or decode.describe(data):
        return _image(request, data)
    raise UnsupportedImage(f"The body is not an image of a known format. {_FORMS_TAKEN}")


def _image(request: Request, data: bytes) -> PredictInput:
    return PredictInput([EncodedImage(data)], many=False, options=_options(request))


def _from_json(request: Request, data: bytes) -> PredictInput:
    body: schemas.PredictRequest = schemas.parse(data, schemas.PredictRequest)
    images, many = _named_images(body)
    return PredictInput(images, many, _options(request, body))


def _named_images(body: schemas.PredictRequest) -> tuple[list[ImageSource], bool]:
    given = [way for way in schemas.WAYS if getattr(body, way) is not None]
    if len(given) != 1:
        raise InvalidRequest(f"Give exactly one of {', '.join(schemas.WAYS)}.")
    value = getattr(body, given[0])
    many = isinstance(value, list)
    read = _from_url if given[0].startswith("image_url") else _base64
    return [read(text) for text in (value if many else [value])], many


def _from_form(request: Request) -> PredictInput:
    contents = [(file, file.read()) for file in request.files.getlist(forms.IMAGE)]
    # A browser sends an empty file without a name for a field in which nothing was chosen.
    images: list[ImageSource] = [EncodedImage(data) for file, data in contents if file.filename or data]
    if stray := sorted(set(request.files) - {forms.IMAGE}):
        raise InvalidRequest(f"{schemas.shown(stray[0])}: name the file field image.")
    body: schemas.FormRequest = schemas.check(schemas.FormRequest, _texts(request.form), strict=False)
    texts = [_from_url(body.image_url)] if body.image_url else []
    texts += [_base64(body.image)] if body.image else []
    if bool(images) + len(texts) != 1:
        raise InvalidRequest("Give either files named image or an image_url.")
    images += texts
    return PredictInput(images, len(images) > 1, _options(request, body))


def _body(request: Request) -> bytes:
    """The whole body; of known length and within bounds, it is read without a stream around it."""
    length, most = request.content_length, request.max_content_length
    # What may be a form is kept, so that the form can be read from it.
    if request.mimetype == _URLENCODED or length is None or most is None or length > most:
        return request.get_data(cache=True, parse_form_data=False)
    data: bytes = request.environ["wsgi.input"].read(length)
    return data


def _options(request: Request, body: schemas.Options | None = None) -> Options:
    """The query's options, overruled by those that stand in the body."""
    if body is None and not request.query_string:
        return Options()
    query: schemas.Options = schemas.check(schemas.Options, _texts(request.args), strict=False)
    chosen = dict[str, Any]()
    for source in (query, body):
        given = schemas.Options.model_fields.keys() & (source.model_fields_set if source else set())
        chosen |= {name: value for name in given if (value := getattr(source, name)) is not None}
    return Options(**chosen)


def _texts(values: MultiDict[str, str]) -> dict[str, Any]:
    """Each field's text; given twice, it becomes a list, which no field accepts."""
    return {name: texts[0] if len(texts) == 1 else texts for name, texts in values.lists()}


def _from_url(text: str) -> ImageSource:
    """The image of a URL; data: URLs come here, too, since other services take them so."""
    return _base64(text) if _is_data_url(text) else ImageUrl(text)


def _is_data_url(text: str) -> bool:
    # Scheme and parameter are compared without case (RFC 3986 section 3.1).
    return text[:5].lower() == "data:"


def _base64(text: str) -> ImageSource:
    """The image of a base64 text or data: URL, or the error of that one image.

    Padding may be missing, and the alphabet may be the URL-safe one (RFC 4648 section 5).
    """
    if _is_data_url(text):
        header, comma, text = text.partition(",")
        if not comma or not header.lower().endswith(";base64"):
            return _bad_base64()
        text = unquote(text) if "%" in text else text
    elif text[:8].lower().startswith(("http://", "https://")):
        return InvalidRequest("image must be base64 or a data: URL; send an http or https URL as image_url.")
    text = "".join(text.split()).translate(_URL_SAFE).rstrip("=")
    try:
        return EncodedImage(binascii.a2b_base64(text + "=" * (-len(text) % 4), strict_mode=True))
    except ValueError:
        return _bad_base64()


def _bad_base64() -> PredictorError:
    return InvalidRequest("The image must be base64 or a data: URL in base64.")
