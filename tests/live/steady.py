"""Keeps a service busy at a steady rate, from a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live.load import Sent
from tests.live.proxy import Proxy
from tests.live.service import ROOT, Service
from tests.patience import PATIENCE


@contextmanager
def steady(service: Service | Proxy, file: Path, rate: float, path: str = "/predict") -> Iterator[list[Sent]]:
    """Send a file again and again as long as the block lasts, which begins with the first answer.

    Args:
        service: where to.
        file: what to send: an image, or the JSON that the path takes.
        rate: requests a second.
        path: of predictions or, with `top_k` in the JSON, of inferences.

    Yields:
        A list that holds what came of each request once the block has ended.
    """
    command = [sys.executable, "-m", "tests.live.load", service.url, str(rate), str(file), path]
    results = list[Sent]()
    with subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()
            yield results
        finally:
            out, _ = process.communicate(timeout=2 * PATIENCE)
            results.extend(Sent(*json.loads(line)) for line in out.splitlines())
