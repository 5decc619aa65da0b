"""The OpenAPI document says all that the service does, and the service does what it says."""

import re
from typing import Any

import jsonschema_rs
import pytest
from flask import Flask
from flask.testing import FlaskClient

from predictor import errors

# Pages and files for people are not part of the API.
PAGES = {"/", "/docs", "/docs/<name>", "/favicon.ico", "/static/<path:filename>"}


@pytest.fixture(scope="module")
def document(app: Flask) -> dict[str, Any]:
    """The document as the service gives it."""
    found: dict[str, Any] = app.test_client().get("/openapi.json").get_json()
    return found


def test_valid(document: dict[str, Any]) -> None:
    """The document is OpenAPI 3.1, and every reference in it leads somewhere."""
    assert document["openapi"].startswith("3.1.")

    def references(value: Any) -> list[str]:
        if isinstance(value, dict):
            mine = [str(value["$ref"])] if "$ref" in value else []
            return mine + [r for v in value.values() for r in references(v)]
        return [r for v in value for r in references(v)] if isinstance(value, list) else []

    names = {reference.removeprefix("#/components/schemas/") for reference in references(document)}
    assert names
    assert names <= document["components"]["schemas"].keys()


def test_every_route(app: Flask, document: dict[str, Any]) -> None:
    """Every route of the application stands in the document, and no other."""
    routes = {
        re.sub("<(.*?)>", r"{\1}", rule.rule) for rule in app.url_map.iter_rules() if rule.rule not in PAGES
    }

    assert document["paths"].keys() == routes


def test_generators_can_read_the_request(document: dict[str, Any]) -> None:
    """The JSON request is one plain object; `openapi-python-client` drops all fields of one with `oneOf`."""
    schema = document["components"]["schemas"]["PredictRequest"]

    assert schema["type"] == "object"
    assert {"image_url", "image", "image_urls", "images", "top_k", "model", "version"} <= schema[
        "properties"
    ].keys()
    assert not {"oneOf", "anyOf", "allOf"} & schema.keys()
    assert all({"type": "null"} in found["anyOf"] for found in schema["properties"].values())


def test_names_of_operations(document: dict[str, Any]) -> None:
    """Each operation is called by what it does, since generated clients name their functions so."""
    names = [one["operationId"] for path in document["paths"].values() for one in path.values()]

    assert len(set(names)) == len(names)
    assert {"predict", "upload_model", "list_models", "roll_back", "evaluate", "get_metrics"} <= set(names)
    assert not [
        name for name in names if name.startswith(("api_", "models_", "pages_", "ops_", "evaluations_"))
    ]


def test_tokens_are_described(document: dict[str, Any]) -> None:
    """Where a token may be needed, the document says so, and that it may not."""
    security = {
        (path, method): one.get("security")
        for path, methods in document["paths"].items()
        for method, one in methods.items()
    }

    assert document["components"]["securitySchemes"]["token"]["scheme"] == "bearer"
    assert security["/predict", "post"] == [{"token": []}, {}]
    assert security["/upload", "post"] == [{"token": []}, {}]
    assert security["/healthz", "get"] is None
    assert all(
        bool(one) == ("401" in document["paths"][path][method]["responses"])
        for (path, method), one in security.items()
    )


def test_every_code(document: dict[str, Any]) -> None:
    """Every error code that `/predict` can give stands in its description."""
    described = str(document["paths"]["/predict"]["post"]["responses"])
    expected: list[type[errors.PredictorError]] = [
        errors.InvalidRequest, errors.InvalidImage, errors.ImageTooLarge, errors.UnsupportedImage,
        errors.FetchBlocked, errors.FetchFailed, errors.FetchTimeout, errors.ModelNotFound,
        errors.Overloaded, errors.NotReady, errors.Internal, errors.Unauthorized,
    ]  # fmt: skip

    assert [error.code for error in expected if f"`{error.code}`" not in described] == []


def test_examples(document: dict[str, Any]) -> None:
    """Each operation has examples in curl, Python and JavaScript for its path; Python can read its own."""
    for path, methods in document["paths"].items():
        for method, one in methods.items():
            samples = {sample["label"]: sample["source"] for sample in one["x-codeSamples"]}
            assert list(samples) == ["curl", "Python", "JavaScript"]
            first = path.split("{")[0]
            assert all(f"http://127.0.0.1:8080{first}" in source for source in samples.values())
            compile(samples["Python"], f"{method} {path}", "exec")


def test_example_of_a_prediction(document: dict[str, Any]) -> None:
    """The examples of `/predict` send the example of its JSON."""
    samples = document["paths"]["/predict"]["post"]["x-codeSamples"]
    curl, python, javascript = (sample["source"] for sample in samples)

    assert curl.startswith("curl -H 'Content-Type: application/json' -d '{\"image_url\": ")
    assert "requests.post(\"http://127.0.0.1:8080/predict\", json={'image_url': " in python
    assert 'method: "POST"' in javascript


def test_inference(document: dict[str, Any]) -> None:
    """Inferences are described with their binary form, and with names that lead to the included model."""
    for path in ("/v2/models/{name}/infer", "/v2/models/{name}/versions/{version}/infer"):
        described = document["paths"][path]["post"]
        parameters = {one["name"]: one for one in described["parameters"]}
        length = parameters["Inference-Header-Content-Length"]

        assert described["requestBody"]["content"].keys() == {"application/json", "application/octet-stream"}
        assert (length["in"], length["required"]) == ("header", False)
        assert length["schema"]["anyOf"][0] == {"type": "integer", "minimum": 0}
        assert parameters["name"]["schema"]["examples"] == ["default"]


@pytest.mark.promise("A10")
def test_answers_conform(document: dict[str, Any], client: FlaskClient, cat: Any) -> None:
    """Real answers, one and many, fit the schemas."""
    data = cat.read_bytes()
    one = client.post("/predict", data=data, content_type="image/jpeg").get_json()
    many = client.post("/predict", data={"image": [(cat.open("rb"), "a"), (cat.open("rb"), "b")]}).get_json()
    problem = client.post("/predict", json={}).get_json()

    for name, answer in (("Answer", one), ("Results", many), ("Problem", problem)):
        schema = {"$ref": f"#/components/schemas/{name}", "components": document["components"]}
        jsonschema_rs.validator_for(schema).validate(answer)


def test_strange_queries(document: dict[str, Any], client: FlaskClient) -> None:
    """A change or an evaluation passes over no query argument: it might say which model is meant."""
    routes = [
        (method, path.format(name="default", version="9"))
        for path, methods in document["paths"].items()
        for method, found in methods.items()
        if method != "get" and "application/problem+json" in found["responses"]["400"]["content"]
        if not any(one["in"] == "query" for one in found.get("parameters", ()))
    ]
    answers = [client.open(f"{path}?name=dogs&_=1", method=method.upper()) for method, path in routes]

    assert {("post", "/upload"), ("post", "/evaluate"), ("delete", "/models/default/versions/9")} <= {*routes}
    assert {one.status_code for one in answers} == {400}
    assert all(one.get_json()["detail"].startswith("name is not a query argument") for one in answers)


@pytest.mark.parametrize("path", ["/hf/default?name=dogs", "/predict?_=1", "/?submit=1", "/upload?_=1"])
def test_other_queries(client: FlaskClient, cat: Any, path: str) -> None:
    """Other protocols pass over what they do not know, and all routes what browsers add."""
    answer = client.post(path, data=cat.read_bytes())

    assert "query argument" not in answer.text
