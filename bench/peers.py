"""`make bench`, first part: this service, its peers and the bare pipeline, interleaved in one run.

Each round of a course starts every contestant once, has it answer at each number of connections, and stops
it. Run as `python -m bench.peers [CONTESTANT ...]`. BENCH_ROUNDS, BENCH_SECONDS (of one measurement) and
BENCH_COURSES (keys of `bench.courses`, with commas) can be set.
"""

import os
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urljoin

import requests

from bench.ablate.processes import processor_seconds
from bench.bare import bare
from bench.contestant import CannotTakePart, Contestant, Started, contestants, python, started
from bench.courses import MAIN, Course, courses
from bench.machine import versions
from bench.nginx import nginx
from bench.plot import bars
from bench.report import report
from bench.rounds import Figures, Results
from bench.run import ROOT, ROUNDS, SECONDS, Load, load, need_wrk, pss_mb
from predictor.config import BUNDLED_MODEL
from predictor.cores import cores

COPIES = 32
PAGE, PLOT = ROOT / "docs" / "performance.md", ROOT / "docs" / "performance.svg"
_WARM_SECONDS = 1
# When wrk ends, it leaves a request on each connection, and what comes next would wait for their answers.
_REST_SECONDS = 1
_UPLOAD_SECONDS = 120


def measure(chosen: Sequence[Contestant], rounds: int, course: Course) -> Results:
    """Measure contestants against the bare pipeline."""
    results = Results(course)
    with tempfile.TemporaryDirectory() as folder:
        interpreters = _set_up([one for one in chosen if course.takes(one)], Path(folder), results)
        for number in range(rounds):
            results.alone.append(bare(1, course.image, SECONDS, course.network))
            results.bare.append(bare(cores(), course.image, SECONDS, course.network))
            for contestant, interpreter in interpreters.items():
                figures = _round(contestant, interpreter, Path(folder, contestant.key), course)
                results.figures.setdefault(contestant, []).append(figures)
                rate = figures.loads[8].rate
                print(f"{course.key}, round {number + 1}: {contestant.name}: {rate:.1f}/s", file=sys.stderr)
    return results


def _set_up(chosen: Sequence[Contestant], folder: Path, results: Results) -> dict[Contestant, Path]:
    """Make the virtual environments, and start everybody once: what is measured is the second start."""
    ready = {}
    course = results.course
    right = bare(1, course.image, 0.1, course.network).index
    for contestant in sorted(chosen, key=lambda one: (one.dependencies is not None, not one.computes)):
        Path(folder, contestant.key).mkdir()
        try:
            interpreter = python(contestant)
            _try(contestant, interpreter, Path(folder, contestant.key), course, right)
        except CannotTakePart as why:
            results.absent[contestant] = str(why)
            continue
        ready[contestant] = interpreter
        if contestant.dependencies is not None:
            results.versions[contestant] = versions(interpreter, contestant.dependencies)
    return ready


def _try(contestant: Contestant, interpreter: Path, folder: Path, course: Course, right: int) -> None:
    """Have a contestant take the network, and look at its answer where the weights are not random."""
    with started(contestant, interpreter, folder, course.network) as running:
        if course.network == BUNDLED_MODEL:
            if course.image.stat().st_size < 100_000 and running.index != right:
                raise CannotTakePart(f"it takes the image for class {running.index}, which is {right}")
        elif contestant.uploads:
            files = {"model": (course.network.name, course.network.read_bytes())}
            requests.post(
                urljoin(running.url, "/upload"), files=files, timeout=_UPLOAD_SECONDS
            ).raise_for_status()


def _round(contestant: Contestant, interpreter: Path, folder: Path, course: Course) -> Figures:
    with ExitStack() as stack:
        running = stack.enter_context(started(contestant, interpreter, folder, course.network))
        url = stack.enter_context(nginx(running.url)) if course.nginx else running.url

        def loaded(connections: int, seconds: int = SECONDS, copies: int = 1) -> Load:
            return load(url, connections, seconds, copies=copies, picture=course.image, form=contestant.form)

        loaded(course.connections[0], _WARM_SECONDS)
        loads, spent = dict[int, Load](), 0.0
        for connections in course.connections:
            time.sleep(_REST_SECONDS)
            before = processor_seconds(running.processes())
            loads[connections] = loaded(connections)
            if connections == course.connections[0]:
                spent = processor_seconds(running.processes()) - before
        many = None
        if contestant.many and course.many:
            many = 1000 / (COPIES * loaded(1, copies=COPIES).rate)
        with ThreadPoolExecutor(1) as pool:
            busy = pool.submit(loaded, course.connections[0], _WARM_SECONDS)
            memory = _memory(running)
            busy.result()
        each = 1000 * spent / loads[course.connections[0]].requests
        return Figures(running.seconds, loads, memory, each, many)


def _memory(running: Started) -> float:
    """Memory in the middle of a second under load."""
    time.sleep(_WARM_SECONDS / 2)
    return pss_mb(running.processes())


def main() -> None:
    """Measure, print, and write the page and the plot."""
    need_wrk()
    everybody = contestants()
    named = sys.argv[1:] or [contestant.key for contestant in everybody]
    chosen = [contestant for contestant in everybody if contestant.key in named]
    wanted = os.environ.get("BENCH_COURSES", "")
    results = list[Results]()
    with tempfile.TemporaryDirectory() as folder:
        for course in courses(Path(folder), wanted.split(",") if wanted else []):
            results.append(measure(chosen, ROUNDS, course))
            # After each, so that a run that is ended early leaves what it has.
            PAGE.write_text(report(results))
            if course.key == MAIN:
                PLOT.write_text(bars(results[-1]))
    print(PAGE.read_text())


if __name__ == "__main__":
    main()
