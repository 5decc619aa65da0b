"""The application factory, and nothing else."""

from flask import Flask

from predictor.config import Settings
from predictor.runtime.worker import Worker
from predictor.shipped import shipped
from predictor.web import api, errors, evaluations, hosts, middleware, models, models_page, ops, pages
from predictor.web.flask_app import ServiceFlask


def create_app(settings: Settings) -> Flask:
    """Build the application of one worker process: its models, its cache, its routes."""
    app = ServiceFlask("predictor", template_folder=shipped("templates"), static_folder=shipped("static"))
    worker = Worker(settings)
    app.extensions["predictor"] = worker
    middleware.init_app(app, worker.metrics)
    hosts.init_app(app, settings.trusted_hosts)
    errors.init_app(app)
    worker.cache.init_app(app)
    worker.exporter.init_app(app)
    for room in (pages, models_page, api, models, evaluations, ops):
        app.register_blueprint(room.blueprint(worker))
    errors.show_on(app, models.NAME, lambda problem: models_page.render(worker, problem=problem))
    errors.show_on(app, evaluations.NAME, lambda problem: evaluations.render(worker, problem=problem))
    ops.describe_metrics(app)
    return app
