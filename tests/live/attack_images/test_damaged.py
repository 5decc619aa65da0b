"""I3 and I4: damaged and cut off images, by the hundred."""

import base64

import pytest

from tests.image.mutants import mutant, singles
from tests.live.attack_images.conftest import Target

pytestmark = pytest.mark.live
MUTANTS = 200


@pytest.mark.promise("I3")
def test_damaged(target: Target) -> None:
    """Damaged images of all formats are answered or refused, each within a moment."""
    answers = [target.send(mutant(number)) for number in range(1_000_000, 1_000_000 + MUTANTS)]

    assert {answer.status for answer in answers} <= {200, 413, 415, 422}
    assert {200, 422} <= {answer.status for answer in answers}
    assert max(answer.seconds for answer in answers) < 3


@pytest.mark.promise("I3")
def test_damaged_beside_good(target: Target) -> None:
    """Among damaged ones a good image keeps its place and its answer."""
    good = singles()["PNG rgb"]
    alone = target.send(good).said
    sent = [good if place % 4 == 0 else mutant(place) for place in range(32)]

    results = target.post(
        "/predict", json={"images": [base64.b64encode(picture).decode() for picture in sent]}
    ).json()["results"]

    assert len(results) == 32
    assert {result.get("predicted_label") for result in results[::4]} == {alone}


@pytest.mark.promise("I4")
@pytest.mark.parametrize("name", sorted(singles()))
def test_cut_off(target: Target, name: str) -> None:
    """10 to 90 percent of an image are refused with a clear 4xx, never a guess on half an image."""
    data = singles()[name]

    answers = [target.send(data[: len(data) * percent // 100]) for percent in range(10, 100, 10)]

    assert {answer.status for answer in answers} <= {415, 422}
