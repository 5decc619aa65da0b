"""How a store is reached: TLS and time limits, the same for all that use obstore. Imports nothing of it."""

from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

_CONNECT_SECONDS = 5.0
# Where one of these names a server without TLS, an operator wants it so.
_ENDPOINTS = (
    "AWS_ENDPOINT",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_S3",
    "AZURE_ENDPOINT",
    "AZURE_STORAGE_ENDPOINT",
)
_AUTHORITIES = ("AWS_CA_BUNDLE", "SSL_CERT_FILE")


def client_options(
    environment: Mapping[str, str], seconds: float, connect_seconds: float = _CONNECT_SECONDS
) -> dict[str, Any]:
    """What obstore is told of its connections.

    Args:
        environment: names the endpoint, and the file with the authorities that are trusted besides.
        seconds: for a request.
        connect_seconds: to connect.

    Raises:
        ValueError: that file cannot be read.
    """
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
            raise ValueError("The file of AWS_CA_BUNDLE or SSL_CERT_FILE cannot be read.") from error
    return options
