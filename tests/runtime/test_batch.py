"""Pictures of different threads run together, each gets its own scores, and none waits for ever."""

import contextlib
import gc
import threading
import weakref
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from predictor.afterwards import answering
from predictor.errors import Internal, InvalidImage
from predictor.runtime.batch import Line, Prepare, Runner
from predictor.runtime.turns import Turns

Array = npt.NDArray[Any]


class Model:
    """A model whose first run waits for `gate`, so that a line builds up behind it.

    The scores of a picture are the picture's own number, doubled.
    """

    def __init__(self, largest: int = 32) -> None:
        self.gate = threading.Event()
        self.started = threading.Event()
        self.sizes: list[int] = []
        self.running = 0
        self.most_running = 0
        self.lock = threading.Lock()
        self.runner = Runner(self.run, largest=largest, seconds=1.0, observe=self.sizes.append)

    def run(self, batch: Array) -> Array:
        """Double the pictures; fail on a batch that holds a negative number."""
        with self.lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        self.started.set()
        assert self.gate.wait(10)
        with self.lock:
            self.running -= 1
        if (batch < 0).any():
            raise Internal("negative")
        return batch * 2


def picture(number: int) -> Prepare:
    """What makes a picture of one pixel."""
    return lambda: [np.array([number])]


def broken() -> list[Array]:
    """What makes no picture."""
    raise InvalidImage("This one is damaged.")


def start_line(line: Line, jobs: list[tuple[Model, Prepare]]) -> Callable[[], list[Any]]:
    """Let the first picture run, and the others wait behind it; gives what collects scores and errors."""
    pool = ThreadPoolExecutor(len(jobs))
    futures = []
    for place, (model, prepare) in enumerate(jobs):
        futures.append(pool.submit(line.run, model.runner, prepare))
        if place == 0:
            assert model.started.wait(10)
        while len(line._waiting) < place:
            threading.Event().wait(0.001)
    for model, _ in jobs:
        model.gate.set()

    def collect() -> list[Any]:
        return [
            error.code if (error := future.exception(10)) else int(future.result().scores[0][0])  # type: ignore[attr-defined]
            for future in futures
        ]

    return collect


def test_one_picture() -> None:
    """A picture alone runs at once, in a batch of one."""
    model = Model()
    model.gate.set()

    run = Line(Turns(1)).run(model.runner, picture(21))

    assert run.scores.tolist() == [[42]]
    assert run.queued >= 0
    assert run.ran >= 0
    assert model.sizes == [1]


def test_waiting_pictures_run_together() -> None:
    """What waits while the model is busy runs in one batch, and each gets its own scores."""
    model = Model()

    scores = start_line(Line(Turns(1)), [(model, picture(number)) for number in range(12)])()

    assert scores == [2 * number for number in range(12)]
    assert model.sizes == [1, 11]


def test_largest_batch() -> None:
    """No run has more pictures than allowed; what is left runs next."""
    model = Model(largest=4)

    scores = start_line(Line(Turns(1)), [(model, picture(number)) for number in range(12)])()

    assert scores == [2 * number for number in range(12)]
    assert model.sizes == [1, 4, 4, 3]


def test_broken_picture() -> None:
    """A picture that cannot be prepared gets its error, in whichever place, and is in no batch."""
    model = Model(largest=2)
    makers = [picture(0), broken, picture(1), broken, broken, picture(2), picture(3), broken]

    answers = start_line(Line(Turns(1)), [(model, maker) for maker in makers])()

    bad = InvalidImage.code
    assert answers == [0, bad, 2, bad, bad, 4, 6, bad]
    assert model.sizes == [1, 2, 1]


def test_several_of_one_thread() -> None:
    """A thread may come with several pictures; they run together, and with those of others as far as fits."""
    model = Model(largest=4)
    line = Line(Turns(1))
    makers: list[list[Prepare]] = [[picture(0)], [picture(1), picture(2), picture(3)]]
    makers += [[picture(4), picture(5)], [picture(6)]]

    def run(several: list[Prepare]) -> list[int]:
        made = line.run(model.runner, lambda: [make()[0] for make in several], len(several))
        return [int(score) for (score,) in made.scores]

    with ThreadPoolExecutor(4) as pool:
        futures = []
        for place, several in enumerate(makers):
            futures.append(pool.submit(run, several))
            if place == 0:
                assert model.started.wait(10)
            while len(line._waiting) < place:
                threading.Event().wait(0.001)
        model.gate.set()

        assert [future.result(10) for future in futures] == [[0], [2, 4, 6], [8, 10], [12]]
    assert model.sizes == [1, 4, 2]


def test_models_do_not_mix() -> None:
    """Pictures that wait for different models never run together, and each model gets its turn."""
    first, second = Model(), Model()
    jobs = [((first, second)[number % 2], picture(number)) for number in range(9)]

    scores = start_line(Line(Turns(1)), jobs)()

    assert scores == [2 * number for number in range(9)]
    assert (first.sizes, second.sizes) == ([1, 4], [4])


def test_turns() -> None:
    """As many runs happen at the same time as there are turns, and no more."""
    model = Model(largest=1)
    line = Line(Turns(2))

    with ThreadPoolExecutor(6) as pool:
        futures = [pool.submit(line.run, model.runner, picture(number)) for number in range(6)]
        while model.running < 2:
            threading.Event().wait(0.001)
        model.gate.set()
        scores = sorted(int(future.result(10).scores[0][0]) for future in futures)

    assert scores == [0, 2, 4, 6, 8, 10]
    assert model.most_running == 2


class Answering:
    """A thread that answers a request with a picture, and does not send its answer before it is told to."""

    def __init__(self, line: Line, model: Model, number: int) -> None:
        self.send = threading.Event()
        self.computed = threading.Event()
        self._thread = threading.Thread(target=self._answer, args=(line, model, number))
        self._thread.start()

    def _answer(self, line: Line, model: Model, number: int) -> None:
        with answering():
            line.run(model.runner, picture(number))
            self.computed.set()
            self.send.wait(10)

    def end(self) -> None:
        """Send the answer."""
        self.send.set()
        self._thread.join(10)


def answered(courtesy: float) -> tuple[Line, Model, Answering]:
    """A line and its model, and who has computed but not sent its answer."""
    model, line = Model(), Line(Turns(1), courtesy)
    model.gate.set()
    before = Answering(line, model, 1)
    assert before.computed.wait(10)
    return line, model, before


def test_courtesy() -> None:
    """Who leads next begins when the one before has sent its answer; who comes meanwhile has another turn."""
    line, model, before = answered(courtesy=10)

    after = Answering(line, model, 2)
    assert not after.computed.wait(0.1)
    late = Answering(line, model, 3)
    while not line._waiting:
        threading.Event().wait(0.001)
    before.end()

    assert after.computed.wait(10)
    after.end()
    assert late.computed.wait(10)
    late.end()
    assert model.sizes == [1, 1, 1]


def test_courtesy_ends() -> None:
    """Nobody waits for long for an answer that is not sent."""
    line, model, before = answered(courtesy=0.01)

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(line.run, model.runner, picture(2)).result(10).scores.tolist() == [[4]]
    before.end()


def test_courtesy_without_request() -> None:
    """Nobody waits for a thread that answers no request, nor for a failed one."""
    model, line = Model(), Line(Turns(1), courtesy=10)
    model.gate.set()
    for prepare in (picture(1), broken, picture(-1), picture(2)):
        with contextlib.suppress(Internal, InvalidImage):
            line.run(model.runner, prepare)

    assert line._answering.acquire(blocking=False)


def test_failed_run() -> None:
    """A failure reaches the pictures of its own run, and the line goes on."""
    model = Model(largest=2)

    answers = start_line(Line(Turns(1)), [(model, picture(number)) for number in (0, -1, 2, 3, 4)])()

    assert answers == [0, "internal", "internal", 6, 8]


@pytest.mark.parametrize("rows", [1, 4])
def test_wrong_number_of_answers(rows: int) -> None:
    """A model that gives too few or too many rows answers for no picture."""
    runner = Runner(lambda _: np.zeros((rows, 1)), largest=2, seconds=1.0, observe=lambda _: None)

    with pytest.raises(Internal):
        Line(Turns(1)).run(runner, lambda: [np.array([1]), np.array([2])], 2)


def test_learns() -> None:
    """What a picture took lately is known, whatever was measured at first."""
    model = Model()
    model.gate.set()
    line = Line(Turns(1))
    for _ in range(100):
        line.run(model.runner, picture(1))

    assert 0 < model.runner.seconds_per_image < 0.5


def test_learns_from_runs_only() -> None:
    """A run that failed, and pictures that cannot be prepared, say nothing of what a picture takes."""
    model = Model()
    model.gate.set()
    line = Line(Turns(1))
    for prepare in (picture(-1), broken):
        with pytest.raises((Internal, InvalidImage)):
            line.run(model.runner, prepare)

    assert model.runner.seconds_per_image == 1.0


def test_nothing_is_kept() -> None:
    """An error does not keep the picture that it came from."""
    held = np.zeros(3)
    known = weakref.ref(held)
    model = Model()

    def prepare(held: Array = held) -> list[Array]:
        raise InvalidImage(f"{held.shape}")

    gc.disable()
    try:
        with pytest.raises(InvalidImage) as caught:
            Line(Turns(1)).run(model.runner, prepare)
        caught.value.bare()
        del prepare, held, caught
        assert known() is None
    finally:
        gc.enable()


def test_many_threads() -> None:
    """Under load from many threads every picture gets its own scores."""
    models = [Model(largest=5), Model(largest=3)]
    for model in models:
        model.gate.set()
    line = Line(Turns(2))

    with ThreadPoolExecutor(16) as pool:
        runs = list(
            pool.map(lambda number: line.run(models[number % 2].runner, picture(number)), range(2000))
        )

    assert [int(run.scores[0][0]) for run in runs] == [2 * number for number in range(2000)]
    assert max(models[0].sizes) <= 5
    assert max(models[1].sizes) <= 3
