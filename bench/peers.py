"""`make bench`, first part: this service, its peers and the bare pipeline, interleaved in one run.

Each round starts every contestant once, has it answer at each number of connections, and stops it: first for
a small image, then for a photograph. Run as `python -m bench.peers [CONTESTANT ...]`. BENCH_ROUNDS and
BENCH_SECONDS (of one measurement) can be set.
"""

import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from bench.bare import bare
from bench.contestant import CannotTakePart, Contestant, Started, contestants, python, started
from bench.machine import versions
from bench.photograph import photograph
from bench.plot import bars
from bench.report import of_photographs, report
from bench.rounds import Figures, Results
from bench.run import PICTURE, RESULTS, ROUNDS, SECONDS, Load, load, need_wrk, pss_mb
from predictor.cores import cores

COPIES = 32
_WARM_SECONDS = 1
# When wrk ends, it leaves a request on each connection, and what comes next would wait for their answers.
_REST_SECONDS = 1


@dataclass(frozen=True)
class Course:
    """What each contestant has to do in a round.

    Attributes:
        picture: what is posted.
        connections: how many there are at the same time, one after the other. The order matters little, but
            what is nearest to the bare pipeline in time is what is held against it.
        many: whether those that can answer for many images in one request do so, too.
    """

    picture: Path
    connections: tuple[int, ...] = (8, 32, 1)
    many: bool = False


def measure(chosen: Sequence[Contestant], rounds: int, course: Course) -> Results:
    """Measure contestants against the bare pipeline."""
    results = Results()
    with tempfile.TemporaryDirectory() as folder:
        interpreters = _set_up(chosen, Path(folder), results)
        for number in range(rounds):
            results.alone.append(bare(1, course.picture, SECONDS))
            results.bare.append(bare(cores(), course.picture, SECONDS))
            for contestant, interpreter in interpreters.items():
                figures = _round(contestant, interpreter, Path(folder, contestant.key), course)
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


def _round(contestant: Contestant, interpreter: Path, folder: Path, course: Course) -> Figures:
    with started(contestant, interpreter, folder) as running:
        load(running.url, course.connections[0], _WARM_SECONDS, picture=course.picture)
        loads = dict[int, Load]()
        for connections in course.connections:
            time.sleep(_REST_SECONDS)
            loads[connections] = load(running.url, connections, picture=course.picture)
        many = None
        if contestant.many and course.many:
            many = 1000 / (COPIES * load(running.url, 1, copies=COPIES).rate)
        return Figures(running.seconds, loads, _memory(running, course), many)


def _memory(running: Started, course: Course) -> float:
    """Memory in the middle of a second under load."""
    with ThreadPoolExecutor(1) as pool:
        busy = pool.submit(load, running.url, course.connections[0], _WARM_SECONDS, picture=course.picture)
        time.sleep(_WARM_SECONDS / 2)
        memory = pss_mb(running.processes())
        busy.result()
    return memory


def main() -> None:
    """Measure, print, and write the tables and the plot."""
    need_wrk()
    everybody = contestants()
    named = sys.argv[1:] or [contestant.key for contestant in everybody]
    chosen = [contestant for contestant in everybody if contestant.key in named]
    results = measure(chosen, ROUNDS, Course(PICTURE, many=True))
    with tempfile.TemporaryDirectory() as folder:
        large = Course(photograph(PICTURE, Path(folder, "photograph.jpg")), connections=(8, 1))
        computing = [contestant for contestant in chosen if contestant.computes]
        text = report(results) + "\n" + of_photographs(measure(computing, ROUNDS, large))
    print(text)
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "peers.md").write_text(text)
    (RESULTS / "peers.svg").write_text(bars(results))


if __name__ == "__main__":
    main()
