"""The guides are pages of the service: their links lead on, and what only a clone has is plain text."""

import re
from functools import cache
from pathlib import Path
from urllib.parse import urljoin

import pytest
from flask.testing import FlaskClient

ROOT = Path(__file__).parent.parent.parent
FILES = [
    ROOT / "README.md",
    ROOT / "SECURITY.md",
    ROOT / "CHANGELOG.md",
    *sorted((ROOT / "docs").glob("*.md")),
]


def main_of(page: str) -> str:
    """The text of a guide, without what all pages have."""
    return page.split('<article class="guide">', 1)[1].split("</article>", 1)[0]


@pytest.mark.parametrize("file", FILES, ids=lambda path: path.name)
def test_links_lead_on(file: Path, client: FlaskClient) -> None:
    """Each link and picture of a guide is there, and each heading that a link names."""

    @cache
    def page(path: str) -> str:
        answer = client.get(path)
        assert answer.status_code == 200, path
        return answer.get_data(as_text=True) if answer.mimetype == "text/html" else ""

    address = f"http://localhost/docs/{file.name}"
    text = main_of(page(address))
    targets = [urljoin(address, one) for one in re.findall(r'(?:href|src)="([^"]+)"', text)]

    for target in (one for one in targets if one.startswith("http://localhost/")):
        path, _, anchor = target.partition("#")
        assert not anchor or f' id="{anchor}"' in page(path), target
    assert text.count("<h1") == 1
    assert "](" not in re.sub(r"<code.*?</code>", "", text, flags=re.DOTALL)


def test_every_guide_is_listed(client: FlaskClient) -> None:
    """The documentation of the API and each guide name all guides."""
    for path in ("/docs", "/docs/predict.md"):
        page = client.get(path).get_data(as_text=True)
        led = {urljoin(f"http://localhost{path}", link) for link in re.findall('href="([^"]+)"', page)}
        assert {f"http://localhost/docs/{file.name}" for file in FILES} <= led


def test_files_of_a_clone_are_plain_text(client: FlaskClient) -> None:
    """A link to a file that only a clone has leaves its text behind."""
    text = main_of(client.get("/docs/reliability.md").get_data(as_text=True))

    assert "test_endless_body" in text
    assert "tests/fetch" not in text


def test_tables_and_code(client: FlaskClient) -> None:
    """Tables can be scrolled by the keyboard, too, and have no styles, which the page forbids."""
    text = main_of(client.get("/docs/performance.md").get_data(as_text=True))

    assert text.count('<div class="scroll" tabindex="0"><table>') == text.count("</table></div>") > 3
    assert '<td class="number">' in text
    assert "style=" not in text


def test_address_and_sections(client: FlaskClient) -> None:
    """Commands have the service's own address, and the sections of the guide that is read are listed."""
    page = client.get("/docs/predict.md", base_url="https://predict.example:4443").get_data(as_text=True)

    assert "https://predict.example:4443/predict" in main_of(page)
    assert "127.0.0.1:8080" not in page
    assert '<a class="section" href="#send-an-image">Send an image</a>' in page
    assert main_of(page).count("<pre") == main_of(page).count('class="copy"') > 3


@pytest.mark.parametrize("path", ["/docs/models", "/docs/models.md/", "/docs/models/"])
def test_other_names(path: str, client: FlaskClient) -> None:
    """A name without its ending, or with a slash behind it, leads to the guide."""
    answer = client.get(path, follow_redirects=True)

    assert (answer.status_code, answer.request.path) == (200, "/docs/models.md")


@pytest.mark.parametrize(
    "name",
    ["nothing.md", "..%2fpyproject.toml", "..%2f..%2fetc%2fpasswd", "x.png", "predict.MD", "%2e%2e", "~"],
)
def test_unknown(name: str, client: FlaskClient) -> None:
    """What is no guide and no file of one is not found."""
    assert client.get(f"/docs/{name}").status_code == 404
