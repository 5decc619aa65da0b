"""The limit: processes that only decode, preprocess and run the model in a loop, without any service.

Run as `python -m bench.bare PICTURE SECONDS`: prints how many pictures one process did in that time.
"""

import sys
import time
from pathlib import Path

from predictor.config import BUNDLED_MODEL
from predictor.image.decode import Limits, decode
from predictor.image.preprocess import to_tensor
from predictor.model.device import Device
from predictor.model.discover import discover
from predictor.model.scores import rank
from predictor.model.session import load


def loop(picture: bytes, seconds: float) -> int:
    """Pictures done in a time, one after the other."""
    session = load(BUNDLED_MODEL, Device("cpu"))
    spec = discover(session.graph)
    limits = Limits()

    def once() -> None:
        image = decode(picture, limits, spec.preprocessing.shortest)
        scores = session.run(to_tensor(image, spec.preprocessing)[None])
        rank(scores[0], spec.activation, 5)

    once()
    done, end = 0, time.perf_counter() + seconds
    while time.perf_counter() < end:
        once()
        done += 1
    return done


if __name__ == "__main__":
    print(loop(Path(sys.argv[1]).read_bytes(), float(sys.argv[2])))
