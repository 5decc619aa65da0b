"""Arbitrary and damaged bytes: an image within limits or an error of the image family, nothing else."""

import json
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as some

from predictor.errors import ImageError
from predictor.image.decode import Limits, decode
from tests import fuzzing
from tests.image.mutants import HEIGHT, WIDTH, mutant, pictures, singles, with_checksums
from tests.live.service import ROOT

# The test runner sets the filters of warnings anew for each test.
pytestmark = pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
SMALL = Limits(max_pixels=1_000_000, max_bytes=100_000)
MUTANTS = max(3_000, 20 * fuzzing.examples(100))
MARKS = [data[:length] for data in pictures().values() for length in (2, 4, 8, 16, 30)]


def check(data: bytes, shortest: int = 0) -> None:
    """Decode; anything but an image within the limits or an error of the family fails."""
    try:
        image = decode(data, SMALL, shortest)
    except ImageError:
        return
    assert image.mode == "RGB"
    assert 1 <= image.width * image.height <= SMALL.max_pixels
    assert image.tobytes()


@given(mark=some.sampled_from([b"", *MARKS]), rest=some.binary(max_size=2_000))
def test_arbitrary_bytes(mark: bytes, rest: bytes) -> None:
    """Bytes without a meaning, alone and behind the beginning of an image."""
    check(mark + rest)


@given(
    name=some.sampled_from(sorted(pictures())),
    changes=some.lists(some.tuples(some.floats(0, 1), some.binary(max_size=6)), max_size=8),
    keep=some.floats(0.02, 1),
    right=some.booleans(),
    shortest=some.sampled_from([0, 8]),
)
def test_changed_bytes(
    name: str, changes: list[tuple[float, bytes]], keep: float, right: bool, shortest: int
) -> None:
    """Bytes of real images replaced in a few places and cut off somewhere."""
    data = bytearray(pictures()[name])
    for place, value in changes:
        at = int(place * (len(data) - 1))
        data[at : at + len(value)] = value
    cut = bytes(data[: int(keep * len(data))])
    check(with_checksums(cut) if right else cut, shortest)


@given(number=some.integers(0, 2**64))
def test_mutants(number: int) -> None:
    """Images with parts doubled, taken out, exchanged with other images', or set to extreme numbers."""
    check(mutant(number))


@pytest.mark.promise("I3")
@pytest.mark.fuzz
def test_many_mutants() -> None:
    """Thousands of damaged images end no process, and none takes a second."""
    first = fuzzing.seed()
    run = subprocess.run(
        [sys.executable, "-m", "tests.image.mutants", str(first), str(MUTANTS)],
        check=False,
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60 + MUTANTS / 20,
    )

    lines = run.stdout.splitlines() or ["nothing"]
    assert run.returncode == 0, f"the process died of mutant {lines[-1]}: {run.stderr[-2000:]}"
    found = json.loads(lines[-1])
    assert sum(found["outcomes"].values()) == MUTANTS
    assert min(found["outcomes"][outcome] for outcome in ("opened", "invalid_image")) > MUTANTS / 20
    assert found["slowest"] < 1


@pytest.mark.parametrize("name", sorted(pictures()))
def test_undamaged(name: str) -> None:
    """The images that damaged ones are made of are whole: each opens."""
    assert sorted(decode(pictures()[name], Limits()).size) == [HEIGHT, WIDTH]


@pytest.mark.promise("I4")
@pytest.mark.parametrize("name", sorted(singles()))
@pytest.mark.parametrize("percent", range(10, 100, 10))
def test_cut_off(name: str, percent: int) -> None:
    """Part of an image is refused, whatever its kind of pixels; half an image is no guess."""
    data = singles()[name]

    with pytest.raises(ImageError):
        decode(data[: len(data) * percent // 100], Limits())
