"""By which names the service may be asked, so that no other name can be made to lead to it."""

import ipaddress
from urllib.parse import urlsplit

from flask import Flask, request
from werkzeug.sansio.utils import host_is_trusted

from predictor.errors import InvalidRequest
from predictor.web.middleware import current_request

# Probes and Prometheus know no name, only an address. Nothing in these answers depends on it, and an address
# is no name that somebody else's DNS could have led here.
_BY_ADDRESS = frozenset({"/healthz", "/readyz", "/metrics"})


def init_app(app: Flask, trusted: tuple[str, ...]) -> None:
    """Refuse every request for another host than these, and what is no host.

    Args:
        app: the application.
        trusted: names in lower case; one with a leading dot stands for itself and all names below it. If
            there are none, any host will do.
    """

    @app.before_request
    def check() -> None:
        host = current_request().host.lower()
        # Werkzeug lets pass what only looks like an address, and then fails on it.
        if host.startswith("[") and not _is_address(host):
            raise InvalidRequest("Invalid Host header.")
        if trusted and not host_is_trusted(host, trusted) and not _probe(host):
            raise InvalidRequest("This host name is not allowed; see PREDICTOR_TRUSTED_HOSTS.")


def _probe(host: str) -> bool:
    return request.path in _BY_ADDRESS and _is_address(host)


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
    return True
