"""Whatever people call a class leads to its index, and what is not clear leads nowhere."""

import pytest

from predictor.evaluation.classes import Classes
from predictor.model.labels import Label

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
