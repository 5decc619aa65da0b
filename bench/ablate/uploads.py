"""The scenario in which models are uploaded while requests come at a steady rate, as in `bench.switch`."""

import statistics
import time
from functools import cache

from bench.run import PICTURE, running
from bench.switch import RATE, percentile, upload, variant
from tests.live.service import Service
from tests.live.steady import steady

_model = cache(variant)


def measure(uploads: int, quiet_seconds: float) -> dict[str, float]:
    """Start a service, upload models one after the other, and stop it.

    Args:
        uploads: how many.
        quiet_seconds: of the same requests before, without uploads.

    Returns:
        Figures by the heads of their columns.
    """
    with running(cache="off") as service:
        upload(service, _model("A")).raise_for_status()
        with steady(service, PICTURE, RATE) as quiet:
            time.sleep(quiet_seconds)
        with steady(service, PICTURE, RATE) as busy:
            seconds = [_seconds(service, "BA"[number % 2]) for number in range(uploads)]
    return {
        "p99 ms with uploads": percentile(busy, 0.99),
        "p50 ms with uploads": percentile(busy, 0.5),
        "p99 ms without": percentile(quiet, 0.99),
        "p99 with over without": percentile(busy, 0.99) / percentile(quiet, 0.99),
        "s per upload": statistics.median(seconds),
        "lost": sum(request.status != 200 for request in [*quiet, *busy]),
    }


def _seconds(service: Service, name: str) -> float:
    start = time.perf_counter()
    upload(service, _model(name)).raise_for_status()
    return time.perf_counter() - start
