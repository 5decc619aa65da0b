"""The application factory, and nothing else."""

from flask import Flask

from predictor.config import Settings, shipped
from predictor.runtime.worker import Worker
from predictor.web import (
    access,
    api,
    comparisons,
    cors,
    evaluations,
    explanations,
    flask_app,
    hugging_face,
    inference,
    middleware,
    models,
    ops,
    optimisations,
    pages,
    prefix,
    quality,
    repository,
    tracing,
    urls,
)
from predictor.web.flask_app import ServiceFlask


def create_app(settings: Settings) -> Flask:
    """Build the application of one worker process: its models, its cache, its routes."""
    app = ServiceFlask("predictor", template_folder=shipped("templates"), static_folder=shipped("static"))
    worker = Worker(settings)
    app.extensions["predictor"] = worker
    prefix.init_app(app, settings.prefix or "")
    middleware.init_app(app, worker.metrics)
    tracing.init_app(app)
    access.check_hosts(app, settings.trusted_hosts)
    cors.init_app(app, settings.allowed_origins)
    urls.refuse_strange_queries(app)
    flask_app.handle_errors(app)
    app.after_request(flask_app.revalidate)
    worker.cache.init_app(app)
    worker.exporter.init_app(app)
    # A slash at the end of a path changes nothing; a redirect would lose the body of many clients.
    app.url_map.strict_slashes = False
    modules = (
        pages, api, explanations, models, quality, optimisations, evaluations, comparisons, inference,
        repository, hugging_face, ops,
    )  # fmt: skip
    for module in modules:
        app.register_blueprint(module.blueprint(worker))
    for name in (models.NAME, quality.NAME):
        flask_app.show_on(app, name, lambda problem: pages.render_models(worker, problem=problem))
    for name in (evaluations.NAME, comparisons.NAME):
        flask_app.show_on(app, name, lambda problem: evaluations.render(worker, problem=problem))
    flask_app.show_on(app, optimisations.NAME, lambda problem: optimisations.render(worker, problem=problem))
    ops.describe_metrics(app)
    return app
