"""What browsers and proxies may keep: pages and scripts until they change, images for a day."""

import re
from pathlib import Path

import pytest
from flask.testing import FlaskClient

from predictor.config import shipped

PAGES = ["/", "/upload", "/evaluate", "/docs"]
STATIC = sorted(path.name for path in shipped("static").iterdir())
IMAGES = (".jpg", ".svg")


@pytest.mark.parametrize(
    "path", [*PAGES, *(f"/static/{name}" for name in STATIC if not name.endswith(IMAGES))]
)
def test_asked_for_each_time(client: FlaskClient, path: str) -> None:
    """A page, a script or a style may be kept, is asked for each time, and is sent only if it changed."""
    first = client.get(path)
    again = client.get(path, headers={"If-None-Match": first.headers["ETag"]})
    other = client.get(path, headers={"If-None-Match": '"other"'})

    assert (first.status_code, first.headers["Cache-Control"]) == (200, "no-cache")
    assert (again.status_code, again.data) == (304, b"")
    assert (again.headers["ETag"], again.headers["Cache-Control"]) == (first.headers["ETag"], "no-cache")
    assert (other.status_code, other.data) == (200, first.data)


@pytest.mark.parametrize("name", [name for name in STATIC if name.endswith(IMAGES)])
def test_images_for_a_day(client: FlaskClient, name: str) -> None:
    """An image of the pages is kept for a day, and has a tag to ask with later."""
    first = client.get(f"/static/{name}")

    assert (first.cache_control.max_age, first.cache_control.no_cache) == (86_400, None)
    assert client.get(f"/static/{name}", headers={"If-None-Match": first.headers["ETag"]}).status_code == 304


@pytest.mark.parametrize(
    "date",
    [
        f"Fri, 31 Dec {'9' * 30} 23:59:59 GMT",
        f"Fri, 31 Dec 2090 {'9' * 30}:59:59 GMT",
        f"Fri, 31 Dec 2090 23:59:59 +{'9' * 30}",
    ],
)
@pytest.mark.parametrize("name", ["If-Modified-Since", "If-Range"])
@pytest.mark.parametrize("path", ["/", "/static/app.js"])
def test_impossible_dates(client: FlaskClient, path: str, name: str, date: str) -> None:
    """A condition with a number that no date can have is ignored; a range under it does not hold."""
    answer = client.get(path, headers={name: date, "Range": "bytes=0-3"})

    assert (answer.status_code, answer.data) == (200, client.get(path).data)


def test_compressed_by_a_proxy(client: FlaskClient) -> None:
    """The weak tag that a proxy makes of ours when it compresses a page is known again."""
    tag = client.get("/docs").headers["ETag"]

    assert client.get("/docs", headers={"If-None-Match": f"W/{tag}"}).status_code == 304


def test_changed_page(client: FlaskClient) -> None:
    """A page that shows something else has another tag."""
    tags = {client.get(path).headers["ETag"] for path in ("/", "/?image_url=https://example.org/cat.jpg")}

    assert len(tags) == 2


def test_answers(client: FlaskClient, cat: Path) -> None:
    """Predictions, errors and the page of a prediction have no tag; an error page is asked for each time."""
    image = cat.read_bytes()
    answers = [
        client.post("/predict", data=image),
        client.post("/predict", data=b""),
        client.post("/", data=image, headers={"Accept": "text/html"}),
        client.get("/missing"),
        lost := client.get("/missing", headers={"Accept": "text/html"}),
    ]

    assert [answer.headers.get("ETag") for answer in answers] == [None] * 5
    assert (lost.status_code, lost.headers["Cache-Control"]) == (404, "no-cache")


def test_every_page_is_here(client: FlaskClient) -> None:
    """The pages of this test are those that the pages link to."""
    linked = set(re.findall(r'<a href="\.(/[a-z]*)"', client.get("/").text))

    assert {path for path in linked if client.get(path).mimetype == "text/html"} == set(PAGES)
