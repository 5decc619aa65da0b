"""What `gunicorn.conf.py` makes of the settings, in a process as gunicorn's master reads it."""

import json
import os
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CONFIGURATION = Path(__file__).parents[2] / "gunicorn.conf.py"
_READ = """
import json, runpy, sys
found = runpy.run_path(sys.argv[1])
print(json.dumps({name: found[name] for name in ("threads", "worker_connections", "graceful_timeout")}))
"""


def read(data: Path, **settings: str) -> Any:
    """The figures that gunicorn gets."""
    given = {f"PREDICTOR_{name}": text for name, text in settings.items()}
    own = {name: text for name, text in os.environ.items() if not name.startswith("PREDICTOR_")}
    environment = own | {"PREDICTOR_DATA": str(data), "PREDICTOR_BIND": "127.0.0.1:0"} | given
    command = [sys.executable, "-c", _READ, str(CONFIGURATION)]
    said = subprocess.run(
        command, cwd=CONFIGURATION.parent, env=environment, capture_output=True, text=True, check=True
    )
    return json.loads(said.stdout)


@pytest.mark.parametrize(
    ("fetch", "run", "seconds"),
    [("10", "30", 40), ("0.2", "0.3", 5), ("10.2", "0.5", 11), ("3600", "0.1", 3601)],
)
def test_time_to_stop(tmp_path: Path, fetch: str, run: str, seconds: int) -> None:
    """A stop waits for a download and a run, in whole seconds and never for less than a few of them."""
    assert read(tmp_path, FETCH_SECONDS=fetch, RUN_SECONDS=run)["graceful_timeout"] == seconds


@pytest.mark.parametrize("queue", ["64", "808", "2000"])
def test_connections_are_kept(tmp_path: Path, queue: str) -> None:
    """However long the queue, a worker takes hundreds of connections more than it has threads."""
    _, files = resource.getrlimit(resource.RLIMIT_NOFILE)
    if files != resource.RLIM_INFINITY and files < 12_000:
        pytest.skip("few files may be opened here")

    found = read(tmp_path, MAX_QUEUE=queue)

    assert found["worker_connections"] - found["threads"] >= 500
