"""The soak's judge: what counts as right, lost or grown."""

import io

import pytest
from PIL import Image

from bench.soak.judge import Events, Switch, lost_by_kill, tally
from bench.soak.load import Sent
from bench.soak.mix import KINDS, Maker
from bench.soak.report import Left, Soaked, report
from bench.soak.watch import Sample, by_minute, slope
from predictor.image.decode import Limits, decode

EVENTS = Events([Switch(0, 1, "A cat"), Switch(10, 12, "B cat")])
SAMPLE = Sample(0, 100, 50, 10, 10, 10)
MANY = ["A cat", "A cat", "invalid_image", "A cat"]


@pytest.mark.parametrize(
    ("sent", "answered", "label", "right"),
    [
        (2, 3, "A cat", True),
        (2, 3, "B cat", False),
        (9, 10.5, "A cat", True),
        (9, 10.5, "B cat", True),
        (11.9, 12.1, "A cat", True),
        (12.1, 12.2, "A cat", False),
        (12.1, 12.2, "B cat", True),
        (12.1, 12.2, "dog", False),
    ],
)
def test_labels(sent: float, answered: float, label: str, right: bool) -> None:
    """While a model is switched the old and the new one may answer; before and after, only one may."""
    assert EVENTS.right(Sent("body", sent, sent, answered, 200, [label])) is right


@pytest.mark.parametrize(
    ("kind", "status", "labels", "right"),
    [
        ("many", 200, MANY, True),
        ("many", 200, MANY[:3], False),
        ("many", 200, ["A cat", "A cat", "internal", "A cat"], False),
        ("cut picture", 422, ["invalid_image"], True),
        ("cut picture", 200, ["A cat"], False),
        ("page", 200, [], True),
        ("page", 500, [], False),
    ],
)
def test_statuses(kind: str, status: int, labels: list[str], right: bool) -> None:
    """Each kind of request has a right answer of its own."""
    assert EVENTS.right(Sent(kind, 2, 2, 3, status, labels)) is right


def test_share() -> None:
    """What is refused does not count; what is lost counts as not right."""
    statuses = (200, 200, 200, 503, 409, 0, 500)

    found = tally([Sent("page", 2, 2, 3, status, []) for status in statuses], EVENTS)

    assert [len(found.right), len(found.wrong), len(found.refused), len(found.lost)] == [3, 1, 2, 1]
    assert found.share == 3 / 5
    assert found.milliseconds(0.5) == 1000


@pytest.mark.promise("O6")
def test_lost() -> None:
    """A request is lost by a kill that came while it was under way or just before; or by none."""
    moments = [(4.9, 5.1), (5.1, 5.2), (7.0, 9.0), (19.0, 19.9)]
    lost = [Sent("body", sent, sent, answered, 0, []) for sent, answered in moments]

    assert lost_by_kill(lost, [5.0, 20.0]) == ([2, 0], 2)


@pytest.mark.parametrize(("proxied", "kept"), [(1, True), (2, False)])
def test_behind_nginx(proxied: int, kept: bool) -> None:
    """Behind nginx a death may cost one request; those that were sent directly are counted apart."""
    lost = [
        Sent("body", 19.9, 19.9, 20.1, 503, ["not_ready"], proxied=True)
        if number < proxied
        else Sent("body", 19.9, 19.9, 20.1, 0, [])
        for number in range(4)
    ]
    right = [Sent("body", 15, 15, 15.1, 200, ["B cat"], proxied=True)] * 9000
    soaked = Soaked(
        1, 2, 1, right + lost, Events(EVENTS.switches, kills=[20.0]), [SAMPLE, SAMPLE], Left(0, 0, 0, 0, 0, 2)
    )

    lines, all_kept = report(soaked)

    assert all_kept is kept
    assert any(line.startswith(f"lost by each kill directly: [{4 - proxied}]") for line in lines)
    assert any(line.startswith(f"lost by each kill behind nginx: [{proxied}]") for line in lines)


@pytest.mark.promise("O6")
def test_slope() -> None:
    """Growth is that of the minutes' middle values, so that single samples do not count."""
    samples = [Sample(3 * n, 1000.0 if n % 10 == 0 else 100 + n // 20, 0, 0, 0, 0) for n in range(200)]

    assert by_minute(samples, "total_mb") == [100 + minute for minute in range(10)]
    assert slope(by_minute(samples, "total_mb")) == pytest.approx(1)
    assert slope([5.0]) == 0


def test_fresh_pictures() -> None:
    """A fresh image has other bytes than the image, and the same pixels."""
    buffer = io.BytesIO()
    Image.effect_noise((64, 48), 50).convert("RGB").save(buffer, "JPEG")
    maker = Maker(buffer.getvalue(), "http://127.0.0.1:1")

    one, other = maker.fresh(), maker.fresh()

    assert len({one, other, buffer.getvalue()}) == 3
    assert decode(one, Limits()).tobytes() == decode(buffer.getvalue(), Limits()).tobytes()


def test_mix() -> None:
    """Every kind is sent."""
    maker = Maker(bytes(5000), "http://127.0.0.1:1", seed=1)

    assert {maker.next()[0] for _ in range(1000)} == set(KINDS)
