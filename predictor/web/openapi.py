"""The OpenAPI 3.1 document, made from what the code validates with.

Each view says with `operation` what it takes and gives; the document walks the URL map, so no route
can be missing from it.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

from flask import Flask
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema
from werkzeug.routing import Rule

from predictor import errors as known
from predictor.errors import Internal, PredictorError, Unauthorized
from predictor.web.code_samples import code_samples
from predictor.web.schemas import Problem

View = TypeVar("View", bound=Callable[..., Any])
Schema = type[BaseModel] | Mapping[str, Any]
"""A model, or a JSON Schema in which models may stand."""

BINARY: Mapping[str, Any] = {"type": "string", "format": "binary"}
TEXT: Mapping[str, Any] = {"type": "string"}
TAGS = ("Prediction", "Models", "Evaluation", "Open Inference Protocol", "Hugging Face", "Operating")
OF_PREDICTIONS = (
    known.InvalidRequest, known.Unauthorized, known.FetchBlocked, known.ModelNotFound, known.ImageTooLarge,
    known.UnsupportedImage, known.InvalidImage, known.FetchFailed, known.FetchTimeout, known.Overloaded,
    known.NotReady,
)  # fmt: skip
"""The errors that every prediction may meet."""
OF_LABELLED_IMAGES = (
    known.InvalidRequest, known.Unauthorized, known.Forbidden, known.ModelNotFound, known.ModelConflict,
    known.ModelTooLarge, known.InvalidModel, known.NotReady, known.StorageFull,
)  # fmt: skip
"""The errors of what works on labelled images."""
_ATTRIBUTE = "openapi_operation"
_TOKEN = "token"  # noqa: S105 (the name of a security scheme)
_SCHEME = {
    "type": "http",
    "scheme": "bearer",
    "description": "A token of PREDICTOR_PREDICT_TOKEN or PREDICTOR_ADMIN_TOKEN, where one is set.",
}
_REF = "#/components/schemas/{model}"
_METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")
_DESCRIPTION = "Serves a trained ONNX image classifier: send an image and get its classes."


@dataclass(frozen=True)
class Failures:
    """How the errors of an operation look: their content type and schema."""

    content_type: str
    schema: type[BaseModel]


PROBLEMS = Failures("application/problem+json", Problem)


@dataclass(frozen=True)
class Operation:
    """What a view takes and gives.

    Attributes:
        tag: the group it is shown in.
        name: what a generated client calls it; by default what the service does.
        answers: the content of a 200 answer by content type.
        query: the query arguments.
        path: the parts of the path.
        headers: the request headers.
        bodies: the request body by content type.
        errors: what may go wrong.
        failures: how errors look.
    """

    tag: str
    answers: Mapping[str, Schema]
    query: type[BaseModel] | None = None
    path: type[BaseModel] | None = None
    headers: type[BaseModel] | None = None
    bodies: Mapping[str, Schema] = field(default_factory=dict)
    errors: tuple[type[PredictorError], ...] = ()
    failures: Failures = PROBLEMS
    name: str = ""


def operation(**parts: Any) -> Callable[[View], View]:
    """Describe a view by the fields of `Operation`; its docstring gives summary and description."""

    def describe(view: View) -> View:
        setattr(view, _ATTRIBUTE, Operation(**parts))
        return view

    return describe


def operation_of(view: object) -> Operation | None:
    """What `operation` says of a view; None if nothing."""
    found: Operation | None = getattr(view, _ATTRIBUTE, None)
    return found


def document(app: Flask, version: str, prefix: str = "") -> dict[str, Any]:
    """The OpenAPI document of an application, which answers under a path prefix if one is given."""
    paths: dict[str, Any] = {}
    models: set[type[BaseModel]] = set()
    tags: set[str] = set()
    for rule, view, described in sorted(_described(app), key=lambda found: _place(found[0], found[2])):
        models.update(_models(described))
        tags.add(described.tag)
        for method in sorted((rule.methods or set()) & set(_METHODS)):
            paths.setdefault(_path(rule), {})[method.lower()] = _operation(rule, view, described)
    schemas = _components(models)
    for path, item in paths.items():
        for method, described_operation in item.items():
            described_operation["x-codeSamples"] = code_samples(
                path, method, described_operation, schemas, prefix
            )
    return {
        "openapi": "3.1.0",
        "info": {"title": "Image Prediction API", "version": version, "description": _DESCRIPTION},
        **({"servers": [{"url": prefix}]} if prefix else {}),
        "tags": [{"name": tag} for tag in TAGS if tag in tags],
        "paths": paths,
        "components": {"schemas": schemas, "securitySchemes": {_TOKEN: _SCHEME}},
    }


def _described(app: Flask) -> Iterable[tuple[Rule, Callable[..., Any], Operation]]:
    for rule in app.url_map.iter_rules():
        view = app.view_functions[rule.endpoint]
        if (found := operation_of(view)) is not None:
            yield rule, view, found


def _place(rule: Rule, described: Operation) -> tuple[int, str]:
    """Where a route stands: what most people come for first."""
    return TAGS.index(described.tag), rule.rule


def _path(rule: Rule) -> str:
    return re.sub(r"<(?:[^:>]*:)?([^>]*)>", r"{\1}", rule.rule)


def _operation(rule: Rule, view: Callable[..., Any], described: Operation) -> dict[str, Any]:
    summary, _, text = (view.__doc__ or "").strip().partition("\n")
    result: dict[str, Any] = {
        "operationId": described.name or rule.endpoint.replace(".", "_"),
        "tags": [described.tag],
        "summary": summary.rstrip("."),
        "responses": _responses(described),
    }
    if text.strip():
        result["description"] = " ".join(text.split())
    places = (("path", described.path), ("query", described.query), ("header", described.headers))
    parameters = [
        parameter
        for place, model in places
        for parameter in _parameters(model, place)
        if place != "path" or parameter["name"] in rule.arguments
    ]
    if parameters:
        result["parameters"] = parameters
    if Unauthorized in described.errors:
        # An operator may have set no token; then none is needed.
        result["security"] = [{_TOKEN: []}, {}]
    if described.bodies:
        content = {kind: {"schema": _schema(body)} for kind, body in described.bodies.items()}
        result["requestBody"] = {"required": True, "content": content}
    return result


def _parameters(model: type[BaseModel] | None, place: str) -> Iterable[dict[str, Any]]:
    for name, schema in ({} if model is None else model.model_json_schema()["properties"]).items():
        described = dict(schema)
        text = described.pop("description", "")
        required = place == "path"
        yield {"name": name, "in": place, "required": required, "description": text, "schema": described}


def _responses(described: Operation) -> dict[str, Any]:
    responses: dict[str, Any] = {
        "200": {
            "description": "Success.",
            "content": {kind: {"schema": _schema(answer)} for kind, answer in described.answers.items()},
        }
    }
    by_status: dict[int, list[type[PredictorError]]] = {}
    expected: tuple[type[PredictorError], ...] = (*described.errors, Internal)
    for error in expected:
        by_status.setdefault(error.status, []).append(error)
    for status, errors in sorted(by_status.items()):
        codes = " or ".join(f"`{error.code}`" for error in errors)
        responses[str(status)] = {
            "description": f"{' or '.join(error.title for error in errors)}: {codes}.",
            "content": {described.failures.content_type: {"schema": _schema(described.failures.schema)}},
        }
    return responses


def _schema(schema: Any) -> Any:
    """A JSON Schema with references in the place of models."""
    if isinstance(schema, type) and issubclass(schema, BaseModel):
        return {"$ref": _REF.format(model=schema.__name__)}
    if isinstance(schema, Mapping):
        return {key: _schema(value) for key, value in schema.items()}
    if isinstance(schema, list):
        return [_schema(value) for value in schema]
    return schema


def _models(described: Operation) -> Iterable[type[BaseModel]]:
    pending: list[Any] = [*described.answers.values(), *described.bodies.values(), described.failures.schema]
    while pending:
        schema = pending.pop()
        if isinstance(schema, type) and issubclass(schema, BaseModel):
            yield schema
        elif isinstance(schema, Mapping):
            pending.extend(schema.values())
        elif isinstance(schema, list):
            pending.extend(schema)


def _components(models: set[type[BaseModel]]) -> dict[str, Any]:
    wanted = sorted(models, key=lambda model: model.__name__)
    _, schemas = models_json_schema([(model, "validation") for model in wanted], ref_template=_REF)
    return dict(schemas["$defs"])
