"""Who asks for a name or version that does not answer is told why, and what there is."""

import pytest

from predictor.errors import ModelNotFound
from predictor.store.lookup import known, not_served, present
from predictor.store.state import Event, Name, State

ONE = Name(live=1, last=1, versions=(1,))
MANY = Name(live=12, last=12, versions=tuple(range(1, 13)))
STATE = State(names={"pets": ONE, "dogs": MANY})


def test_found() -> None:
    """What is there is given."""
    assert known(STATE, "pets") is present(STATE, "pets", 1) is ONE


def test_unknown_name() -> None:
    """The name that does not exist is not repeated; the sentence says where the names are."""
    with pytest.raises(ModelNotFound, match=r"^No model has that name; GET /models lists the models\.$"):
        known(STATE, "<b>")


@pytest.mark.parametrize("name", ["", "---", "猫"])
def test_nothing_meant(name: str) -> None:
    """A name of marks alone, or none, is like no other, not even like another one of marks."""
    with pytest.raises(ModelNotFound, match=r"^No model has that name; GET /models lists"):
        known(State(names={"-": ONE}), name)


@pytest.mark.parametrize("name", ["pet", "Pets", "petz"])
def test_misspelt_name(name: str) -> None:
    """The model that was probably meant is named."""
    with pytest.raises(
        ModelNotFound, match=r"^No model has that name; did you mean pets\? GET /models lists"
    ):
        known(STATE, name)


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "pets",
            "The model pets has no such version; it has version 1. GET /models/pets lists its versions.",
        ),
        ("dogs", "it has 12 versions, the newest are 8, 9, 10, 11 and 12. GET /models/dogs"),
    ],
)
def test_unknown_version(name: str, sentence: str) -> None:
    """The sentence names the versions that there are, or the newest of many."""
    with pytest.raises(ModelNotFound) as caught:
        present(STATE, name, 99)

    assert sentence in caught.value.detail


@pytest.mark.parametrize(
    ("found", "sentence"),
    [
        (ONE, "is being loaded or deleted at this moment; try again."),
        (
            Name(None, 1, (1,), history=(Event("", "unload", 1),)),
            "POST /v2/repository/models/pets/load loads",
        ),
        (Name(None, 2, (1, 2)), "POST /models/pets/activate. It has the versions 1 and 2."),
        (Name(None, 2, (1, 2), quarantined={2: "It crashed."}), "It has version 1."),
        (Name(None, 1, (1,), quarantined={1: "It crashed."}), "GET /models/pets says why."),
    ],
)
def test_not_served(found: Name, sentence: str) -> None:
    """A model that is there and does not answer: the sentence says why, and what makes it answer."""
    assert sentence in not_served("pets", found).detail
