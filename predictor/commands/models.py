"""The models of a service: list, upload, switch, delete; and the store that machines share: check, adopt."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from predictor.bulk.rows import printable
from predictor.commands.options import FILE, MODEL, URL, beside_model, reached, together, token, told
from predictor.config import BUNDLED_MODEL, Settings
from predictor.errors import ConfigError

if TYPE_CHECKING:
    from predictor.cluster.inspection import Inspection

_GAP = 2  # spaces between columns

_force = click.option("--force", is_flag=True, help="Do it although too few golden images are right.")
_of_change = together(
    click.option("--url", default=URL, help="URL of the service."),
    token("PREDICTOR_ADMIN_TOKEN", "PREDICTOR_PREDICT_TOKEN"),
    click.option("--json", "as_json", is_flag=True, help="Print the service's answer as JSON."),
)


@click.command()
@click.argument("model", type=MODEL)
@click.argument("files", type=FILE, nargs=-1)
@beside_model
@click.option("--name", default="default", help="Name of the model on the service.")
@_force
@_of_change
def upload(model: Path, files: tuple[Path, ...], name: str, file: str | None, **given: Any) -> None:
    """Upload a model; once this ends, every worker serves it.

    MODEL is an .onnx file, a ZIP file, or a folder, all of whose files are sent. FILES are what else belongs
    to it, such as weights.
    """
    fields = {"name": name} | ({} if file is None else {"file": file})
    fields |= {"force": "true"} if given["force"] else {}
    with told(), reached(given["url"], given["token"]) as service:
        answer = service.upload(
            model, *files, labels=given["labels"], preprocessing=given["preprocessing"], **fields
        )
    say(answer, given["as_json"], lambda: uploaded(answer))


def uploaded(answer: Mapping[str, Any]) -> Iterator[str]:
    """What came of an upload, a line each."""
    known = " already; these are its files" if answer.get("unchanged") else ""
    yield f"Version {answer['version']} of {printable(answer['name'])} is live{known}."
    report = answer.get("report") or {}
    yield from (f"Adapted: {printable(said)}" for said in report.get("adapted") or ())
    yield from (f"Warning: {printable(said)}" for said in report.get("warnings") or ())


@click.command()
@click.argument("name", required=False)
@_of_change
def models(name: str | None, **given: Any) -> None:
    """List the models of a service and their versions, or those of the model NAME."""
    with told(), reached(given["url"], given["token"]) as service:
        found = service.models() if name is None else [service.model(name)]
    say({"models": found} if name is None else found[0], given["as_json"], lambda: _table(_listed(found)))


_HEADING = ("NAME", "VERSION", "STATE", "CLASSES", "CREATED", "MODEL", "DIGEST")
_DIGEST = len("sha256:") + 12


def _listed(found: Sequence[Mapping[str, Any]]) -> list[tuple[str, ...]]:
    return [
        (
            str(model["name"]),
            str(one["version"]),
            _state(one),
            str(one["classes"] or ""),
            str(one["created"] or "")[:19],
            str(one["model"]),
            str(one["digest"])[:_DIGEST],
        )
        for model in found
        for one in model["versions"]
    ]


def _state(version: Mapping[str, Any]) -> str:
    if version["quarantined"]:
        return "quarantined"
    return "live" if version["live"] else ""


def _table(rows: Sequence[tuple[str, ...]]) -> Iterator[str]:
    """Columns on a terminal; in a pipe, cells with tabs between them, for `cut` and `awk`."""
    cells = [tuple(map(printable, row)) for row in (_HEADING, *rows)]
    if not sys.stdout.isatty():
        yield from map("\t".join, cells)
        return
    widths = [max(map(len, column)) + _GAP for column in zip(*cells, strict=True)]
    for row in cells:
        line = "".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        yield click.style(line, bold=(row is cells[0]) or None, fg="green" if "live" in row else None)


@click.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1))
@_force
@_of_change
def activate(name: str, version: int, **given: Any) -> None:
    """Make a version of a model the live one, in every worker."""
    with told(), reached(given["url"], given["token"]) as service:
        answer = service.activate(version, name, force=given["force"])
    say(answer, given["as_json"], lambda: iter((f"Version {version} of {name} is live.",)))


@click.command()
@click.argument("name")
@_of_change
def rollback(name: str, **given: Any) -> None:
    """Make the version of a model the live one that was live before."""
    with told(), reached(given["url"], given["token"]) as service:
        answer = service.rollback(name)
    say(answer, given["as_json"], lambda: iter((f"Version {answer['version']} of {name} is live.",)))


@click.command()
@click.argument("name")
@click.argument("version", type=click.IntRange(1), required=False)
@click.option("--yes", is_flag=True, help="Ask nothing.")
@_of_change
def delete(name: str, version: int | None, *, yes: bool, **given: Any) -> None:
    """Delete a version that is not live; without VERSION, the model with all its versions.

    On a terminal it asks before it deletes a whole model.
    """
    if version is None and not yes and sys.stdin.isatty():
        click.confirm(f"Delete {name} with all its versions?", abort=True, err=True)
    with told(), reached(given["url"], given["token"]) as service:
        answer = service.delete(name, version)
    what = f"The model {name}" if version is None else f"Version {version} of {name}"
    say(answer, given["as_json"], lambda: iter((f"{what} is deleted.",)))


def say(answer: Mapping[str, Any], as_json: bool, lines: Callable[[], Iterator[str]]) -> None:
    """Print an answer as JSON, or its lines for people."""
    for line in [json.dumps(answer, indent=1)] if as_json else lines():
        click.echo(line)


@click.group()
def store() -> None:
    """Look at the store of PREDICTOR_STORE, or repair it, from a machine with the settings of its service."""


@store.command()
def check() -> None:
    """Check that the store keeps its word, and has what the machines serve.

    Prints the last change, the machines, and each fault. Exit code 1 if there is one.
    """
    with told():
        faults = list(_checked(_opened()))
    for fault in faults:
        click.echo(fault, err=True)
    if faults:
        raise click.exceptions.Exit(1)


@store.command()
@click.option("--yes", is_flag=True, help="Ask nothing.")
def adopt(*, yes: bool) -> None:
    """Have the store, and then all machines, take over the models of this machine.

    For a store that was restored from a backup or emptied: run it on the machine whose models are right. It
    makes a change with a number that no machine has seen, so all of them follow it. Versions that do not
    serve, and whose files are neither on this machine nor in the store, are left out.
    """
    with told():
        found = _opened()
        if not yes:
            click.confirm("Have all machines serve the models of this machine?", abort=True, err=True)
        adopted = found.adopt()
    for name, version in adopted.lost:
        click.echo(f"Version {version} of {name} is left out: its files are nowhere.", err=True)
    click.echo(f"Change {adopted.serial} of the store has the models of this machine.")


def _checked(found: "Inspection") -> Iterator[str]:
    if fault := found.fault():
        yield f"The store cannot be used: {fault}."
        return
    latest = found.latest()
    click.echo("The store keeps its word.")
    click.echo(
        "No change was made yet." if latest is None else f"Last change: {latest.serial}, {latest.time}."
    )
    for line in found.machines():
        click.echo(line)
    yield from found.faults(latest)


def _opened() -> "Inspection":
    settings = Settings.from_environment()
    if settings.store is None:
        raise ConfigError("PREDICTOR_STORE is not set.")
    from predictor.cluster.inspection import Inspection

    return Inspection(settings, BUNDLED_MODEL)


COMMANDS = (upload, models, activate, rollback, delete, store)
"""All commands of this file."""
