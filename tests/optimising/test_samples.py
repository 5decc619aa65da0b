"""Images are split into two halves that have nothing in common, the same each time."""

import errno
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from predictor.errors import InvalidRequest
from predictor.evaluation.images import LabelledImage
from predictor.image.decode import Limits
from predictor.model.spec import ModelSpec
from predictor.optimising.job import CALIBRATION, JUDGED
from predictor.optimising.samples import Halves, half, prepared
from tests.optimising.networks import CLASSES, SIDE, images, spec, tensors

LIMITS = Limits(("PNG",), 1_000_000, 1_000_000)


def halves(pictures: list[LabelledImage], folder: Path, model: ModelSpec | None = None) -> Halves:
    """Prepare images, and read over the progress."""
    steps = prepared(pictures, model or spec(), LIMITS, folder, 0)
    while True:
        try:
            next(steps)
        except StopIteration as end:
            found: Halves = end.value
            return found


def test_half() -> None:
    """Each half has half of every class, as nearly as can be, and always the same images."""
    truths = [place % 3 for place in range(60)] + [None] * 11 + [7]

    first = half(truths)

    of_first = Counter(truths[place] for place in first)
    assert [of_first[one] for one in (0, 1, 2)] == [10, 10, 10]
    assert of_first[None] in (5, 6)
    assert abs(len(first) - len(truths) / 2) <= 1
    assert half(truths) == first != list(range(0, len(truths), 2))


def test_classes_of_one() -> None:
    """Where each class has one image, both halves are as large, and neither has the first classes alone."""
    first = half(list(range(100)))

    assert len(first) == 50
    assert 15 < sum(place < 50 for place in first) < 35


def test_files(tmp_path: Path) -> None:
    """The files hold the tensors of all images, each in one of them."""
    pictures = [
        LabelledImage(one.name, (str(place % CLASSES),), one.read) for place, one in enumerate(images(9))
    ]

    found = halves(pictures, tmp_path)

    rows = np.concatenate([np.load(tmp_path / name) for name in (CALIBRATION, JUDGED)])
    assert rows.shape == (9, 3, SIDE, SIDE)
    assert {one.tobytes() for one in rows} == {one.tobytes() for one in tensors(9)}
    assert (found.images, found.calibration, len(found.truths)) == (9, 5, 4)
    assert all(truth is not None and len(truth) == 1 for truth in found.truths)


def test_no_class_applies(tmp_path: Path) -> None:
    """An empty label says that no class applies where classes are independent, and else nothing."""
    pictures = [LabelledImage(one.name, (), one.read, classless=True) for one in images(8)]
    independent = replace(spec(), activation="sigmoid")

    several = halves(pictures, tmp_path, independent)

    assert (list(several.truths), several.to_json()["labelled"]) == ([()] * 4, True)
    assert halves(pictures, tmp_path).to_json()["labelled"] is False


def test_left_out(tmp_path: Path) -> None:
    """The same image under two names counts once; an unknown class is said, and the image is used without."""
    pictures = [
        *(LabelledImage(one.name, ("unknown",), one.read) for one in images(4)),
        LabelledImage("again.png", (), images(1)[0].read),
        LabelledImage("notes.txt", (), lambda: b"", left_out="It is no image."),
    ]

    found = halves(pictures, tmp_path)

    said = found.to_json()
    assert (said["images"], said["labelled"], said["left_out"]) == (4, False, 2)
    assert "the same image as 0.png" in found.problems["again.png"]
    assert found.problems["notes.txt"] == "It is no image."
    assert found.problems.keys() == {"again.png", "notes.txt"}
    assert [one["file"] for one in said["without_class"]] == [f"{number}.png" for number in range(4)]


def test_same_name(tmp_path: Path) -> None:
    """The same image counts once, also where it comes under the same name again."""
    found = halves([*images(6), *images(6)], tmp_path)

    assert (found.images, found.left_out) == (6, 6)


def test_several_classes(tmp_path: Path) -> None:
    """All classes of an image count, whether one text or several rows name them."""
    pictures = [
        LabelledImage(one.name, ("class 0|class 2",), one.read)
        if place % 2
        else LabelledImage(one.name, ("class 0",), one.read, also=(("class 2",),))
        for place, one in enumerate(images(6))
    ]

    found = halves(pictures, tmp_path)

    assert list(found.truths) == [(0, 2)] * 3
    assert found.problems == {}


@pytest.mark.parametrize("name", [CALIBRATION, JUDGED])
def test_full_disk(tmp_path: Path, name: str) -> None:
    """The error of a full disk names the file that has no room."""
    (tmp_path / name).symlink_to("/dev/full")

    with pytest.raises(OSError, match=str(tmp_path / name)) as caught:
        halves(images(6), tmp_path)

    assert caught.value.errno == errno.ENOSPC


def test_too_few(tmp_path: Path) -> None:
    """One image cannot be split."""
    with pytest.raises(InvalidRequest, match="At least two images"):
        halves(images(1), tmp_path)
