"""The page on which models are uploaded, seen and changed."""

from typing import Any

from flask import Blueprint, render_template

from predictor.runtime.worker import Worker
from predictor.web.openapi import TEXT, operation
from predictor.web.serializers import models_json


def blueprint(worker: Worker) -> Blueprint:
    """The page's route."""
    pages = Blueprint("models_page", __name__)

    @pages.get("/upload")
    @operation(tag="Models", answers={"text/html": TEXT})
    def show() -> str:
        """Show the models and the upload form."""
        return render(worker)

    return pages


def render(worker: Worker, **shown: Any) -> str:
    """The page.

    Args:
        worker: whose models are shown.
        shown: what came of a change: `uploaded`, `message` or `problem`.
    """
    settings = worker.settings
    nothing = {"uploaded": None, "message": None, "problem": None}
    return render_template(
        "models.html",
        models=models_json(worker.registry)["models"],
        limits={"max_model_mb": settings.max_model_mb},
        protected=bool(settings.admin_tokens),
        **(nothing | shown),
    )
