"""`make bench`, first part: this service, its peers and the bare pipeline, interleaved in one run.

Each round starts every contestant once, has it answer at each number of connections, and stops it. Run as
`python -m bench.peers [CONTESTANT ...]`. BENCH_ROUNDS and BENCH_SECONDS (of one measurement) can be set.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from bench.bare import bare
from bench.contestant import CannotTakePart, Contestant, Started, contestants, python, started
from bench.machine import versions
from bench.plot import bars
from bench.report import report
from bench.rounds import Figures, Results
from bench.run import PICTURE, RESULTS, ROUNDS, SECONDS, load, need_wrk, pss_mb
from predictor.config import cores

# The order matters little, but that nearest to the bare pipeline in time is what is held against it.
CONNECTIONS = (8, 32, 1)
COPIES = 32
_WARM_SECONDS = 1


def measure(chosen: Sequence[Contestant], rounds: int) -> Results:
    """Measure contestants against the bare pipeline."""
    results = Results()
    with tempfile.TemporaryDirectory() as folder:
        interpreters = _set_up(chosen, Path(folder), results)
        for number in range(rounds):
            results.alone.append(bare(1, PICTURE, SECONDS))
            results.bare.append(bare(cores(), PICTURE, SECONDS))
            for contestant, interpreter in interpreters.items():
                figures = _round(contestant, interpreter, Path(folder, contestant.key))
                results.figures.setdefault(contestant, []).append(figures)
                print(
                    f"round {number + 1}: {contestant.name}: {figures.loads[8].rate:.1f}/s", file=sys.stderr
                )
    return results


def _set_up(chosen: Sequence[Contestant], folder: Path, results: Results) -> dict[Contestant, Path]:
    """Make the virtual environments, and start everybody once: what is measured is the second start."""
    ready = {}
    right = bare(1, PICTURE, 0.1).index
    for contestant in sorted(chosen, key=lambda one: (one.dependencies is not None, not one.computes)):
        Path(folder, contestant.key).mkdir()
        try:
            interpreter = python(contestant)
            _try(contestant, interpreter, Path(folder, contestant.key), right)
        except CannotTakePart as why:
            results.absent[contestant] = str(why)
            continue
        ready[contestant] = interpreter
        if contestant.dependencies is not None:
            results.versions[contestant] = versions(interpreter, contestant.dependencies)
    return ready


def _try(contestant: Contestant, interpreter: Path, folder: Path, right: int) -> None:
    with started(contestant, interpreter, folder) as running:
        if running.index != right:
            raise CannotTakePart(f"it takes the picture for class {running.index}, which is {right}")


def _round(contestant: Contestant, interpreter: Path, folder: Path) -> Figures:
    with started(contestant, interpreter, folder) as running:
        load(running.url, CONNECTIONS[0], _WARM_SECONDS)
        loads = {connections: load(running.url, connections) for connections in CONNECTIONS}
        many = None
        if contestant.many:
            many = 1000 / (COPIES * load(running.url, 1, copies=COPIES).rate)
        return Figures(running.seconds, loads, _memory(running), many)


def _memory(running: Started) -> float:
    """Memory in the middle of a second under load."""
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(load, running.url, CONNECTIONS[0], _WARM_SECONDS)
        time.sleep(_WARM_SECONDS / 2)
        memory = pss_mb(running.processes())
        busy.result()
    return memory


def main() -> None:
    """Measure, print, and write the table and the plot."""
    need_wrk()
    everybody = contestants()
    named = sys.argv[1:] or [contestant.key for contestant in everybody]
    results = measure([contestant for contestant in everybody if contestant.key in named], ROUNDS)
    text = report(results)
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "peers.md").write_text(text)
    (RESULTS / "peers.svg").write_text(bars(results))


if __name__ == "__main__":
    main()
