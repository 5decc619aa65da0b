"""How long an answer may be reused is what its server's headers say."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from predictor.fetch.transport import reusable_seconds

NOW = datetime.now(UTC)


def date(seconds: int) -> str:
    """An HTTP date, seconds from now."""
    return format_datetime(NOW + timedelta(seconds=seconds), usegmt=True)


@pytest.mark.parametrize(
    ("control", "seconds"),
    [
        ("", None),
        ("public", None),
        ("public, immutable", None),
        ("stale-while-revalidate=60", None),
        ("x-no-store=no-store", None),
        ("no-store", 0),
        ("No-Store", 0),
        ("public, no-cache", 0),
        ('no-cache="set-cookie"', 0),
        ("private", 0),
        ("private, max-age=600", 0),
        ("no-store, max-age=600", 0),
        ("max-age=0", 0),
        ("max-age=60", 60),
        ("max-age=600", 600),
        ('max-age="60"', 60),
        ("max-age = 60", 60),
        ("MAX-AGE=60;public", 60),
        ("max-age=60, max-age=10", 10),
        ("max-age=60, s-maxage=10", 10),
        ("s-maxage=60, max-age=10", 60),
        ("must-revalidate", 0),
        ("proxy-revalidate", 0),
        ("must-revalidate, max-age=60", 60),
        ("max-age", 0),
        ("max-age=-1", 0),
        ("max-age=1.5", 0),
        ("max-age=soon", 0),
        ("max-age=\u0661", 0),
        (f"max-age={'9' * 5000}", 2**31),
    ],
)
def test_cache_control(control: str, seconds: int | None) -> None:
    """Directives are those of a shared cache; what is no number of seconds counts as 0."""
    assert reusable_seconds({"Cache-Control": control}) == seconds


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"Age": "100"}, None),
        ({"Cache-Control": "max-age=60", "Age": "45"}, 15),
        ({"Cache-Control": "max-age=60", "Age": "45, 50"}, 15),
        ({"Cache-Control": "max-age=60", "Age": "100"}, 0),
        ({"Cache-Control": "max-age=60", "Age": "old"}, 60),
        ({"Expires": date(60), "Date": date(0)}, 60),
        ({"Expires": date(-3600), "Date": date(-3660)}, 60),
        ({"Expires": date(60), "Date": date(0), "Age": "50"}, 10),
        ({"Expires": date(-60)}, 0),
        ({"Expires": "0"}, 0),
        ({"Expires": "-1"}, 0),
        ({"Expires": f"Fri, 31 Dec {'9' * 30} 23:59:59 GMT"}, 0),
        ({"Expires": f"Fri, 31 Dec 2090 {'9' * 30}:59:59 GMT"}, 0),
        ({"Expires": f"Fri, 31 Dec 2090 23:59:59 +{'9' * 30}"}, 0),
        ({"Expires": date(-60), "Date": f"Fri, 31 Dec {'9' * 30} 23:59:59 GMT"}, 0),
        ({"Expires": "Thu, 19 Nov 1981 08:52:00 GMT"}, 0),
        ({"Expires": date(-60), "Cache-Control": "max-age=60"}, 60),
        ({"Expires": date(60), "Date": date(0), "Cache-Control": "must-revalidate"}, 60),
        ({"Pragma": "no-cache"}, 0),
        ({"Pragma": "No-Cache"}, 0),
        ({"Pragma": "public"}, None),
        ({"Pragma": "no-cache", "Cache-Control": "max-age=60"}, 60),
        ({"Vary": "*"}, 0),
        ({"Vary": "Accept, *", "Cache-Control": "max-age=60"}, 0),
        ({"Vary": "Accept"}, None),
    ],
)
def test_other_headers(headers: dict[str, str], seconds: int | None) -> None:
    """Age shortens the time, Expires counts from Date, and Pragma counts where nothing newer is said."""
    assert reusable_seconds(headers) == seconds


def test_expires_without_date() -> None:
    """Expires without Date counts from now."""
    seconds = reusable_seconds({"Expires": date(3600)})
    assert seconds is not None
    assert 0 < seconds <= 3600
