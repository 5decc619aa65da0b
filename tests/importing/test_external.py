"""Weights in other files are read from where they may lie, and refused anywhere else."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx.external_data_helper import convert_model_to_external_data

from predictor.errors import InvalidModel
from predictor.importing import external
from predictor.importing.external import join
from tests.importing.graphs import copied, image, layers, model, pixels, run, scores

DATA = {"weights.bin": "data-0"}
MOST = 100_000


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder in which the files lie."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def whole() -> Any:
    """A model in one piece."""
    return model(layers(), [image()], [scores()])


@pytest.fixture
def parted(folder: Path, whole: Any) -> Any:
    """The same model with its weights in another file, under the name of its upload."""
    made = copied(whole)
    convert_model_to_external_data(made, location="weights.bin", size_threshold=0)
    onnx.save(made, folder / "m.onnx")
    (folder / "weights.bin").rename(folder / "data-0")
    return onnx.load(folder / "m.onnx", load_external_data=False)


def tensors(made: Any) -> Iterator[Any]:
    """Those whose data lies elsewhere."""
    return (tensor for tensor in made.graph.initializer if external.is_external(tensor))


def entry(made: Any, key: str, value: str) -> None:
    """Change what the first tensor says of its place."""
    tensor = next(tensors(made))
    kept = [(one.key, one.value) for one in tensor.external_data if one.key != key]
    del tensor.external_data[:]
    for name, said in [*kept, (key, value)]:
        tensor.external_data.add(key=name, value=said)


def test_joined(whole: Any, parted: Any) -> None:
    """Both together are the model in one piece."""
    expected = run(whole, pixels())

    weights = join(list(tensors(parted)), DATA, 1000, MOST)

    assert weights == external.Weights(("weights.bin",), ())
    assert list(tensors(parted)) == []
    assert np.array_equal(run(parted, pixels()), expected)


def test_place_with_a_dot(parted: Any) -> None:
    """A place relative to the model's own folder is a name."""
    entry(parted, "location", "./weights.bin")

    assert join(list(tensors(parted)), DATA, 1000, MOST).used == ("weights.bin",)


def test_folders_were_dropped(parted: Any) -> None:
    """Where the folders of a place did not come, the file of its name is the one."""
    for tensor in tensors(parted):
        tensor.external_data[0].value = "deep/er/weights.bin"

    assert join(list(tensors(parted)), DATA, 1000, MOST).used == ("weights.bin",)


def test_two_places_of_a_name(parted: Any) -> None:
    """Of two places that end in the same name none is guessed."""
    entry(parted, "location", "other/weights.bin")

    with pytest.raises(InvalidModel, match=r"other/weights\.bin, which did not come"):
        join(list(tensors(parted)), DATA, 1000, MOST)


def test_shared_weights(whole: Any, parted: Any) -> None:
    """Two layers may have the same bytes."""
    expected = run(whole, pixels())
    again = parted.graph.initializer.add()
    again.CopyFrom(next(tensors(parted)))
    again.name = "again"

    join(list(tensors(parted)), DATA, 1000, MOST)

    assert np.array_equal(run(parted, pixels()), expected)
    assert again.raw_data == next(one.raw_data for one in parted.graph.initializer)


def test_too_large_to_join(folder: Path, whole: Any, parted: Any) -> None:
    """What protobuf cannot hold stays beside the model, which then names it as it is called there."""
    expected = run(whole, pixels())

    weights = join(list(tensors(parted)), DATA, external.PROTOBUF_BYTES, 2 * external.PROTOBUF_BYTES)

    assert weights == external.Weights(("weights.bin",), ("data-0",))
    assert {external.location(tensor) for tensor in tensors(parted)} == {"data-0"}
    onnx.save(parted, folder / "served.onnx")
    assert np.array_equal(run(onnx.load(folder / "served.onnx"), pixels()), expected)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *(
            ("location", place)
            for place in ("other.bin", "data-0", "../weights.bin", "/etc/passwd", "", "a/b")
        ),
        *(
            ("location", place)
            for place in ("weights.bin/", "weights.bin\0", "file:///weights.bin", "././weights.bin")
        ),
        *(("offset", number) for number in ("-1", "1e3", "99999999", "0x10", " 1", "²", "9" * 40, "")),
        *(("length", number) for number in ("0", "-4", "99999999", "4", "nan")),
    ],
)
def test_elsewhere(parted: Any, key: str, value: str) -> None:
    """No reference is followed but to a file that came, and inside it."""
    entry(parted, key, value)

    with pytest.raises(InvalidModel) as refused:
        join(list(tensors(parted)), DATA, 1000, MOST)

    assert "/etc" not in refused.value.detail


def test_missing(parted: Any) -> None:
    """The sentence names the file that did not come."""
    with pytest.raises(InvalidModel, match=r"weights\.bin, which did not come"):
        join(list(tensors(parted)), {}, 1000, MOST)


@pytest.mark.parametrize(("moved", "most"), [(0, 1200), (4, MOST)])
def test_overlapping(folder: Path, parted: Any, moved: int, most: int) -> None:
    """A small file cannot become a large model by many tensors of the same bytes."""
    for number in range(10):
        again = parted.graph.initializer.add()
        again.CopyFrom(next(tensors(parted)))
        again.name = f"again_{number}"
        again.dims[:] = [1]
        for one in again.external_data:
            one.value = {"offset": str(moved), "length": "4"}.get(one.key, one.value)
    for number in range(10 if moved else 0):
        parted.graph.initializer[-1 - number].external_data[1].value = str(number)

    with pytest.raises(InvalidModel, match="overlap"):
        join(list(tensors(parted)), DATA, 1000 if moved else 1150, most)


@pytest.mark.parametrize(
    ("kind", "dims"),
    [
        (onnx.TensorProto.STRING, [3]),
        (99, [3]),
        (onnx.TensorProto.FLOAT, [-1]),
        (onnx.TensorProto.FLOAT, [2**40]),
    ],
)
def test_no_numbers(parted: Any, kind: int, dims: list[int]) -> None:
    """Only numbers of a known type and shape lie in another file."""
    tensor = next(tensors(parted))
    tensor.data_type = kind
    tensor.dims[:] = dims

    with pytest.raises(InvalidModel):
        join(list(tensors(parted)), DATA, 1000, MOST)
