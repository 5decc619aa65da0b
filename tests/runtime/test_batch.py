"""Pictures of different threads run together, each gets its own scores, and none waits for ever."""

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from predictor.errors import Internal
from predictor.runtime.batch import Batcher

Array = npt.NDArray[Any]


class Model:
    """A model whose first run waits for `gate`, so that a queue builds up behind it.

    The scores of a picture are the picture's own number, doubled.
    """

    def __init__(self) -> None:
        self.gate = threading.Event()
        self.started = threading.Event()
        self.sizes: list[int] = []
        self.running = 0
        self.most_running = 0
        self.lock = threading.Lock()

    def run(self, batch: Array) -> Array:
        """Double the pictures; fail on a batch that holds a negative number."""
        with self.lock:
            self.sizes.append(len(batch))
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        self.started.set()
        assert self.gate.wait(10)
        with self.lock:
            self.running -= 1
        if (batch < 0).any():
            raise Internal("negative")
        return batch * 2


def picture(number: int) -> Array:
    """A picture of one pixel."""
    return np.array([number])


def start_queue(batcher: Batcher, model: Model, count: int) -> Callable[[], list[int]]:
    """Let one picture run, and `count` - 1 more wait behind it; gives what collects the scores."""
    pool = ThreadPoolExecutor(count)
    first = pool.submit(batcher.run, picture(0))
    assert model.started.wait(10)
    others = [pool.submit(batcher.run, picture(number)) for number in range(1, count)]
    while len(batcher._queue) < count - 1:
        threading.Event().wait(0.001)
    model.gate.set()
    return lambda: [int(future.result(10).scores[0]) for future in (first, *others)]


def test_one_picture() -> None:
    """A picture alone runs at once, in a batch of one."""
    model, sizes = Model(), list[int]()
    model.gate.set()

    run = Batcher(model.run, largest=8, slots=1, observe=sizes.append).run(picture(21))

    assert run.scores.tolist() == [42]
    assert run.queued >= 0
    assert run.ran >= 0
    assert sizes == [1]


def test_waiting_pictures_run_together() -> None:
    """What waits while the model is busy runs in one batch, and each gets its own scores."""
    model, sizes = Model(), list[int]()
    batcher = Batcher(model.run, largest=32, slots=1, observe=sizes.append)

    scores = start_queue(batcher, model, 12)()

    assert scores == [2 * number for number in range(12)]
    assert sizes == [1, 11]


def test_largest_batch() -> None:
    """No run has more pictures than allowed; what is left runs next."""
    model, sizes = Model(), list[int]()
    batcher = Batcher(model.run, largest=4, slots=1, observe=sizes.append)

    scores = start_queue(batcher, model, 12)()

    assert scores == [2 * number for number in range(12)]
    assert sizes == [1, 4, 4, 3]


def test_slots() -> None:
    """As many runs happen at the same time as there are slots, and no more."""
    model = Model()
    batcher = Batcher(model.run, largest=1, slots=2, observe=lambda _: None)

    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(batcher.run, picture(number)) for number in range(6)]
        while model.running < 2:
            threading.Event().wait(0.001)
        model.gate.set()
        scores = sorted(int(future.result(10).scores[0]) for future in futures)

    assert scores == [0, 2, 4, 6, 8, 10]
    assert model.most_running == 2


def test_failed_run() -> None:
    """A failure reaches the pictures of its own run, and the queue goes on."""
    model = Model()
    model.gate.set()
    batcher = Batcher(model.run, largest=8, slots=1, observe=lambda _: None)

    with pytest.raises(Internal, match="negative"):
        batcher.run(picture(-1))

    assert batcher.run(picture(4)).scores.tolist() == [8]


def test_many_threads() -> None:
    """Under load from many threads every picture gets its own scores."""
    model = Model()
    model.gate.set()
    batcher = Batcher(model.run, largest=5, slots=2, observe=lambda _: None)

    with ThreadPoolExecutor(16) as pool:
        runs = list(pool.map(lambda number: batcher.run(picture(number)), range(2000)))

    assert [int(run.scores[0]) for run in runs] == [2 * number for number in range(2000)]
