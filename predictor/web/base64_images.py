"""An image that comes as text: in base64, or as a data: URL of it (RFC 4648, RFC 2397).

Padding may be missing, the alphabet may be the URL-safe one, and white space may stand in it.
"""

import binascii
import re
from urllib.parse import unquote

from predictor.errors import InvalidRequest, PredictorError
from predictor.image.decode import sniff
from predictor.inference.prediction import EncodedImage, ImageSource

_URL_SAFE, _WHITE = bytes.maketrans(b"-_", b"+/"), b" \t\n\r\v\f"
_URL = re.compile(r"\s*[a-z][a-z0-9+.\-]*://", re.IGNORECASE)
_FILE_NAME = re.compile(r"@?[^\n]{1,250}\.\w{2,5}")
# So many letters hold what the first bytes of a format are.
_HEAD = 24
# Letters in a line, by RFC 1421 and RFC 2045.
_LINES = {64, 76}


def of_bytes(data: bytes) -> ImageSource:
    """The image of a file's bytes, which may be the text of one."""
    return of_text(data.decode(errors="replace")) if is_image(data) else EncodedImage(data)


def is_image(data: bytes) -> bool:
    """Whether bytes are the text of an image of a known format."""
    # The first byte of most image files is not ASCII. This check saves 3 us for each request.
    if not data[:1].isascii():
        return False
    text = data[: 2 * _HEAD].decode(errors="replace").lstrip()
    if is_data_url(text):
        return True
    try:
        return sniff(_decoded(text[:_HEAD])) is not None
    except ValueError:
        return False


def of_text(text: str, wrong: str = "") -> ImageSource:
    """The image of a text, or the error of that one image.

    Args:
        text: base64, or a data: URL.
        wrong: the sentence on any other text, where a request has other fields than those of predictions.
    """
    if is_data_url(text):
        header, comma, text = text.partition(",")
        if not comma or not header.rstrip().lower().endswith(";base64"):
            return InvalidRequest(wrong) if wrong else _not_base64("")
        text = unquote(text) if "%" in text else text
    try:
        return EncodedImage(_decoded(_with_plus(text)))
    except ValueError:
        return InvalidRequest(wrong) if wrong else _not_base64(text)


def is_data_url(text: str) -> bool:
    """Whether a text is a data: URL; the scheme has no case (RFC 3986 section 3.1)."""
    return text[:64].lstrip()[:5].lower() == "data:"


def _decoded(text: str) -> bytes:
    # A list of what stands between white space would take many times the memory of the text.
    data = text.encode("ascii").translate(_URL_SAFE, _WHITE).rstrip(b"=")
    return binascii.a2b_base64(data + b"=" * (-len(data) % 4), strict_mode=True)


def _with_plus(text: str) -> str:
    """The same with each plus sign that an urlencoded form made a space; between lines a space was none."""
    text = text.strip()
    if " " not in text or "+" in text or "\n" in text:
        return text
    width = text.index(" ")
    ends = text[width :: width + 1]
    wrapped = width in _LINES and set(ends) == {" "} and len(ends) == text.count(" ")
    return text if wrapped else text.replace(" ", "+")


def _not_base64(text: str) -> PredictorError:
    if _URL.match(text):
        return InvalidRequest("image must be base64 or a data: URL; send an http or https URL as image_url.")
    if text.startswith(("b'", 'b"')):
        return InvalidRequest(
            "image is the text that Python shows of bytes; call decode() on the base64 first."
        )
    if _FILE_NAME.fullmatch(text.strip()):
        return InvalidRequest(
            "image must be the image itself, not the name of its file; curl sends the file by -F image=@FILE."
        )
    return InvalidRequest("The image must be base64 or a data: URL in base64.")
