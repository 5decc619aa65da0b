"""How a store is reached, the same for all that use obstore, and why it is not. Imports nothing of it."""

import re
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

_CONNECT_SECONDS = 5.0
_URL = re.compile(r"https?://[\w.-]+(:\d{1,5})?(/.*)?|https?://\[[\da-fA-F:.]+\](:\d{1,5})?(/.*)?")
# Where one of these names a server without TLS, an operator wants it so.
_ENDPOINTS = (
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AZURE_ENDPOINT",
    "AZURE_STORAGE_ENDPOINT",
)
_AUTHORITIES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE")


class Unusable(ValueError):
    """A variable cannot be used; the text says which, without its value."""


def client_options(
    environment: Mapping[str, str], seconds: float, connect_seconds: float = _CONNECT_SECONDS
) -> dict[str, Any]:
    """What obstore is told of its connections.

    Args:
        environment: names the endpoint, and the file with the authorities that are trusted besides.
        seconds: for a request.
        connect_seconds: to connect.

    Raises:
        Unusable: that file cannot be read, or an endpoint is no URL.
    """
    for name in _ENDPOINTS:
        # obstore would panic over some of them, which no handler of errors catches.
        if (given := environment.get(name)) and not _URL.fullmatch(given):
            raise Unusable(f"{name} must be a URL, such as https://minio.example:9000")
    options: dict[str, Any] = {
        "timeout": timedelta(seconds=seconds),
        "connect_timeout": timedelta(seconds=connect_seconds),
    }
    if any(environment.get(name, "").startswith("http://") for name in _ENDPOINTS):
        options["allow_http"] = True
    if bundle := next((environment[name] for name in _AUTHORITIES if environment.get(name)), None):
        try:
            options["root_certificate"] = Path(bundle).read_bytes()
        except OSError as error:
            raise Unusable("the file of AWS_CA_BUNDLE or SSL_CERT_FILE cannot be read") from error
    return options


# The word of S3, Google and Azure for what is wrong, and signs of other causes in the text of obstore. The
# whole text may hold addresses and credentials.
_WORD = re.compile(r"<Code>(\w{1,60})</Code>")
_STATUS = re.compile(r"\bstatus(?: code)?: (\d{3})\b")
_SIGNS = {
    '"dns error"': "its name cannot be resolved",
    "kind: ConnectionRefused": "the connection is refused",
    "source: TimedOut": "no answer in time",
    "InvalidCertificate": "its certificate is not trusted",
    "configured region": "it is in another region",
}


OF_ALL_OBJECTS = {
    *("ExpiredToken", "InvalidToken", "InvalidAccessKeyId", "SignatureDoesNotMatch", "RequestTimeTooSkewed"),
    *("AuthenticationFailed", "NoSuchBucket", "ContainerNotFound"),
}
"""What S3, Google and Azure answer whatever object is asked for."""
_REFUSED = {"401", "403", "404"}


def trouble(error: Exception) -> str:
    """What is wrong with a store, in a few words: its own, or what the text of an error has, or the kind."""
    text = str(error)
    if word := _WORD.search(text):
        return word[1]
    if sign := next((said for sign, said in _SIGNS.items() if sign in text), None):
        return sign
    # A proxy, or the answer to HEAD, has no word.
    return f"HTTP status {found[1]}" if (found := _STATUS.search(text)) else type(error).__name__


def refused(error: Exception) -> bool:
    """Whether a store answered that credentials, rights or the name of the bucket are wrong.

    Args:
        error: not over a single object that is missing. For a listing its kind is the same, whatever the
            answer was.
    """
    status = _STATUS.search(str(error))
    return trouble(error) in OF_ALL_OBJECTS or (status is not None and status[1] in _REFUSED)
