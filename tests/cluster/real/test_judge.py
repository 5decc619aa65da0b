"""The verdict on answers of several machines."""

import pytest

from tests.cluster.real.judge import Upload, judge
from tests.live.load import Sent


def answer(sent: float, answered: float, label: str, status: int = 200) -> Sent:
    """An answer."""
    return Sent(sent, sent, answered, status, label)


def test_mixed_and_old() -> None:
    """An older answer is mixed after the first new one, old after the upload's 200; failures are counted."""
    sent = [
        answer(0.0, 0.1, "tiger cat"),
        answer(1.0, 1.1, "v001 3"),
        answer(1.3, 1.5, "tiger cat"),
        answer(2.1, 2.2, "tiger cat"),
        answer(2.3, 2.4, "overloaded", status=503),
        answer(3.0, 3.1, "v001 3"),
    ]

    found = judge(sent, [Upload(1, 2.0)])

    assert (found.requests, found.failed, found.old) == (6, 1, 1)
    (mixed,), (wide,) = found.mixed, found.wide
    assert mixed == pytest.approx(1.0)
    assert wide == pytest.approx(1.1)


def test_one_after_the_other() -> None:
    """Versions that follow each other without an overlap are not mixed."""
    sent = [answer(0.0, 0.1, "v001 3"), answer(1.0, 1.1, "v002 3"), answer(2.0, 2.1, "v003 3")]

    found = judge(sent, [Upload(2, 1.5), Upload(3, 2.5)])

    assert (found.failed, found.old, found.mixed) == (0, 0, [0.0, 0.0])
