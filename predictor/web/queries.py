"""Which query arguments a request may have: those that the document of the API describes."""

from flask import Flask, request

from predictor.errors import InvalidRequest
from predictor.web import field_faults
from predictor.web.openapi import PROBLEMS, operation_of

_CHANGES = ("POST", "PUT", "PATCH", "DELETE")


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
