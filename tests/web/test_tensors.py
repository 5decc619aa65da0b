"""Tensors of the Open Inference Protocol come whole out of JSON and out of bytes, or not at all."""

import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from predictor.errors import InvalidRequest
from predictor.web import tensors

DTYPES = sorted(tensors.DATATYPES.values())


@pytest.mark.parametrize("dtype", DTYPES)
def test_bytes_and_back(dtype: str) -> None:
    """A tensor of each type is the same after it went through bytes."""
    array = np.array([[0, 1, 1], [1, 0, 1]]).astype(dtype)

    data = tensors.to_bytes(array)

    assert len(data) == tensors.size(dtype, array.shape)
    np.testing.assert_array_equal(tensors.from_bytes(data, dtype, [2, 3]), array)


@given(st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), min_size=1))
def test_json_keeps_the_bits(values: list[float]) -> None:
    """FP32 through JSON has the bits that it has through bytes."""
    array = np.array(values, np.float32)

    back = tensors.from_json(tensors.to_json(array), "float32", [len(values)])

    assert back.tobytes() == array.tobytes()


def test_nested_and_flat() -> None:
    """Only the number of values must fit the shape, however they are nested."""
    forms: list[list[Any]] = [[1, 2, 3, 4], [[1, 2], [3, 4]], [[[1], [2], [3], [4]]], [[1], [2, 3, 4]]]

    for form in forms:
        assert tensors.from_json(form, "uint8", [2, 2]).tolist() == [[1, 2], [3, 4]]


def test_little_endian() -> None:
    """Numbers have their lowest byte first."""
    assert tensors.to_bytes(np.array([258], ">u2")) == b"\x02\x01"
    assert tensors.from_bytes(b"\x02\x01", "uint16", [1]).tolist() == [258]


@pytest.mark.parametrize(
    ("data", "dtype", "shape"),
    [
        ([1, 2, 3], "float32", [4]),
        ([1, 2, 3], "float32", [2]),
        ([[1, 2], [3]], "float32", [2, 2]),
        (["1"], "float32", [1]),
        ([None], "float32", [1]),
        ([True], "float32", [1]),
        ([1, [2]], "float32", [2]),
        ([{}], "float32", [1]),
        ([1e39], "float32", [1]),
        ([math.inf], "float32", [1]),
        ([math.nan], "float64", [1]),
        ([10**400], "float64", [1]),
        ([256], "uint8", [1]),
        ([-1], "uint8", [1]),
        ([1.0], "uint8", [1]),
        ([2**63], "int64", [1]),
        ([1], "bool", [1]),
        ([1.0], "float16", [1]),
        ([1], "float32", [2**40, 2**40]),
    ],
)
def test_no_such_numbers(data: list[Any], dtype: str, shape: list[int]) -> None:
    """Too many, too few, of another type or out of its range: nothing is made of it."""
    with pytest.raises(InvalidRequest):
        tensors.from_json(data, dtype, shape)


def test_deep_nesting() -> None:
    """Nesting of any depth is unfolded or refused, without recursion."""
    data: list[Any] = [1]
    for _ in range(5_000):
        data = [data]

    assert tensors.from_json(data, "uint8", [1]).tolist() == [1]


@pytest.mark.parametrize("length", [0, 3, 5, 8])
def test_wrong_number_of_bytes(length: int) -> None:
    """A tensor has exactly the bytes that its shape wants."""
    with pytest.raises(InvalidRequest, match="bytes"):
        tensors.from_bytes(bytes(length), "float32", [1])


def test_booleans_are_0_or_1() -> None:
    """A byte of a BOOL tensor is nothing else."""
    with pytest.raises(InvalidRequest):
        tensors.from_bytes(b"\x01\x02", "bool", [2])


@given(st.lists(st.text()))
def test_texts(texts: list[str]) -> None:
    """Texts have their lengths before them."""
    data = tensors.to_bytes(texts)

    assert [one.decode() for one in tensors.elements(data, len(texts))] == texts
    assert tensors.to_json(texts) == texts


@given(st.binary(), st.integers(0, 4))
def test_any_bytes(data: bytes, count: int) -> None:
    """Whatever the lengths say, no byte is left over and none is used twice."""
    try:
        found = tensors.elements(data, count)
    except InvalidRequest:
        return

    assert len(found) == count
    assert sum(len(one) + 4 for one in found) == len(data)


@pytest.mark.parametrize("values", [np.array([np.nan], "f4"), np.array([np.inf]), np.array([1], "f2")])
def test_no_json(values: Any) -> None:
    """What JSON has no form for is refused, with the way out."""
    with pytest.raises(InvalidRequest, match="binary_data"):
        tensors.to_json(values)
