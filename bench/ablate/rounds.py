"""Measures rows in turn, each with a fresh start."""

import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence

from bench.ablate.rows import VARIABLE, Row
from bench.ablate.table import Measured

# What a row may fail with: it does not start, does not answer, or wrk saw an answer that was no success.
_FAILURES = (AssertionError, OSError, RuntimeError, subprocess.SubprocessError)
_WORDS = 200

Measure = Callable[[], Mapping[str, float]]
"""Starts the service of the row in the environment, and gives figures by the heads of their columns."""


def rounds(rows: Sequence[Row], measure: Measure, number: int) -> Measured:
    """Measure all rows in each round, in every second round in reverse; a row that fails does not end it."""
    measured = Measured(rows)
    for done in range(number):
        measured.rounds.append({})
        for row in rows[:: -1 if done % 2 else 1]:
            os.environ |= {VARIABLE: row.key, "GUNICORN_CMD_ARGS": "--config bench/ablate/server.py"}
            try:
                measured.rounds[-1][row.key] = measure()
            except _FAILURES as error:
                measured.failed[row.key] = f"{type(error).__name__}: {_last_words(error)}"
            print(f"round {done + 1}: {row.name}: {_told(measured, row)}", file=sys.stderr)
    return measured


def _last_words(error: BaseException) -> str:
    """The end of an error's text, which may be a whole log, as it fits into a table."""
    return " ".join(str(error).split())[-_WORDS:].replace("|", "/")


def _told(measured: Measured, row: Row) -> str:
    """What is shown of a row while the others are measured."""
    figures = measured.rounds[-1].get(row.key)
    if figures is None:
        return f"failed: {measured.failed[row.key]}"
    return ", ".join(f"{value:.1f} {column}" for column, value in figures.items())
