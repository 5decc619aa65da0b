"""The command line: the group of all commands, and those that start the service and complete words."""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import click
from click.shell_completion import get_completion_class

from predictor import __version__
from predictor.commands import evaluate, models, predict, pull
from predictor.commands.options import told
from predictor.config import defaults, documented, shipped

# 128 and the number of the signal, as shells have it.
_INTERRUPTED, _TERMINATED = 130, 143


class _Terminated(KeyboardInterrupt):
    """SIGTERM came, which ends a command as Ctrl-C does."""


@contextmanager
def _ended_by_sigterm() -> Iterator[None]:
    """Let SIGTERM end the block as an exception does, so that temporary folders are removed."""
    came = False

    def end(number: int, frame: FrameType | None) -> None:  # noqa: ARG001 (the form of a handler)
        nonlocal came
        came = True
        # What is removed meanwhile is removed whole.
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        raise _Terminated

    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGTERM)
    if before is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, end)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
    if came:
        # Code that Python calls to delete an object, for one, loses exceptions.
        raise _Terminated


def _open_closed_streams() -> None:
    """Let what nobody can read go nowhere; Python has None in the place of a closed stream.

    The next file would get its number, and what libraries print to that.
    """
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open("w" if number else "r", encoding="utf-8")  # noqa: SIM115 (kept)
            os.set_inheritable(stream.fileno(), True)
            setattr(sys, name, stream)


class _Commands(click.Group):
    """Commands that Ctrl-C and SIGTERM end with the exit codes that shells expect."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command, which prints what is for people and has no log."""
        logging.getLogger("predictor").addHandler(logging.NullHandler())
        _open_closed_streams()
        try:
            with _ended_by_sigterm(), told():
                return super().invoke(ctx)
        except KeyboardInterrupt as error:
            # Python joins the processes that predict before it exits. A KeyboardInterrupt in that join makes
            # the command hang; with the default action a second Ctrl-C ends the command.
            signal.signal(signal.SIGINT, signal.SIG_DFL)
            click.echo("\nStopped.", err=True)
            ctx.exit(_TERMINATED if isinstance(error, _Terminated) else _INTERRUPTED)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__)
def main() -> None:
    """Serve image classifiers, predict with them, measure them, and change the models of a service.

    Exit codes: 0 success; 1 an error, which is printed; 2 wrong usage; 130 stopped by Ctrl-C; 143 ended by
    SIGTERM; predict has one more.
    """


class _WithSettings(click.Command):
    """A command whose help lists every setting with its default and its meaning."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's)
        """Write the list."""
        default = defaults()
        with formatter.section("Settings (environment variables)"):
            listed = [(name, f"{doc}  [default: {default[name]}]") for name, doc in documented().items()]
            formatter.write_dl(listed)


@main.command(cls=_WithSettings)
def serve() -> None:
    """Start the service: gunicorn, with the configuration that is shipped.

    It runs until it gets SIGTERM or SIGINT (Ctrl+C). SIGHUP replaces the workers.
    """
    gunicorn = (sys.executable, "-m", "gunicorn", "--config", str(shipped("gunicorn.conf.py")))
    os.execv(sys.executable, gunicorn)  # noqa: S606 (the command is our own)


@main.command()
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
def completion(shell: str) -> None:
    """Print what makes a shell complete commands and options.

    For bash: eval "$(image-prediction completion bash)"
    """
    kind = get_completion_class(shell)
    assert kind is not None  # noqa: S101 - the choice has only shells that click knows
    click.echo(kind(main, {}, "image-prediction", "_IMAGE_PREDICTION_COMPLETE").source())


for command in (predict.predict, pull.pull, *evaluate.COMMANDS, *models.COMMANDS):
    main.add_command(command)
