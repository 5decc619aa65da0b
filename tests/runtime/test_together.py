"""Pictures of one thread are run at once, and each has the scores or the error that are its own."""

import contextlib
import gc
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from predictor.errors import Internal, InvalidImage
from predictor.runtime.batch import Array, Line, Prepare, Run, Runner
from predictor.runtime.together import Tensor, Together
from predictor.runtime.turns import Turns


class Runs:
    """Runs that give each picture's number, doubled, and fail on a negative one."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []

    def run(self, prepare: Prepare, most: int) -> Run:
        """Run what comes."""
        pictures = [int(tensor[0]) for tensor in prepare()]
        assert len(pictures) <= most
        self.batches.append(pictures)
        if min(pictures) < 0:
            raise Internal("negative")
        return Run(2 * np.array(pictures)[:, np.newaxis], 0.0, 0.0)


@pytest.fixture
def runs() -> Runs:
    """What is run."""
    return Runs()


def picture(number: int) -> Tensor:
    """What makes a picture of one pixel."""
    return lambda: np.array([number])


def broken() -> Any:
    """What makes no picture."""
    raise InvalidImage("This one is damaged.")


def ask(together: Together, makers: list[Tensor]) -> list[int | str]:
    """Each picture's only score, or the code of its error."""
    return [_score(together, place, make) for place, make in enumerate(makers)]


def _score(together: Together, place: int, make: Tensor) -> int | str:
    try:
        run = together.run(place, make)
    except (InvalidImage, Internal) as error:
        return error.code
    assert run.scores.shape == (1, 1)
    return int(run.scores[0][0])


def added(run: Callable[[Prepare, int], Run], makers: list[Tensor]) -> Together:
    """Pictures that go together."""
    together = Together(run)
    for place, make in enumerate(makers):
        together.add(place, make)
    return together


def test_one_run(runs: Runs) -> None:
    """All go with the first, and each gets its own scores."""
    makers = [picture(number) for number in (1, 2, 3)]

    assert ask(added(runs.run, makers), makers) == [2, 4, 6]
    assert runs.batches == [[1, 2, 3]]


@pytest.mark.parametrize("place", [0, 1, 2])
def test_broken_picture(runs: Runs, place: int) -> None:
    """One that cannot be prepared gets its error, and the others run without it."""
    makers = [picture(1), picture(2)]
    makers.insert(place, broken)

    expected: list[int | str] = [2, 4]
    expected.insert(place, InvalidImage.code)
    assert ask(added(runs.run, makers), makers) == expected
    assert runs.batches == [[1, 2]]


def test_nothing_but_broken_pictures(runs: Runs) -> None:
    """Where none can be prepared, nothing is run, and each has its error."""
    assert ask(added(runs.run, [broken, broken]), [broken, broken]) == [InvalidImage.code] * 2
    assert runs.batches == []


def test_failed_run(runs: Runs) -> None:
    """A run that fails is the error of all that were in it, and of no other."""
    makers = [picture(1), broken, picture(-2)]

    assert ask(added(runs.run, makers), makers) == [Internal.code, InvalidImage.code, Internal.code]


def test_asked_again(runs: Runs) -> None:
    """Who asks for a picture again has it run again, alone."""
    makers = [picture(1), picture(2)]
    together = added(runs.run, makers)

    assert ask(together, makers) + ask(together, makers) == [2, 4, 2, 4]
    assert runs.batches == [[1, 2], [1], [2]]


def test_not_asked_for(runs: Runs) -> None:
    """One that had its answer from elsewhere does not go with those after it."""
    makers = [picture(1), picture(2), picture(3)]
    together = added(runs.run, makers)

    assert _score(together, 1, makers[1]) == 4
    assert _score(together, 2, makers[2]) == 6
    assert runs.batches == [[2, 3]]


def test_equal_pictures(runs: Runs) -> None:
    """Of equal pictures only the first goes; who asks for another gets a run of its own."""
    together = Together(runs.run)
    for place, key in enumerate(["a", "a", "b"]):
        together.add(place, picture(place), key)

    assert ask(together, [picture(place) for place in range(3)]) == [0, 2, 4]
    assert runs.batches == [[0, 2], [1]]


def test_nothing_is_kept() -> None:
    """Pictures that cannot be prepared do not stay in memory after their errors were given."""
    line, model = Line(Turns(1)), Runner(lambda batch: batch, largest=2, seconds=1.0, observe=lambda _: None)
    held = np.zeros(3)
    known = weakref.ref(held)

    def prepare(held: Array = held) -> Array:
        raise InvalidImage(f"{held.shape}")

    def answer(together: Together, prepare: Tensor) -> None:
        for place in range(2):
            with contextlib.suppress(InvalidImage):
                try:
                    together.run(place, prepare)
                except InvalidImage as error:
                    raise error.bare() from None

    gc.disable()
    try:
        together = added(lambda prepare, most: line.run(model, prepare, most), [prepare, prepare])
        answer(together, prepare)
        del prepare, held, together
        assert known() is None
    finally:
        gc.enable()
