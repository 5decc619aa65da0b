"""The text of an image URL -> the URL that is requested, or one sentence that says what is wrong with it."""

import re
from urllib.parse import urljoin, urlsplit

from predictor.errors import FetchBlocked, FetchFailed, InvalidRequest

MAX_URL_CHARACTERS = 8192

EMPTY = "The image URL is empty."
LONG = f"The image URL has more than {MAX_URL_CHARACTERS} characters."
NO_SCHEME = "The image URL must begin with https:// or http://."
NO_HOST = "The image URL needs // and a host after http: or https:."
OTHER_SCHEME = "Only http and https URLs are downloaded; the image URL has another scheme."
OBJECT_STORE = (
    "URLs of object stores, such as s3:// and gs://, are not downloaded; give a signed https URL of the "
    "object."
)
FTP = "FTP URLs are not downloaded; give an http or https URL, or send the image itself."
FILE = "A file: URL or a path names a file on your machine; send the image itself."
BLOB = "A blob: URL exists only inside its browser; send the image itself."
JSON = "The image URL is JSON; give the URL alone."
USER = "The image URL must not hold a user name or a password."
CONTROL = "The image URL has a line break or another control character inside."
BACKSLASH = "The image URL has a backslash; write / or %5C."
HOST = "The host name of the image URL is not valid."
PORT = "The port of the image URL is not a number of at most 65535."
MISDIRECTED = "The server of the image URL redirected to an invalid URL."
MISDIRECTED_BLOCKED = (
    "The server of the image URL redirected to a URL that is not allowed: one of another scheme than http "
    "and https, or with a user name."
)

# White space and marks that come along when a URL is copied or read from a file.
_AROUND = " \t\r\n\v\f\u0085\u00a0\u200b\u2028\u2029\u2060\u3000\ufeff"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_SCHEME = re.compile(r"(?P<scheme>[a-z][a-z0-9+.-]*):(?P<rest>.*)", re.IGNORECASE | re.DOTALL)
_WEB = re.compile(r"https?://(?P<authority>[^/?#]*)", re.IGNORECASE)
_AUTHORITY = re.compile(r"(?:\[[^\[\]]*\]|[^\[\]:]*)(?::(?P<port>.*))?", re.DOTALL)
_PATH = re.compile(r"[a-z]:(?!//|\d)|~?/(?!/)|\.{1,2}/|\\", re.IGNORECASE)
_PORT = re.compile(r"[0-9]{0,5}")
_SENTENCES = (
    dict.fromkeys(
        ("s3", "s3a", "s3n", "gs", "gcs", "az", "abfs", "abfss", "wasb", "wasbs", "adl", "oss", "r2", "b2"),
        OBJECT_STORE,
    )
    | dict.fromkeys(("ftp", "ftps", "sftp", "tftp"), FTP)
    | {"file": FILE, "blob": BLOB}
)


def read(text: str) -> str:
    """The http or https URL that a text holds, without white space around it; what it asks for is unchanged.

    Spaces and characters beyond ASCII behind the host are left for the request to encode, as browsers do.

    Raises:
        InvalidRequest: the text is no such URL; the sentence says what is wrong.
    """
    url = text.strip(_AROUND)
    _check_scheme(url)
    _check_characters(url)
    web = _WEB.match(url)
    if web is None:
        raise InvalidRequest(NO_HOST)
    _check_authority(web["authority"])
    return url


def is_path(text: str) -> bool:
    """Whether a text is a path of Linux or Windows rather than a URL without its scheme."""
    return _PATH.match(text) is not None


def joined(base: str, location: str) -> str:
    """Where a redirect leads.

    Args:
        base: the URL that answered with the redirect.
        location: its `Location` header, decoded as Latin-1.

    Raises:
        FetchFailed: the location is no URL.
        FetchBlocked: it has another scheme than http and https, or a user part.
    """
    try:
        text = location.encode("latin-1").decode().strip(_AROUND)  # servers write it in UTF-8
        _check_characters(text)  # before `urljoin`, which drops line ends and tabs
        url = urljoin(base, text)
    except (InvalidRequest, ValueError) as error:
        raise FetchFailed(MISDIRECTED) from error
    web = _WEB.match(url)
    if web is None or "@" in web["authority"]:
        raise FetchBlocked(MISDIRECTED_BLOCKED)
    return url


def same_server(one: str, other: str) -> bool:
    """Whether two http or https URLs lead to the same scheme, host and port, so that they share a secret."""
    first, second = urlsplit(one), urlsplit(other)
    return (first.scheme, first.netloc.lower()) == (second.scheme, second.netloc.lower())


def _check_scheme(url: str) -> None:
    if not url:
        raise InvalidRequest(EMPTY)
    if url.startswith(("{", "[")):
        raise InvalidRequest(JSON)
    if is_path(url):
        raise InvalidRequest(FILE)
    found = _SCHEME.match(url)
    if found is None or _is_host_and_port(found["scheme"], found["rest"]):
        raise InvalidRequest(NO_SCHEME)
    scheme = found["scheme"].lower()
    if scheme not in {"http", "https"}:
        raise InvalidRequest(_SENTENCES.get(scheme, OTHER_SCHEME))


def _is_host_and_port(scheme: str, rest: str) -> bool:
    # `example.com:8080/cat.jpg` looks as if its scheme were `example.com`.
    return not rest.startswith("//") and ("." in scheme or rest[:1].isdecimal())


def _check_characters(url: str) -> None:
    if len(url) > MAX_URL_CHARACTERS:
        raise InvalidRequest(LONG)
    if _CONTROL.search(url):
        raise InvalidRequest(CONTROL)
    if "\\" in url:  # some clients take it for a slash, others do not
        raise InvalidRequest(BACKSLASH)


def _check_authority(authority: str) -> None:
    if "@" in authority:
        raise InvalidRequest(USER)
    found = _AUTHORITY.fullmatch(authority)
    if found is None or " " in authority or not authority.isprintable():
        raise InvalidRequest(HOST)
    if not _PORT.fullmatch(found["port"] or "") or int(found["port"] or 0) > 65535:
        raise InvalidRequest(PORT)
