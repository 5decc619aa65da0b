"""The problem document (RFC 9457) and the headers of every answer, in one place."""

from typing import Any

SAFE_HEADERS = [
    # Images named by URL are shown as a preview, so images may come from elsewhere; nothing else may.
    (
        "Content-Security-Policy",
        (
            "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'; "
            "img-src 'self' data: blob: http: https:; form-action 'self'; frame-ancestors 'none'"
        ),
    ),
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
]
"""Headers of every answer."""


def document(code: str, title: str, status: int, detail: str, request_id: str) -> dict[str, Any]:
    """An error as RFC 9457 describes it, with our code and the request's id."""
    return {
        "type": f"/docs#{code}",
        "title": title,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request_id,
    }
