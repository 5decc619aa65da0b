"""`make bench`: this service against the bare pipeline, interleaved in one run.

Ratios of one run count; absolute figures depend on the machine and on what else it does.
"""

import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from predictor.config import cores
from tests.live.service import Service

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "tests" / "data" / "cat.jpg"
ROUNDS = 3
SECONDS = 6
CONNECTIONS = 8


def bare() -> float:
    """Pictures a second of one bare process for each core."""
    command = [sys.executable, "-m", "bench.bare", str(PICTURE), str(SECONDS)]
    loops = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(cores())]
    return sum(int(loop.communicate()[0]) for loop in loops) / SECONDS


def wrk(url: str, connections: int = CONNECTIONS) -> float:
    """Requests a second of wrk that posts the picture; every answer must be a success."""
    done = subprocess.run(
        ["wrk", "-t1", f"-c{connections}", f"-d{SECONDS}s", "-s", str(ROOT / "bench" / "post.lua"), url],
        env={**os.environ, "PICTURE": str(PICTURE)},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    if "Non-2xx" in done or "Socket errors" in done:
        raise RuntimeError(done)
    rate = re.search(r"Requests/sec:\s+([\d.]+)", done)
    if rate is None:
        raise RuntimeError(done)
    return float(rate[1])


@contextmanager
def running(**settings: object) -> Iterator[Service]:
    """A service with settings of its own, its start time measured."""
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder) / "data", **settings) as service:  # type: ignore[arg-type]
        yield service


def pss_mb(pids: list[int]) -> float:
    """Proportional set size of processes together, in megabytes."""
    total = 0
    for pid in pids:
        found = re.search(r"^Pss:\s+(\d+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
        total += int(found[1]) if found else 0
    return total / 1000


def uncached() -> float:
    """The service with the cache off."""
    with running(cache="off") as service:
        return wrk(f"{service.url}/predict")


def cached() -> float:
    """The service answering one picture from the cache."""
    with running() as service:
        wrk(f"{service.url}/predict", 1)
        return wrk(f"{service.url}/predict")


def main() -> None:
    """Measure and print the table."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed: apt-get install wrk")
    contestants: dict[str, Callable[[], float]] = {
        f"bare loop, {cores()} processes": bare,
        f"service, {CONNECTIONS} connections, cache off": uncached,
        f"service, {CONNECTIONS} connections, from the cache": cached,
    }
    rates: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):
        for name, measure in contestants.items():
            rates[name].append(measure())
    limit = statistics.median(rates[next(iter(rates))])
    print(f"{'':45} {'pictures/s':>10} {'of bare':>8}   rounds")
    for name, values in rates.items():
        middle = statistics.median(values)
        print(f"{name:45} {middle:10.1f} {middle / limit:8.2f}   {', '.join(f'{v:.1f}' for v in values)}")
    start = time.perf_counter()
    with running(cache="off") as service:
        print(f"ready after {time.perf_counter() - start:.1f} s")
        wrk(f"{service.url}/predict")
        workers, master = pss_mb(service.workers()), pss_mb([service.master])
        print(f"memory (PSS) under load: workers {workers:.0f} MB, master {master:.0f} MB")


if __name__ == "__main__":
    main()
