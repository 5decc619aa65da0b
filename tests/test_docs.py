"""What the documents say is there is there, and what is there stands in the documents."""

import ast
import json
import re
from pathlib import Path

import prometheus_client
from flask import Flask

from predictor import cli, errors
from predictor.cluster.membership import METRICS as CLUSTER_METRICS
from predictor.config import Settings, documented, variable
from predictor.metrics import Metrics

ROOT = Path(__file__).parent.parent
MAKEFILE = (ROOT / "Makefile").read_text()
README = ROOT / "README.md"
GUIDES = sorted((ROOT / "docs").glob("*.md"))
TEXTS = {path: path.read_text() for path in (README, *GUIDES)}
"""The documents for users and contributors."""
ROOMS = "|".join(
    sorted(path.name for path in (ROOT / "predictor").iterdir() if (path / "__init__.py").exists())
)
README_BYTES = 6144
FENCE = re.compile(r"^ *```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)


def rows(guide: str, heading: str = "") -> dict[str, str]:
    """The tables under a heading of a guide: the code in the first column, with the rest of the row."""
    section = f"\n{TEXTS[ROOT / 'docs' / guide]}"
    if heading:
        section = section.split(f"\n{heading}\n", 1)[1].split("\n## ", 1)[0]
    return dict(re.findall(r"^\| `(\w+)` \| (.*) \|$", section, re.MULTILINE))


def blocks(language: str) -> list[str]:
    """The fenced blocks of all documents in one language."""
    found = [block for text in TEXTS.values() for block in FENCE.findall(text)]
    return [code for kind, code in found if kind == language]


def code() -> str:
    """All that is set as code in any document, a line for each piece."""
    fenced = [code for text in TEXTS.values() for _, code in FENCE.findall(text)]
    spans = [span for text in TEXTS.values() for span in re.findall(r"`([^`]+)`", FENCE.sub("", text))]
    return "\n".join(fenced + spans)


def slugs(text: str) -> set[str]:
    """The anchors of a document's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.+)$", FENCE.sub("", text), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading).lower().replace(" ", "-") for heading in headings}


def links(text: str) -> list[str]:
    """The targets of a document's links and images."""
    return re.findall(r"\]\(([^)\s]+)\)", text)


def test_settings() -> None:
    """Each setting stands in the table with its sentence, and no other does."""
    table = rows("settings.md")

    assert table.keys() == documented().keys()
    assert [name for name, doc in documented().items() if doc.rstrip(".") not in table[name]] == []


def test_defaults() -> None:
    """Each plain default stands beside its setting."""
    table = rows("settings.md")
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
    table = rows("predict.md", "## Errors")
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
    table = rows("operate.md", "## Probes, metrics, logs")
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
    read = {
        "predictor_build_info",
        "predictor_degraded",
        "predictor_model_live",
        "predictor_queue_images",
        "predictor_store_errors_total",
        "predictor_worker_deaths_total",
        *CLUSTER_METRICS,
    }
    assert table.keys() == names | read
    assert unlabelled == []


def test_routes(app: Flask) -> None:
    """Each route of the API and the probes stands in a document."""
    routes = {rule.rule for rule in app.url_map.iter_rules()} - {
        "/",
        "/favicon.ico",
        "/static/<path:filename>",
    }

    assert [route for route in routes if f"{route}`" not in "".join(TEXTS.values())] == []


def test_commands() -> None:
    """Each command of the documents is one of the Makefile's, and the README has those that a user needs."""
    used = set(re.findall(r"(?:^|\s)make ([a-z][a-z-]*)", code(), re.MULTILINE))

    assert {"run", "test", "check", "bench"} <= used
    assert [command for command in used if f"\n{command}:" not in MAKEFILE] == []
    assert all(f"make {command}" in TEXTS[README] for command in ("run", "test"))


def test_modules() -> None:
    """Each module that a document runs is there."""
    run = set(re.findall(r"python -m ((?:predictor|tools|bench)[\w.]*)", code()))
    paths = {name: ROOT / name.replace(".", "/") for name in run}

    assert len(run) > 3
    assert [
        name
        for name, path in paths.items()
        if not (path.with_suffix(".py").exists() or (path / "__main__.py").exists())
    ] == []


def test_command_line() -> None:
    """The documents show each command of the command line, with options that it has."""
    shown = re.findall(r"^image-prediction (\w+)(.*)$", code(), re.MULTILINE)
    commands = cli.main.commands

    assert {name for name, _ in shown} == commands.keys()
    for name, arguments in shown:
        known = {"--help"} | {option for parameter in commands[name].params for option in parameter.opts}
        assert set(re.findall(r"--[\w-]+", arguments)) <= known


def test_files() -> None:
    """Each file that a document names is there; in the guides, a module may go without the package's name."""
    text = "".join(TEXTS.values())
    named = set(
        re.findall(r"`((?:predictor|deploy|tests|tools|docs|static|templates|bench)/[\w./-]+)`", text)
    )
    modules = {f"predictor/{path}.py" for path in re.findall(rf"`((?:{ROOMS})/\w+)`", text)}

    assert len(named) > 10
    assert len(modules) > 10
    assert [name for name in named | modules if not (ROOT / name).exists()] == []


def test_links() -> None:
    """Each link leads to a file of the repository and, where it names a heading, to that heading."""
    texts = TEXTS | {path: path.read_text() for path in (ROOT / "SECURITY.md", ROOT / "CHANGELOG.md")}
    broken = []
    for path, text in texts.items():
        for link in links(text):
            name, _, anchor = link.partition("#")
            target = (path.parent / name).resolve() if name else path
            if not target.exists() or (anchor and anchor not in slugs(target.read_text())):
                broken.append((path.name, link))

    assert sum(len(links(text)) for text in texts.values()) > 200
    assert broken == []


def test_examples() -> None:
    """The examples in JSON and Python are valid."""
    assert [json.loads(block) for block in blocks("json")]
    assert [ast.parse(block) for block in blocks("python")]


def test_readme() -> None:
    """The README is short, and each guide is one click away from it."""
    assert len(TEXTS[README].encode()) <= README_BYTES
    assert {f"docs/{path.name}" for path in GUIDES} <= set(links(TEXTS[README]))
