"""A class is found by everything that may name it."""

import pytest

from predictor.evaluation.classes import Classes
from predictor.model.label import Label

BIRD, MACHINE = Label("crane", "n02012849", ("wading bird",)), Label("crane", "n03126707")
CLASSES = Classes(
    (Label("tiger cat", "n02123159", ("tabby cat",)), BIRD, MACHINE, Label("7"), Label("Wading Bird", "b"))
)


@pytest.mark.parametrize(
    ("names", "index"),
    [
        (("tiger cat",), 0),
        (("Tiger_Cat",), 0),
        (("  tiger   cat ",), 0),
        (("n02123159",), 0),
        (("tabby cat",), 0),
        (("0",), 0),
        (("n02012849",), 1),
        (("crane",), None),
        (("crane", "n03126707"), 2),
        (("7",), 3),
        (("3",), 3),
        (("wading bird",), 4),
        (("5",), None),
        (("", "lion"), None),
        ((), None),
    ],
)
def test_find(names: tuple[str, ...], index: int | None) -> None:
    """Identifiers come before names, names before synonyms and numbers; a name of two classes is none's."""
    assert CLASSES.find(names) == index


@pytest.mark.parametrize(
    ("said", "index"),
    [
        ((("0",),), (2,)),  # the tiger cat, by its identifier
        ((("1", "crane"),), (0,)),
        ((("7",),), ()),  # a class is called so here, and none there
        ((("0|4",),), (2, 1)),
        ((("0",), ("lion",)), (2, 3)),
        ((("9", "lion"),), (3,)),
        ((("2",),), ()),
    ],
)
def test_by_name(said: tuple[tuple[str, ...], ...], index: tuple[int, ...]) -> None:
    """What an index means in one model is found in another model by identifier, name or synonym."""
    other = Classes(
        [Label("crane", "n02012849"), Label("wading bird"), Label("cat", "n02123159"), Label("lion")],
        indices=False,
    )

    assert other.all_of(CLASSES.by_name(said)) == index
