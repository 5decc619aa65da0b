"""The commands for a store that machines share: check it, and have it adopt the models of this machine."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click

from predictor.commands.options import told
from predictor.config import BUNDLED_MODEL, Settings
from predictor.errors import ConfigError

if TYPE_CHECKING:
    from predictor.cluster.inspection import Inspection


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


COMMANDS = (store,)
"""All commands of this file."""
