"""The table of what was measured, `bench/results/cluster.md`: a run replaces the rows of the cases it ran."""

import os
import platform
import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import onnxruntime

from tests.cluster.real.network import run

Row = Callable[[str, str, str], None]

_TITLE = """# Many machines on one store, measured

`make test-cluster` writes this table: three machines, each a network namespace with its own data folder,
gunicorn and two workers, and Ceph's object gateway as the store. Models of 0.4 MB are uploaded while {rate:g}
requests a second go to each machine. The poll is {poll:g} s; a machine without a heartbeat for {dead:g} s
counts as gone. "Mixed" is the time after an upload's first new answer in which a request that was sent then
still got an old one; in brackets, until such an answer had arrived. All run on the same {cores} cores, with
what else they do, so seconds are upper bounds.

{versions}

| case | must hold | measured | date |
| --- | --- | --- | --- |
"""
_ROW = re.compile(r"^\| (.*?) \| .* \|$", re.MULTILINE)


class Figures:
    """What one run measured.

    Args:
        path: the table.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._rows: dict[str, str] = {}

    def add(self, case: str, must: str, measured: str) -> None:
        """Print a row, and write it into the table."""
        sys.stdout.write(f"{case}: {measured}\n")
        self._rows[case] = f"| {case} | {must} | {measured} | {datetime.now(UTC):%Y-%m-%d} |"
        self._write()

    def _write(self) -> None:
        from tests.cluster.real.cluster import DEAD, RATE
        from tests.cluster.real.machine import POLL_SECONDS

        before = self._path.read_text() if self._path.exists() else ""
        former = {found[1]: found[0] for found in _ROW.finditer(before)}
        rows = {**former, **self._rows}
        kept = [row for case, row in rows.items() if case not in {"case", "---"}]
        title = _TITLE.format(
            rate=RATE, poll=POLL_SECONDS, dead=DEAD, cores=os.cpu_count(), versions=_versions()
        )
        self._path.write_text(title + "\n".join(kept) + "\n")


def _versions() -> str:
    ceph = run("ceph", "--version").split()[2]
    return (
        f"Ceph {ceph}, obstore {version('obstore')}, gunicorn {version('gunicorn')}, "
        f"onnxruntime {onnxruntime.__version__}, Python {platform.python_version()}, "
        f"Linux {platform.release()}."
    )
