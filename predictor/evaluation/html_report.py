"""A report -> an HTML page that needs nothing beside it."""

from functools import cache
from typing import Any

import jinja2

from predictor.shipped import shipped

_STYLES = ("app.css", "report.css")


def page(report: dict[str, Any], *, about: str) -> str:
    """The page of an evaluation or of a ranking.

    Args:
        report: what `report.evaluation` or `Tuner.tune` gave.
        about: which model and which pictures, in a few words.
    """
    template = _templates().get_template("report_page.html")
    style = "\n".join((shipped("static") / name).read_text() for name in _STYLES)
    return template.render(report=report, about=about, style=style)


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(shipped("templates"))
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)
