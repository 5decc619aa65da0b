"""The limit on a GPU: processes that run full batches in a loop, without any service.

Run as `python -m bench.gpu_loop DEVICE PICTURE SECONDS KIND`: prints how many images a second one process
did. KIND is `pipeline` (threads decode and preprocess, and what they made is run and ranked in batches),
`model` (the same batch is run again and again) or `plain` (the same, but the runtime finds the memory for the
scores).
"""

import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from predictor.config import BUNDLED_MODEL
from predictor.cores import cores
from predictor.discovery.discover import discover
from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import to_tensor
from predictor.model.device import choose
from predictor.model.scores import rank
from predictor.model.session import Session, load
from predictor.model.spec import ModelSpec

ROOT = Path(__file__).parent.parent
BATCH = 32
_WARM_UP = 3


def loops(device: str, picture: Path, seconds: float, kind: str, processes: int) -> float:
    """Images a second of a number of processes together."""
    command = [sys.executable, "-m", "bench.gpu_loop", device, str(picture), str(seconds), kind]
    started = [
        subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) for _ in range(processes)
    ]
    return sum(float(process.communicate()[0].splitlines()[-1]) for process in started)


def pipeline(session: Session, spec: ModelSpec, picture: bytes, seconds: float) -> float:
    """Images a second, from their bytes to their labels."""
    tensors = queue.Queue[np.ndarray](2 * BATCH)

    def prepare() -> None:
        while True:
            image = decode_scaled(picture, Limits(), spec.preprocessing.shortest)
            tensors.put(to_tensor(image, spec.preprocessing))

    def once() -> None:
        batch = np.stack([tensors.get() for _ in range(BATCH)])
        for scores in session.run(batch, spec.names):
            rank(scores, spec.activation, 5)

    for _ in range(cores()):
        threading.Thread(target=prepare, daemon=True).start()
    return _rate(once, seconds)


def model(session: Session, spec: ModelSpec, picture: bytes, seconds: float) -> float:
    """Images a second of the model alone."""
    tensor = to_tensor(decode_scaled(picture, Limits(), spec.preprocessing.shortest), spec.preprocessing)
    batch = np.stack([tensor] * BATCH)
    return _rate(lambda: session.run(batch, spec.names), seconds)


def _rate(once: Callable[[], object], seconds: float) -> float:
    """Images a second of something that does a batch at a time; the first few find their memory."""
    for _ in range(_WARM_UP):
        once()
    done, begin = 0, time.perf_counter()
    while (now := time.perf_counter()) < begin + seconds:
        once()
        done += BATCH
    return done / (now - begin)


def main() -> None:
    """Measure and print."""
    device, picture, seconds, kind = sys.argv[1:]
    session = load(BUNDLED_MODEL, choose(device))
    session.bind = session.bind and kind != "plain"
    measure = pipeline if kind == "pipeline" else model
    print(measure(session, discover(session.graph), Path(picture).read_bytes(), float(seconds)))


if __name__ == "__main__":
    main()
