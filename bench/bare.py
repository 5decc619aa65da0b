"""The limit: processes that only decode, preprocess and run the model in a loop, without any service.

Run as `python -m bench.bare PICTURE SECONDS NETWORK`: prints as JSON how many images a second one process
did, the median of the milliseconds that one took, and the class that was found.
"""

import json
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from predictor.config import BUNDLED_MODEL
from predictor.discovery.discover import discover
from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import to_tensor
from predictor.model.device import Device
from predictor.model.scores import rank
from predictor.model.session import load


@dataclass(frozen=True)
class Bare:
    """What bare processes did.

    Attributes:
        rate: images a second, of all processes together.
        milliseconds: the median time of one image.
        index: the class that was found.
    """

    rate: float
    milliseconds: float
    index: int


def bare(processes: int, picture: Path, seconds: float, network: Path = BUNDLED_MODEL) -> Bare:
    """Run a number of bare processes at the same time."""
    command = [sys.executable, "-m", "bench.bare", str(picture), str(seconds), str(network)]
    root = Path(__file__).parent.parent
    loops = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) for _ in range(processes)]
    found = [Bare(**json.loads(each.communicate()[0])) for each in loops]
    median = statistics.median(each.milliseconds for each in found)
    return Bare(sum(each.rate for each in found), median, found[0].index)


def loop(picture: bytes, seconds: float, network: Path = BUNDLED_MODEL) -> Bare:
    """Predict one image again and again for a time."""
    session = load(network, Device("cpu"))
    spec = discover(session.graph)
    limits = Limits()

    def once() -> int:
        image = decode_scaled(picture, limits, spec.preprocessing.shortest)
        scores = session.run(to_tensor(image, spec.preprocessing)[None])
        return rank(scores[0], spec.activation, 5)[0][0]

    index = once()
    times = list[float]()
    begin = now = time.perf_counter()
    while now < begin + seconds:
        once()
        before, now = now, time.perf_counter()
        times.append(now - before)
    return Bare(len(times) / (now - begin), 1000 * statistics.median(times), index)


if __name__ == "__main__":
    print(json.dumps(vars(loop(Path(sys.argv[1]).read_bytes(), float(sys.argv[2]), Path(sys.argv[3])))))
