"""`make ablate`: start each row anew in each round, and print tables; only `--out` writes a file."""

import argparse
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path

from bench.ablate import rate, replaced, uploads
from bench.ablate.rounds import Measure, rounds
from bench.ablate.rows import ROWS, of_scenario
from bench.ablate.table import table
from bench.machine import machine
from bench.photograph import photograph
from bench.run import PICTURE, ROOT, need_wrk

_KEY = """
Each round starts every row anew; the order of the rows is reversed from one round to the next. The first row
has its medians in their units; all others are relative to it, as medians of the ratios of each round. Lost
requests are added up. The row "once more" shows how much of a difference is noise. CPU is the processor time
of the master and the workers together, memory the proportional set size of the workers. Workers are replaced
by three reloads, by one worker more and one less, which count as reloads, and by three kills.
"""
_TITLES = {
    "rate": "Every image is computed, 8 and 32 connections",
    "cached": "Every answer is known: the interpreter is the limit",
    "form": "Forms with 8 images, 4 connections",
    "photograph": "A photograph of 12 megapixels, 8 connections",
    "replaced": f"Workers are replaced, {replaced.CLIENTS} clients that keep their connections",
    "reconnect": f"Workers are replaced, {replaced.CLIENTS} clients with a new connection for each request",
    "uploads": "Models are uploaded under a steady load",
}
_COURSES = {
    "rate": rate.Course((8, 32)),
    "cached": rate.Course((8,), cache="on"),
    "form": rate.Course((4,), copies=8),
    "photograph": rate.Course((8,), photograph=True),
}


def main() -> None:
    """Measure what was chosen, and print it; ends with 1 if a row could not be measured."""
    chosen = _arguments()
    need_wrk()
    scenarios = {name: of_scenario(name, chosen.rows) for name in chosen.scenario}
    _try_patches({row.key for rows in scenarios.values() for row in rows})
    begin, parts, failed = time.monotonic(), [f"# What each mechanism is worth\n\n{machine()}\n{_KEY}"], False
    print(parts[0], flush=True)
    with tempfile.TemporaryDirectory() as folder:
        measures = _measures(chosen, photograph(PICTURE, Path(folder, "photograph.jpg")))
        for name, rows in scenarios.items():
            measured = rounds(rows, measures[name], chosen.rounds)
            failed |= bool(measured.failed)
            parts.append(f"## {_TITLES[name]}\n\n{table(measured)}\n")
            print(parts[-1], flush=True)
    parts.append(f"Measured in {(time.monotonic() - begin) / 60:.1f} minutes.\n")
    print(parts[-1])
    if chosen.out:
        chosen.out.write_text("\n".join(parts))
    sys.exit(failed)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser("python -m bench.ablate", description=__doc__)
    parser.add_argument("--scenario", nargs="+", choices=_TITLES, default=list(_TITLES))
    parser.add_argument("--rows", nargs="+", choices=[row.key for row in ROWS], help="besides the whole")
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seconds", type=int, default=2, help="of each load")
    parser.add_argument(
        "--pause", type=float, default=2.0, help="seconds after a worker is replaced; it has to start in them"
    )
    parser.add_argument("--uploads", type=int, default=3, help="in each round")
    parser.add_argument("--out", type=Path, help="the file that gets what is printed")
    return parser.parse_args()


def _measures(chosen: argparse.Namespace, large: Path) -> dict[str, Measure]:
    """What measures the row that is named in the environment, for each scenario."""
    measures: dict[str, Measure] = {
        name: partial(rate.measure, course, chosen.seconds, large) for name, course in _COURSES.items()
    }
    return measures | {
        "replaced": partial(replaced.measure, chosen.pause, kept=True),
        "reconnect": partial(replaced.measure, chosen.pause, kept=False),
        "uploads": partial(uploads.measure, chosen.uploads, 2.0 * chosen.seconds),
    }


def _try_patches(keys: set[str]) -> None:
    """End the program at once if a patch finds nothing to change, in place of when its row comes."""
    program = "import sys; from bench.ablate.rows import try_patches; try_patches(sys.argv[1:])"
    if subprocess.run([sys.executable, "-c", program, *sorted(keys)], cwd=ROOT, check=False).returncode:
        sys.exit("A mechanism cannot be switched off; see above.")


if __name__ == "__main__":
    main()
