"""Serves the guides as pages. The service makes the pages from the Markdown files that ship with it."""

import posixpath
import re
from functools import cache
from http import HTTPStatus
from itertools import pairwise
from pathlib import PurePosixPath
from typing import NamedTuple

from flask import Blueprint, abort, redirect, render_template, request, send_from_directory, url_for
from markdown_it import MarkdownIt
from markdown_it.token import Token
from markupsafe import Markup
from werkzeug.wrappers import Response as BaseResponse

from predictor.config import shipped

GUIDES = {
    "README.md": "start, your own model from PyTorch",
    "docs/predict.md": "requests, answers, errors",
    "docs/clients.md": "the Python client",
    "docs/protocols.md": "Open Inference Protocol (/v2), Hugging Face (/hf)",
    "docs/explain.md": "why: heatmaps, and what they are worth",
    "docs/models.md": "upload, versions, labels, preprocessing",
    "docs/evaluate.md": "accuracy, finding the preprocessing, command line",
    "docs/optimise.md": "faster forms of a model, with proof",
    "docs/settings.md": "every setting",
    "docs/operate.md": "install, nginx, GPU, metrics, logs, backup, upgrade, troubleshooting",
    "docs/kubernetes.md": "image, Compose, Kubernetes",
    "docs/monitoring.md": "alerts, Grafana board, traces",
    "docs/performance.md": "measured beside other servers",
    "docs/reliability.md": "promises and their tests",
    "docs/architecture.md": "how the code is organised",
    "docs/contributing.md": "tests and benchmarks",
    "SECURITY.md": "what is promised and what is not, tokens, deployment",
    "CHANGELOG.md": "what is new",
}
"""The path of each guide in a clone, and what it is about, in the order in which they are listed."""
_PATHS = {PurePosixPath(path).name: path for path in GUIDES}
_FOLDER = "docs"
_SHOWN = {
    "<table>": '<div class="scroll" tabindex="0"><table>',
    "</table>": "</table></div>",
    "<pre>": '<div class="example"><pre tabindex="0">',
    "</pre>": '</pre><button class="copy" type="button" hidden>Copy</button></div>',
}
# What guides show or link to beside each other.
_FILES = (".png", ".svg", ".json")


def add_guides(pages: Blueprint) -> None:
    """Add the route of the guides, whose names in it are those of their files."""

    @pages.get("/docs/<name>")
    def guide(name: str) -> BaseResponse | str:
        """Show a guide, or a file that one shows; the name may lack its ending, or have a slash behind it."""
        if request.path.endswith("/") or f"{name}.md" in _PATHS:
            named = f"{name}.md" if f"{name}.md" in _PATHS else name
            return redirect(url_for("pages.guide", name=named), HTTPStatus.PERMANENT_REDIRECT)
        if path := _PATHS.get(name):
            guide = _rendered(path)
            return render_template("guide.html", name=name, guides=GUIDES, **guide._asdict())
        if not name.endswith(_FILES):
            abort(404)
        return send_from_directory(shipped(_FOLDER), name)


class _Guide(NamedTuple):
    """A guide as HTML, with the ids and texts of its second headings."""

    title: str
    sections: list[tuple[str, str]]
    text: Markup


@cache
def _rendered(path: str) -> _Guide:
    """A guide.

    The names of classes are the service's own, as its pages have no styles within their elements.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    tokens = parser.parse(shipped(path).read_text(encoding="utf-8"))
    headings: list[str] = []
    sections: list[tuple[str, str]] = []
    for token, following in pairwise(tokens):
        if token.type == "heading_open":
            name = _anchor(following.content, headings)
            token.attrSet("id", name)
            headings.append(following.content)
            if token.tag == "h2":
                sections.append((name, following.content.replace("`", "")))
        if token.attrs.pop("style", None) == "text-align:right":
            token.attrSet("class", "number")
        _lead(following.children or [], posixpath.dirname(path))
    text = parser.renderer.render(tokens, parser.options, {})
    for plain, shown in _SHOWN.items():
        text = text.replace(plain, shown)
    # Made from files of the project, without their HTML.
    return _Guide(headings[0], sections, Markup(text))  # noqa: S704


def _anchor(heading: str, before: list[str]) -> str:
    """The name of a heading in links, as GitHub makes it."""
    name = re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-")
    return f"{name}-{count}" if (count := before.count(heading)) else name


def _lead(tokens: list[Token], folder: str) -> None:
    """Have links lead to other guides; those to files that only a clone has become plain text."""
    plain = False
    for token in tokens:
        if token.type == "link_open":
            target = _target(str(token.attrs["href"]), folder)
            plain = target is None
            token.attrs = {} if target is None else {"href": target}
        elif token.type == "image" and (target := _target(str(token.attrs["src"]), folder)):
            token.attrSet("src", target)
        if plain and token.type in ("link_open", "link_close"):
            token.tag, plain = "span", token.type == "link_open"


def _target(link: str, folder: str) -> str | None:
    """Where a link of a file in a folder leads on the pages; None if nowhere."""
    if link.startswith(("#", "https://", "http://")):
        return link
    path, mark, anchor = link.partition("#")
    path = posixpath.normpath(posixpath.join(folder, path))
    shown = path in GUIDES or (posixpath.dirname(path) == _FOLDER and path.endswith(_FILES))
    return posixpath.basename(path) + mark + anchor if shown else None
