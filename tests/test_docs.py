"""What the README says is there is there, and what is there stands in the README."""

import ast
import re
from pathlib import Path

import prometheus_client
from flask import Flask

from predictor import errors
from predictor.config import Settings, documented, variable
from predictor.runtime.metrics import Metrics

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()
MAKEFILE = (ROOT / "Makefile").read_text()
PROMISES = {"S": 16, "I": 8, "M": 14, "U": 12, "G": 11, "O": 6, "A": 10}
"""How many rows of each letter the table of promises has."""


def rows(heading: str) -> dict[str, str]:
    """The table that follows a heading: its first column's code, with the rest of the row."""
    section = README.split(f"\n{heading}\n", 1)[1].split("\n#", 1)[0]
    return dict(re.findall(r"^\| `([^`]+)` \| (.*) \|$", section, re.MULTILINE))


def test_settings() -> None:
    """Each setting stands in the table with its sentence, and no other does."""
    table = rows("### Settings")

    assert table.keys() == documented().keys()
    assert [name for name, doc in documented().items() if doc.rstrip(".") not in table[name]] == []


def test_defaults() -> None:
    """Each plain default stands beside its setting."""
    table = rows("### Settings")
    defaults = Settings()
    plain = {name: getattr(defaults, name) for name in Settings.__dataclass_fields__}

    wrong = {
        name: value
        for name, value in plain.items()
        if isinstance(value, str | int | float | Path)
        and not table[variable(name)].startswith(f"`{value:g}`" if isinstance(value, float) else f"`{value}`")
    }

    assert wrong == {}


def test_error_codes() -> None:
    """Each error code stands in the table with its status; besides them, only those of HTTP and nginx."""
    table = rows("### Errors")
    classes = [
        error
        for error in vars(errors).values()
        if isinstance(error, type) and issubclass(error, errors.PredictorError) and "code" in vars(error)
    ]

    assert table.keys() == {error.code for error in classes} | {
        "not_found",
        "method_not_allowed",
        "too_many_requests",
    }
    assert [error.code for error in classes if not table[error.code].startswith(str(error.status))] == []


def test_metrics() -> None:
    """Each metric stands in the table with its labels, and no other does."""
    table = rows("### Probes, metrics, logs")
    registry = prometheus_client.CollectorRegistry()
    made = [made for name, made in vars(Metrics(registry)).items() if not name.startswith("_")]

    names = {metric._name + ("_total" if metric._type == "counter" else "") for metric in made}
    unlabelled = [
        metric._name
        for metric in made
        for label in metric._labelnames
        if f"`{label}`" not in table[metric._name + ("_total" if metric._type == "counter" else "")]
    ]

    # What is read when asked is not counted by a metric of the registry.
    assert table.keys() == names | {"predictor_model_live", "predictor_queue_images"}
    assert unlabelled == []


def test_routes(app: Flask) -> None:
    """Each route of the API and the probes stands in the README."""
    routes = {rule.rule for rule in app.url_map.iter_rules()} - {"/", "/static/<path:filename>"}

    assert [route for route in routes if f"{route}`" not in README] == []


def test_commands() -> None:
    """Each command of the README is one of the Makefile's."""
    used = set(re.findall(r"make ([a-z]+)", README))

    assert {"run", "test", "check", "bench"} <= used
    assert [command for command in used if f"\n{command}:" not in MAKEFILE] == []


def test_files() -> None:
    """Each file that the README names is there."""
    named = set(re.findall(r"`((?:predictor|deploy|tests|tools|docs|static|templates)/[\w./-]+)`", README))
    named |= set(re.findall(r"\]\(([\w./-]+)\)", README))

    assert [name for name in named if not (ROOT / name).exists()] == []


def defined(path: Path) -> set[str]:
    """The functions of a file; those of a class with the class before them, as pytest names them."""
    names = set[str]()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names.update(f"{node.name}::{one.name}" for one in node.body if isinstance(one, ast.FunctionDef))
    return names


def test_named_tests() -> None:
    """Each test that the README names is defined in its file."""
    named = set(re.findall(r"\b(tests/[\w/]+\.py)::([\w:]+)", README))

    assert len(named) > 100
    assert [(path, name) for path, name in sorted(named) if name not in defined(ROOT / path)] == []


def test_promises() -> None:
    """Each promise has its row, in order, with a test that tries to break it, and a figure."""
    section = README.split("\n## Reliability\n", 1)[1].split("\n## ", 1)[0]
    table = re.findall(r"^\| ([A-Z]\d+) \| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", section, re.MULTILINE)

    assert [row for row, *_ in table] == [
        f"{letter}{number}" for letter, count in PROMISES.items() for number in range(1, count + 1)
    ]
    assert [row for row, _, tests, _ in table if "`tests/" not in tests] == []
