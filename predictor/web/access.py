"""Who may, and by which name the service may be asked.

Bearer tokens are compared in constant time; without one, only this machine changes models. Where names are
set, no other name can be made to lead here.
"""

import hashlib
import hmac
import ipaddress
from urllib.parse import urlsplit

from flask import Flask, Request
from werkzeug.sansio.utils import host_is_trusted

from predictor.config import Settings
from predictor.errors import Forbidden, InvalidRequest, Unauthorized
from predictor.web.forms import ADMIT, MULTIPART
from predictor.web.middleware import current_request, is_probe

# What proxies add to a request that they pass on.
_FORWARDED = (
    "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
    "X-Forwarded-Server", "X-Real-IP", "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP",
    "CF-Connecting-IP", "Fastly-Client-IP",
)  # fmt: skip


def require_token(request: Request, tokens: tuple[str, ...], kind: str = "token") -> None:
    """Let a request pass if no token is set or if it carries one of them.

    Args:
        request: the request.
        tokens: those that will do.
        kind: what such a token is called.

    Raises:
        Unauthorized: the token is missing or wrong.
    """
    scheme, _, given = request.environ.get("HTTP_AUTHORIZATION", "").partition(" ")
    # The server hands the header's bytes over as Latin-1.
    sent = given.strip().encode("latin-1", "replace") if scheme.lower() == "bearer" else b""
    _check_token(sent, tokens, kind)


def require_page_token(request: Request, tokens: tuple[str, ...]) -> None:
    """The same for a page's form, in which the token may also be the first field, named `token`.

    A browser without JavaScript sends no header of its own. The rest of the form is read only if the token is
    right, and the token is in no field of the form that has been read.

    Raises:
        Unauthorized: the token is missing or wrong; in a form with files that is seen when the form is read.
    """
    try:
        require_token(request, tokens)
    except Unauthorized:
        if request.mimetype != MULTIPART:
            raise
        request.environ[ADMIT] = lambda token: _check_token(token.strip().encode(), tokens)
    else:
        request.environ[ADMIT] = lambda _token: None


def _check_token(given: bytes, tokens: tuple[str, ...], kind: str = "token") -> None:
    sent = digest(given)
    # All are compared, so that the time tells neither which one came near nor how long it is.
    known = [hmac.compare_digest(sent, digest(token.encode())) for token in tokens]
    if tokens and not any(known):
        raise Unauthorized(
            f"A valid {kind} is required; scripts send the header Authorization: Bearer TOKEN."
        )


def digest(token: bytes) -> bytes:
    """The SHA-256 of a token, by which tokens of any length are compared in the same time."""
    return hashlib.sha256(token).digest()


def require_admin(request: Request, settings: Settings) -> None:
    """Let a request change models if it may.

    Raises:
        Unauthorized: a token is set, and the request's is missing or wrong.
        Forbidden: no token is set and the request does not come directly from this machine, or a page of
            another site sent it.
    """
    _refuse_other_sites(request)
    if settings.admin_tokens:
        require_token(request, settings.admin_tokens, "admin token (PREDICTOR_ADMIN_TOKEN)")
    elif not _direct(request, settings):
        raise Forbidden(
            "Without an admin token, only a direct request from the service's own machine may change models. "
            "Set PREDICTOR_ADMIN_TOKEN and send the header Authorization: Bearer TOKEN."
        )


def _refuse_other_sites(request: Request) -> None:
    """A browser says which site a request comes from; a script says nothing, and is no forgery."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is None and origin is not None:
        site = "same-origin" if _from(origin, request.host) else "cross-site"
    if site not in {None, "same-origin", "none"}:
        raise Forbidden("A page of another web site may not change models.")


def _from(origin: str, host: str) -> bool:
    """Whether a page of this origin came from this host; a sandboxed page's is `null`."""
    try:
        return bool(host) and urlsplit(origin).netloc == host
    except ValueError:
        return False


def _direct(request: Request, settings: Settings) -> bool:
    host, _, _ = settings.bind.rpartition(":")
    named = _hostname(request.host)
    # A name that an attacker's own DNS leads here is not one of these.
    return all(_loopback(one) for one in (host, named, request.remote_addr)) and not any(
        name in request.headers for name in _FORWARDED
    )


def _hostname(host: str) -> str | None:
    """A host without its port; None if it is none."""
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


def _loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False


def check_hosts(app: Flask, trusted: tuple[str, ...]) -> None:
    """Refuse every request for another host than these, for none, and for what is no host.

    Args:
        app: the application.
        trusted: names in lower case; one with a leading dot stands for itself and all names below it. If
            there are none, any host will do.
    """

    @app.before_request
    def check() -> None:
        asked = current_request()
        # RFC 9112 section 3.2 demands it; HTTP/1.0 did not know it.
        if "HTTP_HOST" not in asked.environ and asked.environ.get("SERVER_PROTOCOL") != "HTTP/1.0":
            raise InvalidRequest("The request has no Host header.")
        host = asked.host.lower()
        # Werkzeug lets pass what only looks like an address or a name, and then fails on it.
        if (host.startswith("[") and not _is_address(host)) or not _is_decodable(host):
            raise InvalidRequest("Invalid Host header.")
        if trusted and not host_is_trusted(host, trusted) and not _probe(host):
            raise InvalidRequest("This host name is not allowed; see PREDICTOR_TRUSTED_HOSTS.")


def _probe(host: str) -> bool:
    """Whether a probe or Prometheus asks, which know no name, only an address.

    Nothing in these answers depends on it, and an address is no name that somebody else's DNS could have led
    here.
    """
    return is_probe(current_request()) and _is_address(host)


def _is_decodable(host: str) -> bool:
    """Whether a host can be shown in a URL: its labels in the form of RFC 3490 mean something."""
    if host.isascii() and "xn--" not in host:
        return True
    try:
        (_hostname(host) or "").encode("ascii").decode("idna")
    except UnicodeError:
        return False
    return True


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(urlsplit(f"//{host}").hostname or "")
    except ValueError:
        return False
    return True
