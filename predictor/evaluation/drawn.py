"""A report -> an HTML page that needs nothing beside it."""

from functools import cache
from pathlib import Path
from typing import Any

import jinja2

_ROOT = Path(__file__).parent.parent.parent
_STYLES = ("app.css", "report.css")


def page(report: dict[str, Any], *, about: str) -> str:
    """The page of an evaluation or of a ranking.

    Args:
        report: what `report.evaluation` or `Tuner.tune` gave.
        about: which model and which pictures, in a few words.
    """
    template = _templates().get_template("report_page.html")
    style = "\n".join((_ROOT / "static" / name).read_text() for name in _STYLES)
    return template.render(report=report, about=about, style=style)


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(_ROOT / "templates")
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
