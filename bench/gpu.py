"""`python -m bench.gpu`: the service on a GPU, against loops that run full batches on the same one.

Ratios of one run count; absolute figures depend on the machine and on what else it does. The table goes to
`bench/results/gpu-<name of the GPU>.md`. `--device cpu` shows on any machine that the programs work.
"""

import argparse
import os
import platform
import re
import statistics
import time
from collections.abc import Iterable
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING

from bench import nvidia
from predictor.cores import cores
from predictor.model.device import Device, choose

if TYPE_CHECKING:
    from bench.gpu_service import Placement, Rates
    from tests.live.load import Sent

RESULTS = Path(__file__).parent / "results"


def main() -> None:
    """Measure, print the table and write it."""
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument("--seconds", type=int, default=10, help="of each single measurement")
    asked = parser.parse_args()
    # Read by the modules that measure when they are imported.
    os.environ["BENCH_SECONDS"] = str(asked.seconds)
    from bench import gpu_service as service

    device = choose(asked.device)
    plan = service.Plan(asked.device, asked.seconds)
    rates, placement, sent = service.rates(plan), service.placed(plan), service.switched(plan)
    parts = (_title(device, plan.workers), _gain(rates), _limits(rates), _placement(placement), _switch(sent))
    text = "\n\n".join(parts) + "\n"
    print(text)
    RESULTS.mkdir(exist_ok=True)
    name = re.sub(r"[^a-z0-9]+", "-", device.name.lower()).strip("-")
    (RESULTS / f"gpu-{name}.md").write_text(text)


def _title(device: Device, workers: int) -> str:
    where = device.name if device.kind == "cuda" else "the CPU, only to show that the programs work"
    model = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    processor = model[1] if model else platform.machine()
    runtime = f"Python {platform.python_version()}, onnxruntime-gpu {version('onnxruntime-gpu')}"
    machine = f"{processor}, {cores()} cores; Linux {platform.release()}; {runtime}; {workers} workers."
    gpus = [f"GPU: {gpu}." for gpu in nvidia.gpus()]
    return "\n".join([f"# The service on {where}", "", f"{time.strftime('%Y-%m-%d')}; {machine}", *gpus])


def _gain(rates: "Rates") -> str:
    """Images a second at each number of connections, one by one and in batches."""
    largest = max(most for most, _ in rates.services)
    rows = []
    for connections in sorted({each for _, each in rates.services}):
        alone, together = rates.service(1, connections), rates.service(largest, connections)
        rows.append(
            (
                f"{connections}",
                f"{alone:.1f}",
                f"{together:.1f}",
                f"{together / alone:.2f}",
                f"{together / rates.limit:.2f}",
            )
        )
    head = (
        "connections",
        "pictures/s, one at a time",
        f"in batches of up to {largest}",
        "gain",
        "of the loop",
    )
    return _table(head, rows)


def _limits(rates: "Rates") -> str:
    """Images a second without a service."""
    rows = [
        (name, f"{statistics.median(found):.1f}", ", ".join(f"{rate:.1f}" for rate in found))
        for name, found in rates.loops.items()
    ]
    return _table(("without a service", "pictures/s", "rounds"), rows)


def _placement(found: "Placement") -> str:
    """Which device each worker took, and its memory."""
    rows = [(name, str(workers)) for name, workers in sorted(found.workers.items())]
    each = ", ".join(f"{megabytes:.0f} MB" for megabytes in found.megabytes)
    memory = f"GPU memory of each worker under load: {each or 'not told by the driver'}."
    together = f"All workers together: {found.together:.0f} MB more than before their start."
    return "\n\n".join((_table(("device", "workers on it"), rows), f"{memory} {together}"))


def _switch(found: "dict[str, tuple[list[Sent], int]]") -> str:
    """What uploads cost those who ask meanwhile."""
    from bench.gpu_service import RATE, latencies

    rows = []
    for name, (sent, stale) in found.items():
        failed = sum(request.status != 200 for request in sent)
        figures = (f"{milliseconds:.1f}" for milliseconds in latencies(sent))
        rows.append((name, f"{len(sent)}", f"{failed}", f"{stale}", *figures))
    heads = (f"{RATE} requests a second", "requests", "failed", "stale", "p50 ms", "p99 ms", "max ms")
    return _table(heads, rows)


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """As Markdown."""
    lines = [tuple(head), *map(tuple, rows)]
    lines.insert(1, ("---",) * len(lines[0]))
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
