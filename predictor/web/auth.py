"""Who may: bearer tokens, compared in constant time."""

import hmac

from flask import Request

from predictor.errors import Unauthorized


def require_token(request: Request, token: str | None) -> None:
    """Let a request pass if no token is set or if it carries the right one.

    Raises:
        Unauthorized: the token is missing or wrong.
    """
    if token is None:
        return
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), token.encode()):
        raise Unauthorized("This needs the header Authorization: Bearer with the right token.")
