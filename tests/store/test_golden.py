"""Golden images lie whole in a folder of their own, and damage is noticed."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from predictor.errors import ModelConflict
from predictor.store.golden import INDEX, GoldenFiles, GoldenSet, digest, write_set
from tests.store.conftest import golden_set


def place(root: Path, *contents: bytes) -> tuple[GoldenFiles, str]:
    """Give a set of `pets` its place, and say what its digest is."""
    files, folder = GoldenFiles(root), root.parent / "incoming"
    folder.mkdir()
    write_set(folder, golden_set(*contents), contents)
    return files, files.place("pets", folder)


def test_kept(tmp_path: Path) -> None:
    """What is kept comes back by its digest; without one there is nothing."""
    files, index = place(tmp_path / "golden", b"one", b"two")

    found = files.find("pets", index)

    assert found == golden_set(b"one", b"two")
    assert [files.data_of("pets", index, image) for image in found.images] == [b"one", b"two"]
    assert (files.find("pets", None), files.find("cats", None)) == (None, None)
    assert (files.lacks("pets", index), files.lacks("cats", index)) == (False, True)


def test_set_of_a_former_release() -> None:
    """A set that does not say whether its labels are names may have indices; else it says it."""
    new = replace(golden_set(b"one"), by_name=True)
    former = json.loads(new.to_bytes())
    del former["by_name"]

    assert GoldenSet.from_bytes(new.to_bytes()) == new
    assert GoldenSet.from_bytes(json.dumps(former).encode()) == replace(new, by_name=False)


@pytest.mark.parametrize(
    "damage", [b"{", b"[]", b'{"images": [{}], "least": 1}', b'{"images": 3}', b"\xff", None]
)
def test_damaged_index(tmp_path: Path, damage: bytes | None) -> None:
    """An index that is missing or cannot be read is an error: a gate that is damaged is not open."""
    files, index = place(tmp_path / "golden", b"one")
    path = files.folder("pets", index) / INDEX
    path.unlink() if damage is None else path.write_bytes(damage)

    with pytest.raises(ModelConflict, match="damaged"):
        files.find("pets", index)
    assert files.lacks("pets", index)


def test_index_of_another_set(tmp_path: Path) -> None:
    """So is one whose digest is not the one that the state has."""
    files, index = place(tmp_path / "golden", b"one")
    (files.folder("pets", index) / INDEX).write_bytes(golden_set(b"two").to_bytes())

    with pytest.raises(ModelConflict, match="damaged"):
        files.find("pets", index)


def test_missing_set(tmp_path: Path) -> None:
    """So is a set that the state has and the disk has not."""
    with pytest.raises(ModelConflict, match="damaged"):
        GoldenFiles(tmp_path).find("pets", digest(b"index"))


@pytest.mark.parametrize("damage", [b"other", None])
def test_damaged_image(tmp_path: Path, damage: bytes | None) -> None:
    """So is an image that is missing or is another one."""
    files, index = place(tmp_path / "golden", b"one")
    path = files.folder("pets", index) / digest(b"one")
    path.unlink() if damage is None else path.write_bytes(damage)

    with pytest.raises(ModelConflict, match="damaged"):
        files.data_of("pets", index, golden_set(b"one").images[0])
    assert files.lacks("pets", index) == (damage is None)


def test_digest_that_leads_elsewhere() -> None:
    """The digest of an image becomes the name of a file, so that nothing else is read as one."""
    data = golden_set(b"one").to_bytes().replace(digest(b"one").encode(), b"../../state.json")

    with pytest.raises(ValueError, match="elsewhere"):
        GoldenSet.from_bytes(data)
