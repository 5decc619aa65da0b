"""Who may: bearer tokens, compared in constant time; without one, only this machine changes models."""

import hmac
import ipaddress
from urllib.parse import urlsplit

from flask import Request

from predictor.config import Settings
from predictor.errors import Forbidden, Unauthorized

# What proxies add to a request that they pass on.
_FORWARDED = (
    "Forwarded", "Via", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port",
    "X-Forwarded-Server", "X-Real-IP", "X-Client-IP", "X-Cluster-Client-IP", "True-Client-IP",
    "CF-Connecting-IP", "Fastly-Client-IP",
)  # fmt: skip


def require_token(request: Request, token: str | None) -> None:
    """Let a request pass if no token is set or if it carries the right one.

    Raises:
        Unauthorized: the token is missing or wrong.
    """
    if token is None:
        return
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    # The server hands the header's bytes over as Latin-1.
    sent = given.strip().encode("latin-1", "replace")
    if scheme.lower() != "bearer" or not hmac.compare_digest(sent, token.encode()):
        raise Unauthorized("This needs the header Authorization: Bearer with the right token.")


def require_admin(request: Request, settings: Settings) -> None:
    """Let a request change models if it may.

    Raises:
        Unauthorized: a token is set, and the request's is missing or wrong.
        Forbidden: no token is set and the request does not come directly from this machine, or a page of
            another site sent it.
    """
    _refuse_other_sites(request)
    if settings.admin_token is not None:
        require_token(request, settings.admin_token)
    elif not _direct(request, settings):
        raise Forbidden(
            "Without an admin token, models may be changed only by a direct request on the machine itself. "
            "Set PREDICTOR_ADMIN_TOKEN and send it as Authorization: Bearer."
        )


def _refuse_other_sites(request: Request) -> None:
    """A browser says which site a request comes from; a script says nothing, and is no forgery."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is None and origin is not None:
        site = "same-origin" if urlsplit(origin).netloc == request.host else "cross-site"
    if site not in {None, "same-origin", "none"}:
        raise Forbidden("A page of another site may not change models.")


def _direct(request: Request, settings: Settings) -> bool:
    host, _, _ = settings.bind.rpartition(":")
    named = urlsplit(f"//{request.host}").hostname
    # A name that an attacker's own DNS leads here is not one of these.
    return all(_loopback(one) for one in (host, named, request.remote_addr)) and not any(
        name in request.headers for name in _FORWARDED
    )


def _loopback(host: str | None) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address((host or "").strip("[]")).is_loopback
    except ValueError:
        return False
