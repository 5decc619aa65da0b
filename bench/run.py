"""What every part of `make bench` measures with: wrk, a service of one's own, memory.

Ratios of one run count; absolute figures depend on the machine and on what else it does.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from bench.request import IMAGE, request
from tests.live.service import Service

ROOT = Path(__file__).parent.parent
PICTURE = ROOT / "tests" / "data" / "cat.jpg"
SCRIPT = ROOT / "bench" / "post.lua"
RESULTS = ROOT / "bench" / "results"
ROUNDS = int(os.environ.get("BENCH_ROUNDS", "3"))
SECONDS = int(os.environ.get("BENCH_SECONDS", "4"))
CONNECTIONS = 8


@dataclass(frozen=True)
class Load:
    """What wrk saw.

    Attributes:
        rate: requests answered in a second.
        p50: the median of the milliseconds that a request took.
        p99: their 99th percentile.
        requests: how many were answered.
    """

    rate: float
    p50: float
    p99: float
    requests: int = 0


def load(
    url: str,
    connections: int,
    seconds: int = SECONDS,
    *,
    copies: int = 1,
    picture: Path = PICTURE,
    form: str = IMAGE,
) -> Load:
    """Have wrk post an image without a pause; every answer must be a success.

    Args:
        url: where to.
        connections: how many at the same time.
        seconds: for how long.
        copies: how many images in one request; more than one are sent as a form.
        picture: what to post.
        form: of the request, as `bench.request` names it.
    """
    posted = request(picture.read_bytes(), form, copies)
    headers = "\n".join(f"{name}: {value}" for name, value in posted.headers.items())
    with tempfile.NamedTemporaryFile() as body:
        Path(body.name).write_bytes(posted.body)
        done = subprocess.run(
            ["wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "30s", "-s", str(SCRIPT), url],
            env={**os.environ, "BODY": body.name, "HEADERS": headers},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    figures = json.loads(done.splitlines()[-1])
    if figures.pop("failed"):
        raise RuntimeError(done)
    return Load(**figures)


def wrk(url: str, connections: int = CONNECTIONS) -> float:
    """Requests a second of wrk that posts the image; every answer must be a success."""
    return load(url, connections).rate


def need_wrk() -> None:
    """End the program with a sentence if there is no wrk."""
    if shutil.which("wrk") is None:
        sys.exit("wrk is needed: apt-get install wrk")


@contextmanager
def running(**settings: object) -> Iterator[Service]:
    """A service with settings of its own."""
    with tempfile.TemporaryDirectory() as folder, Service(Path(folder) / "data", **settings) as service:  # type: ignore[arg-type]
        yield service


def pss_mb(pids: Iterable[int]) -> float:
    """Proportional set size of processes together, in megabytes."""
    total = 0
    for pid in pids:
        with suppress(FileNotFoundError, ProcessLookupError):  # one may have ended meanwhile
            text = Path(f"/proc/{pid}/smaps_rollup").read_text()
            found = re.search(r"^Pss:\s+(\d+) kB", text, re.MULTILINE)
            total += int(found[1]) if found else 0
    return total / 1000
