"""How long an answer may be reused, by the headers of the server that gave it (RFC 9111 section 4.2).

An answer for a URL goes to every caller, so the rules are those of a shared cache: `private` forbids it, and
`s-maxage` comes before `max-age`. What the headers leave open is for the caller to decide.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime

from werkzeug.http import parse_date

_DIRECTIVE = re.compile(r'([a-z][a-z-]*)(?:\s*=\s*(?:"([^"]*)"|([^\s,;"]*)))?')
_NEVER = {"no-store", "no-cache", "private"}
_REVALIDATE = {"must-revalidate", "proxy-revalidate"}
_LONGEST = 2**31
"""Seconds that stand for more than a cache can count to (RFC 9111 section 1.2.2)."""


def reusable_seconds(headers: Mapping[str, str]) -> int | None:
    """For how many seconds from now an answer may be reused; None if its headers do not say.

    `must-revalidate` without a time means 0: its server wants to be asked.

    Args:
        headers: of the answer, by name without regard to case; repeated ones joined by commas.
    """
    control = _directives(headers.get("Cache-Control", ""))
    if _NEVER & control.keys() or "*" in headers.get("Vary", ""):
        return 0
    if not control and "no-cache" in headers.get("Pragma", "").lower():
        return 0
    lifetime = _lifetime(control, headers)
    if lifetime is None:
        return 0 if _REVALIDATE & control.keys() else None
    return max(0, lifetime - _age(headers))


def _directives(text: str) -> dict[str, list[str]]:
    """The values of each directive; a text without a value has an empty one."""
    found: dict[str, list[str]] = {}
    for name, quoted, plain in _DIRECTIVE.findall(text.lower()):
        found.setdefault(name, []).append(quoted or plain)
    return found


def _lifetime(control: Mapping[str, list[str]], headers: Mapping[str, str]) -> int | None:
    for name in ("s-maxage", "max-age"):
        if name in control:
            return min(_seconds(value) for value in control[name])
    if "Expires" not in headers:
        return None
    # An invalid date, above all 0, is one in the past (RFC 9111 section 5.3).
    expires = _date(headers["Expires"])
    sent = _date(headers.get("Date")) or datetime.now(UTC)
    return int((expires - sent).total_seconds()) if expires else 0


def _date(text: str | None) -> datetime | None:
    """A date of HTTP; None if the text is none, or has a number that no date can have."""
    try:
        return parse_date(text)
    except OverflowError:
        return None


def _seconds(text: str) -> int:
    """A number of seconds; 0 if the text is not a number (RFC 9111 section 4.2.1)."""
    text = text.strip()
    if not (text.isascii() and text.isdecimal()):
        return 0
    return min(int(text[:11]), _LONGEST) if len(text) < 12 else _LONGEST


def _age(headers: Mapping[str, str]) -> int:
    """Seconds that the answer had spent in other caches."""
    return _seconds(headers.get("Age", "").partition(",")[0])
