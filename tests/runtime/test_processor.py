"""Each processor says how the pictures of one request are best spread over threads."""

import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from predictor.config import Settings, cores
from predictor.runtime.batch import Runner
from predictor.runtime.processor import Cpu, Gpu

Array = npt.NDArray[Any]


class Model:
    """A model that waits in its first run for a sign, and gives back what it was given."""

    def __init__(self, largest: int) -> None:
        self.sizes: list[int] = []
        self.go_on = threading.Event()
        self.runner = Runner(self.run, largest=largest, seconds=1.0, observe=self.sizes.append)

    def run(self, batch: Array) -> Array:
        """Run a batch."""
        assert self.go_on.wait(10)
        return batch


def wanted() -> None:
    """Somebody waits."""


@pytest.mark.parametrize("largest", [1, 2, 8])
@pytest.mark.parametrize("pictures", [1, 2, 3, 9, 64])
def test_cpu(largest: int, pictures: int) -> None:
    """On a CPU each core gets a share, in batches that are no larger than the model's."""
    processor = Cpu(Settings())

    together = processor.together(Model(largest).runner, pictures)

    assert processor.threads == cores()
    assert 1 <= together <= largest
    # No thread has two batches while another has none.
    assert together <= -(-pictures // cores())


def test_fixed_batch() -> None:
    """A run that costs the same however few pictures it has gets as many as there are."""
    runner = Runner(lambda batch: batch, largest=8, seconds=1.0, observe=lambda _: None, fixed=True)

    assert [Cpu(Settings()).together(runner, pictures) for pictures in (1, 5, 8, 32)] == [1, 5, 8, 8]


def test_gpu() -> None:
    """On a GPU pictures come one by one, and as many threads may wait for a run as a batch has places."""
    model, processor = Model(8), Gpu(Settings(max_batch=8))

    def run(number: int) -> float:
        made = processor.run(model.runner, lambda: [np.array([number])], wanted)
        return float(made.scores[0][0])

    with ThreadPoolExecutor(processor.threads) as pool:
        futures = [pool.submit(run, number) for number in range(8)]
        while len(processor._line._waiting) < 7:
            threading.Event().wait(0.001)
        model.go_on.set()

        assert [future.result(10) for future in futures] == list(range(8))
    assert processor.together(model.runner, 32) == 1
    assert model.sizes == [1, 7]
