"""Examples of each operation in curl, Python and JavaScript, for the OpenAPI document and `/docs`.

They stand under `x-codeSamples`, where documentation tools look for them.
"""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

SERVER = "http://127.0.0.1:8080"
"""The address in the examples of the document; `/docs` writes its own instead."""

_JSON, _FORM = "application/json", "multipart/form-data"
_FILES = {"image": "cat.jpg", "images": "images.zip", "pictures": "pictures.zip", "model": "model.onnx"}
_PATH = {"name": "default", "version": "1", "number": "1"}
_HEADERS = '{"Content-Type": "image/jpeg"}'
_Schema = Mapping[str, Any]


def code_samples(
    path: str, method: str, operation: _Schema, schemas: Mapping[str, _Schema], prefix: str = ""
) -> list[dict[str, str]]:
    """The examples of an operation.

    Args:
        path: with its parameters in braces.
        method: in lower case.
        operation: as it stands in the document.
        schemas: those of the document's components.
        prefix: of the service's paths.

    Returns:
        `lang`, `label` and `source` of each.
    """
    url = SERVER + prefix + _filled(path)
    content = operation.get("requestBody", {}).get("content", {})
    kind = next((one for one in (_JSON, _FORM) if one in content), next(iter(content), None))
    schema = _resolved(content[kind]["schema"], schemas) if kind else {}
    write = {_JSON: _with_json, _FORM: _with_form, None: _without_body}.get(kind, _with_bytes)
    sources = write(url, method, schema)
    labels = (("Shell", "curl"), ("Python", "Python"), ("JavaScript", "JavaScript"))
    return [
        {"lang": language, "label": label, "source": source}
        for (language, label), source in zip(labels, sources, strict=True)
    ]


def _filled(path: str) -> str:
    for name, value in _PATH.items():
        path = path.replace(f"{{{name}}}", value)
    return quote(path.replace("{", "").replace("}", ""), safe="/")


def _resolved(schema: _Schema, schemas: Mapping[str, _Schema]) -> _Schema:
    return schemas.get(str(schema.get("$ref", "")).split("/")[-1], schema)


def _without_body(url: str, method: str, _schema: _Schema) -> tuple[str, str, str]:
    option = "" if method == "get" else f" -X {method.upper()}"
    return (
        f"curl{option} {url}",
        _python(f'requests.{method}("{url}")'),
        _javascript(f'fetch("{url}", {{ method: "{method.upper()}" }})'),
    )


def _with_json(url: str, method: str, schema: _Schema) -> tuple[str, str, str]:
    value: object = next(iter(schema.get("x-examples", [])), {})
    text = json.dumps(value)
    option = "" if method == "post" else f" -X {method.upper()}"
    headers = '{ "Content-Type": "application/json" }'
    options = f'{{ method: "{method.upper()}", headers: {headers}, body: JSON.stringify({text}) }}'
    return (
        f"curl{option} -H 'Content-Type: application/json' -d '{text}' {url}",
        _python(f'requests.{method}("{url}", json={value!r})'),
        _javascript(f'fetch("{url}", {options})'),
    )


def _with_form(url: str, method: str, schema: _Schema) -> tuple[str, str, str]:
    names = _form_fields(schema)
    files = [name for name in names if _is_file(schema["properties"][name])]
    texts = [name for name in names if name not in files]
    parts = [f"-F {name}=@{_file(name)}" for name in files] + [f"-F {name}=1" for name in texts]
    opened = ", ".join(f'"{name}": open("{_file(name)}", "rb")' for name in files)
    data = ", ".join(f'"{name}": "1"' for name in texts)
    arguments = [f"files={{{opened}}}"] * bool(files) + [f"data={{{data}}}"] * bool(texts)
    lines = ["const form = new FormData();"]
    lines += [f'form.append("{name}", file); // a File, as an <input type="file"> gives it' for name in files]
    lines += [f'form.append("{name}", "1");' for name in texts]
    send = _javascript(f'fetch("{url}", {{ method: "{method.upper()}", body: form }})')
    return (
        f"curl {' '.join(parts)} {url}",
        _python(f'requests.{method}("{url}", {", ".join(arguments)})'),
        "\n".join([*lines, send]),
    )


def _with_bytes(url: str, method: str, _schema: _Schema) -> tuple[str, str, str]:
    option = "" if method == "post" else f" -X {method.upper()}"
    options = f'{{ method: "{method.upper()}", headers: {{ "Content-Type": "image/jpeg" }}, body: file }}'
    return (
        f"curl{option} -H 'Content-Type: image/jpeg' --data-binary @cat.jpg {url}",
        _python(f'requests.{method}("{url}", data=open("cat.jpg", "rb"), headers={_HEADERS})'),
        _javascript(f'fetch("{url}", {options})'),
    )


def _form_fields(schema: _Schema) -> list[str]:
    """What an example sends of a form: what is required, or its first file."""
    properties = schema.get("properties", {})
    files = [name for name, field in properties.items() if _is_file(field)]
    return list(schema.get("required", [])) or files[:1] or list(properties)[:1]


def _is_file(field: _Schema) -> bool:
    known = (field, field.get("items", {}), *field.get("anyOf", []))
    return any(one.get("format") == "binary" or "contentMediaType" in one for one in known)


def _file(name: str) -> str:
    return _FILES.get(name, f"{name}.json")


def _python(call: str) -> str:
    return f"import requests\n\nanswer = {call}\nanswer.raise_for_status()\nprint(answer.text)"


def _javascript(call: str) -> str:
    return f"const answer = await {call};\nconsole.log(answer.status, await answer.text());"
