"""Golden images are kept whole, replaced as a whole, and damage is noticed."""

from pathlib import Path

import pytest

from predictor.errors import ModelConflict
from predictor.store.golden import GoldenImage, GoldenSet, GoldenSets, digest


def golden(*contents: bytes) -> GoldenSet:
    """A set of images with these bytes."""
    images = [
        GoldenImage(f"cat/{n}.png", digest(data), (("cat",), ("a", "b")), "cat")
        for n, data in enumerate(contents)
    ]
    return GoldenSet(tuple(images), len(contents), "2026-01-01T00:00:00+00:00", None)


def test_kept(tmp_path: Path) -> None:
    """What is kept comes back, and another set takes its place."""
    sets = GoldenSets(tmp_path)
    assert sets.find("pets") is None

    sets.write("pets", golden(b"one", b"two"), [b"one", b"two"])
    assert sets.find("pets") == golden(b"one", b"two")
    sets.write("pets", golden(b"two", b"three"), [b"two", b"three"])

    found = sets.find("pets")
    assert found is not None
    assert [sets.data_of("pets", image) for image in found.images] == [b"two", b"three"]
    assert len(list((tmp_path / "golden" / "pets").iterdir())) == 3


def test_removed(tmp_path: Path) -> None:
    """What is removed is gone; nothing happens where nothing is."""
    sets = GoldenSets(tmp_path)
    sets.write("pets", golden(b"one"), [b"one"])

    sets.remove("pets")
    sets.remove("pets")

    assert sets.find("pets") is None


@pytest.mark.parametrize("damage", [b"{", b"[]", b'{"images": [{}], "least": 1}', b'{"images": 3}', b"\xff"])
def test_damaged_index(tmp_path: Path, damage: bytes) -> None:
    """An index that cannot be read is an error: a gate that is damaged is not open."""
    sets = GoldenSets(tmp_path)
    sets.write("pets", golden(b"one"), [b"one"])
    (tmp_path / "golden" / "pets" / "golden.json").write_bytes(damage)

    with pytest.raises(ModelConflict, match="damaged"):
        sets.find("pets")


@pytest.mark.parametrize("damage", [b"other", None])
def test_damaged_image(tmp_path: Path, damage: bytes | None) -> None:
    """So is an image that is missing or is another one."""
    sets = GoldenSets(tmp_path)
    sets.write("pets", golden(b"one"), [b"one"])
    path = tmp_path / "golden" / "pets" / digest(b"one")
    path.unlink() if damage is None else path.write_bytes(damage)

    with pytest.raises(ModelConflict, match="damaged"):
        sets.data_of("pets", golden(b"one").images[0])
