"""Make image classifiers with the real tools, upload each to the service, and compare the answers.

    python -m tools.real_models --work /var/tmp/real-models --out table.md
    python -m tools.real_models --work /var/tmp/real-models --tools torch_export services

The first run downloads each tool's packages into an environment of its own; after that no network is needed.
A case is made once and kept. `--again` judges cases that have a verdict, too.
"""

import argparse
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tests.live.service import Service
from tests.patience import PATIENCE
from tools.real_models import judge
from tools.real_models.environments import MODULES, make
from tools.real_models.photographs import write
from tools.real_models.table import summary, table, versions

_WORK = Path.home() / ".cache" / "image-prediction" / "real-models"


def main() -> None:
    """Make, judge, and print the table of all verdicts that there are."""
    given = _arguments()
    photographs = given.photographs or given.work / "photographs"
    if not given.photographs:
        write(photographs)
    for module in given.tools:
        if not given.judge_only:
            _make(module, given.work, photographs)
    folders = [one for module in given.tools for one in _made(given.work, module)]
    if not given.make_only:
        _judge([one for one in folders if given.again or not (one / "verdict.json").exists()], photographs)
    _tell(given.work, given.out)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Real models against the service.")
    parser.add_argument("--work", type=Path, default=_WORK, help="environments, models and verdicts")
    parser.add_argument("--out", type=Path, help="where the table is written to")
    parser.add_argument(
        "--photographs", type=Path, help="a folder of JPEG files to ask about instead of made ones"
    )
    parser.add_argument("--tools", nargs="+", choices=MODULES, default=list(MODULES), metavar="TOOL")
    parser.add_argument("--make-only", action="store_true", help="start no service")
    parser.add_argument("--judge-only", action="store_true", help="make no model")
    parser.add_argument("--again", action="store_true", help="judge again what has a verdict")
    return parser.parse_args()


def _make(module: str, work: Path, photographs: Path) -> None:
    """Make the cases of a module; what it cannot make is said, and the others go on."""
    print(f"Making {module} ...", flush=True)
    try:
        make(module, work.absolute(), photographs.absolute())
    except subprocess.CalledProcessError as error:
        print(f"{module} ended with {error.returncode}.", flush=True)


def _made(work: Path, module: str) -> list[Path]:
    return sorted(path.parent for path in (work / "cases" / module).glob("*/case.json"))


def _judge(folders: Sequence[Path], photographs: Path) -> None:
    """Judge cases with a service of their own."""
    if not folders:
        return
    images = sorted(photographs.iterdir())
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder) / "data", workers=1) as service:
        for one in folders:
            verdict = judge.judge(judge.read(one), service.url, images, PATIENCE)
            judge.kept(verdict, one)
            print(
                f"{one.parent.name}/{one.name}: {verdict.taken} {verdict.difference} {verdict.sentence}",
                flush=True,
            )


def _tell(work: Path, out: Path | None) -> None:
    """Print the table of all verdicts, and what could not be made."""
    folders = [one for module in MODULES for one in _made(work, module)]
    verdicts = [judge.known(one) for one in folders if (one / "verdict.json").exists()]
    text = f"{summary(verdicts)}\n\n{versions(verdicts)}\n{table(verdicts)}"
    failed = sorted(path.parent for path in (work / "cases").glob("*/*/error.txt"))
    print(text)
    print("".join(f"Not made: {one.parent.name}/{one.name}\n" for one in failed), end="")
    if out:
        out.write_text(text)


if __name__ == "__main__":
    main()
