"""Models to switch between, and what tests of switches ask a service."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import requests

from tests.live.service import Service
from tests.patience import PATIENCE
from tests.processes import trials
from tools.sample_models import classifier

JPEG = {"Content-Type": "image/jpeg"}
FIRST = classifier(["first", "other"], winner=0, seed=1)
"""A model that always answers `first`."""
SECOND = classifier(["second", "other"], winner=0, seed=2)
"""A model that always answers `second`."""


def upload(service: Service, model: bytes, name: str = "my.onnx", **data: str) -> requests.Response:
    """Send a model."""
    return service.post("/upload", files={"model": (name, model)}, data=data)


def upload_as(service: Service, model: bytes, name: str) -> requests.Response:
    """Send a model that is to serve under a name."""
    return service.post("/upload", files={"model": ("my.onnx", model)}, data={"name": name})


def label(service: Service, cat: Path, query: str = "") -> str:
    """What the service says of the cat, or the code of the error, on a connection of its own."""
    headers = JPEG | {"Connection": "close"}
    answer = service.post(f"/predict{query}", data=cat.read_bytes(), headers=headers).json()
    return str(answer.get("predicted_label", answer.get("code")))


def labels(service: Service, cat: Path, times: int = 16) -> set[str]:
    """What the service says when it is asked often enough for all workers to answer."""
    with ThreadPoolExecutor(4) as pool:
        return set(pool.map(lambda _: label(service, cat), range(times)))


def eventually(condition: Callable[[], object], seconds: float = PATIENCE) -> float:
    """Wait until a condition holds; fail if it does not within the time.

    Returns:
        How many seconds it took.
    """
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "this did not become true"
        time.sleep(0.05)
    return time.monotonic() - start


def resident(pid: int) -> int:
    """Bytes of memory that a process has of its own."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return 1024 * sum(int(line.split()[1]) for line in lines if line.startswith(("Private_", "Shared_Dirty")))


def checks(service: Service) -> list[int]:
    """The process ids of the checks of models that run for a service."""
    return trials(service.data)
