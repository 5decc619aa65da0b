"""Processes predict images of any number, in order."""

import dataclasses
import itertools
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from predictor.bulk.processes import Local, predicted
from predictor.config import BUNDLED_MODEL, Settings
from predictor.errors import Internal, InvalidModel, NotReady
from predictor.evaluation.predictors import Checked, LocalModel, checked


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
        f"There is no file {name}." if name != str(cat) else "tiger cat" for name in taken[:40]
    ]
    assert len(taken) < 60
    rows.close()  # type: ignore[attr-defined] # it is a generator, whose end ends the processes


def test_model_that_is_gone(model: Checked, cat: Path, tmp_path: Path) -> None:
    """What no process can load ends the work with its sentence."""
    gone = dataclasses.replace(model, path=tmp_path / "gone.onnx")

    with pytest.raises(InvalidModel):
        list(predicted(Local(gone, Settings(), 1, None), iter([str(cat)] * 40), 2))


@dataclasses.dataclass(frozen=True)
class Fragile(Checked):
    """A model whose process ends for some images, as a fault of a decoder would end it."""

    def load(self) -> LocalModel:
        """Itself in the place of the model."""
        return self  # type: ignore[return-value]

    def predictions(self, data: bytes, top_k: int) -> list[dict[str, object]]:
        """One class, unless the process ends."""
        if b"end" in data:
            os._exit(11)
        return [{"label": data.decode(), "index": 0, "confidence": 1.0}][:top_k]


@pytest.fixture
def fragile(model: Checked, tmp_path: Path) -> Local:
    """What uses such a model."""
    kept = {field.name: getattr(model, field.name) for field in dataclasses.fields(model)}
    return Local(Fragile(**kept), Settings(), 1, None)


@pytest.mark.parametrize("ends", [{"9", "20"}, {"28", "29"}])
def test_image_that_ends_its_process(ends: set[str], fragile: Local, tmp_path: Path) -> None:
    """An image that ends its process has a row with an error, and each other image has its own row."""
    files = [tmp_path / str(number) for number in range(30)]
    for file in files:
        file.write_text("end" if file.name in ends else file.name)

    rows = list(predicted(fragile, iter(map(str, files)), 2))

    assert [row.name for row in rows] == list(map(str, files))
    assert ["gone" if isinstance(row.problem, Internal) else row.predictions[0]["label"] for row in rows] == [
        "gone" if file.name in ends else file.name for file in files
    ]


def test_processes_that_always_end(fragile: Local, tmp_path: Path) -> None:
    """Where no image can be predicted, the work ends."""
    (tmp_path / "x").write_text("end")

    with pytest.raises(NotReady, match="out of memory"):
        list(predicted(fragile, itertools.repeat(str(tmp_path / "x")), 2))
