"""Which URLs and query arguments the service has, and which a client probably meant by another."""

import re

from flask import Flask, Request, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from predictor.errors import InvalidRequest
from predictor.model.strict_text import nearest
from predictor.web import field_faults
from predictor.web.openapi import PROBLEMS, operation_of

_CHANGES = ("POST", "PUT", "PATCH", "DELETE")
# What other services call these URLs: words of their paths.
_ELSEWHERE = {
    word: path
    for path, words in {
        "/predict": "predict prediction predictions classify classification infer inference invocations "
        "invoke score detect recognize",
        "/explain": "explain explanation explanations heatmap saliency",
        "/evaluate": "evaluate evaluation evaluations eval",
        "/compare": "compare comparison",
        "/upload": "upload uploads deploy publish register",
        "/models": "model models version versions",
        "/healthz": "health healthcheck healthy live livez liveness ping status",
        "/readyz": "ready readiness",
        "/metrics": "metric prometheus stats statistics",
        "/openapi.json": "openapi swagger schema redoc",
        "/docs": "doc documentation help",
    }.items()
    for word in words.split()
}


def refuse_strange_queries(app: Flask) -> None:
    """Refuse a query argument where none is described: what would be passed over may name another model.

    Other protocols pass over what they do not know, and so does a request that only reads.
    """

    @app.before_request
    def refuse() -> None:
        if not request.query_string or request.method not in _CHANGES:
            return
        operation = operation_of(app.view_functions.get(request.endpoint or ""))
        if operation is None or operation.query is not None or operation.failures is not PROBLEMS:
            return
        if names := field_faults.chosen(request.args):
            advice = "; send it as a field of the body" if operation.bodies else ""
            name = field_faults.shown(names[0])
            raise InvalidRequest(f"{name} is not a query argument of this URL{advice}.")


def not_found(app: Flask, asked: Request) -> str:
    """The sentence on a URL that does not exist: which was probably meant, and where all are described."""
    words = re.split(r"[^a-z0-9]+", asked.path[:200].lower())
    paths = [rule.rule for rule in app.url_map.iter_rules() if not rule.arguments]
    known = (_ELSEWHERE[word] for word in reversed(words) if word in _ELSEWHERE)
    meant = next(known, None) or nearest(asked.path, paths)
    question = f"; did you mean {asked.root_path}{meant}?" if meant else "."
    return f"This URL does not exist{question} {asked.root_path}/docs describes the API."


def wrong_method(error: HTTPException, asked: Request) -> str:
    """The sentence on a method that a URL does not accept: which it accepts, and where models are uploaded.

    Methods that every client may use anyway are not named.
    """
    accepted = error.valid_methods if isinstance(error, MethodNotAllowed) else None
    named = " and ".join(sorted(set(accepted or ()) - {"HEAD", "OPTIONS"})) or "other methods"
    uploads = asked.path.startswith("/models") and asked.method in {"POST", "PUT"}
    advice = f"; upload a model by POST {asked.root_path}/upload" if uploads else ""
    return f"This URL accepts only {named}{advice}."
