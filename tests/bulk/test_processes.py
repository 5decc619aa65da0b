"""Processes predict images of any number, in order."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from predictor.bulk.processes import Local, predicted
from predictor.config import BUNDLED_MODEL, Settings
from predictor.errors import InvalidModel
from predictor.evaluation.predictors import Checked, checked


@pytest.fixture(scope="module")
def model() -> Iterator[Checked]:
    """The bundled model."""
    with checked(BUNDLED_MODEL, None, None) as found:
        yield found


def test_endless(model: Checked, cat: Path) -> None:
    """Names are taken as rows are read, so the memory does not grow with their number."""
    taken: list[str] = []

    def names() -> Iterator[str]:
        for number in itertools.count():
            taken.append(str(cat) if number % 2 else f"gone-{number}.jpg")
            yield taken[-1]

    rows = predicted(Local(model, Settings(), 1, None), names(), 2)
    read = [next(rows) for _ in range(40)]

    assert [row.name for row in read] == taken[:40]
    assert [row.problem.detail if row.problem else row.predictions[0]["label"] for row in read] == [
        "The file cannot be read.",
        "tiger cat",
    ] * 20
    assert len(taken) < 60
    rows.close()  # type: ignore[attr-defined] # it is a generator, whose end ends the processes


def test_model_that_is_gone(model: Checked, cat: Path, tmp_path: Path) -> None:
    """What no process can load ends the work with its sentence."""
    gone = dataclasses.replace(model, path=tmp_path / "gone.onnx")

    with pytest.raises(InvalidModel):
        list(predicted(Local(gone, Settings(), 1, None), iter([str(cat)] * 40), 2))
