"""What the service tells about inner targets, and what happens when it is pointed at itself."""

import statistics
from urllib.parse import quote

import pytest

from tests.live.attack_fetch.conftest import Watch
from tests.live.attack_fetch.places import FULL, OWN
from tests.live.attack_fetch.world import World

pytestmark = pytest.mark.slow

OPEN, CLOSED, SILENT = "10.9.9.9", "10.254.0.1", FULL


@pytest.mark.promise("S15")
def test_no_oracle(world: World, watch: Watch) -> None:
    """S15: an inner target that answers, one that refuses and one that is not there cannot be told apart."""
    targets = [OPEN, CLOSED, SILENT, "priv.test"]
    turns = [f"http://{target}/{number}" for number in range(200) for target in targets]

    answers = world.predict(*turns)

    assert {answer.body for answer in answers} == {answers[0].body}
    # Whether a connection is kept hangs on how many others its worker has.
    kept = [tuple(line for line in answer.headers if not line.startswith("Connection")) for answer in answers]
    assert set(kept) == {kept[0]}
    assert not any(target in answers[0].body for target in targets)
    medians = [statistics.median(a.seconds for a in answers[place :: len(targets)]) for place in range(3)]
    assert max(medians) - min(medians) < max(0.03, min(medians) / 2)
    assert watch.seen().reached == []


@pytest.mark.promise("S16")
def test_circle(world: World, watch: Watch) -> None:
    """S16: an address of the service itself inside an address of the service itself is asked once."""
    url = "http://own.test/cat.jpg"
    for _ in range(5):
        url = f"http://own.test/predict?image_url={quote(url, safe='')}"

    answer, *_ = world.predict(url)

    assert answer.code == "fetch_failed"
    assert watch.seen().reached == [(OWN, 80)]


@pytest.mark.promise("S16")
def test_circle_by_redirect(world: World, watch: Watch) -> None:
    """S16: a redirect back to the service ends there as well."""
    answer, *_ = world.predict("http://pub.test/redirect?http://own.test/predict?image_url=http://pub.test/")

    assert answer.code == "fetch_failed"
    assert [address for address, _ in watch.seen().reached].count(OWN) == 1


@pytest.mark.promise("S16")
def test_many_circles(world: World) -> None:
    """S16: more downloads from itself than the service has threads end in time, and leave it as it was."""
    workers = world.ask("workers")

    answers = world.predict(*(f"http://own.test/?{number}" for number in range(48)), threads=48)
    picture, *_ = world.predict("http://pub.test/cat.jpg?after-circles")
    probes = world.get("/healthz", times=10)

    assert {answer.code for answer in answers} <= {"unsupported_image", "fetch_timeout", "fetch_failed"}
    assert picture.status == 200
    assert {probe.status for probe in probes} == {200}
    assert world.ask("workers") == workers
