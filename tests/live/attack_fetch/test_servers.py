"""Servers that send too slowly, too much or too little, and what they cost the service."""

import pytest

from tests.live.attack_fetch.conftest import Watch
from tests.live.attack_fetch.inside import SECONDS
from tests.live.attack_fetch.places import OTHER_PORTS, PUBLIC
from tests.live.attack_fetch.world import World

pytestmark = pytest.mark.slow

MEGA = 1_000_000
SLOW = [
    "http://pub.test/slow/silence", "http://pub.test/slow/status", "http://pub.test/slow/header",
    "http://pub.test/slow/headers", "http://pub.test/slow/continue", "http://pub.test/slow/continue-flood",
    "http://pub.test/slow/body", "http://pub.test/slow/body-without-length", "http://pub.test/slow/chunks",
    "http://pub.test/slow/redirect", "http://pub.test/slow/redirect-to-flood", "https://drip-tls.test/", "https://silent-tls.test/",
]  # fmt: skip
COSTLY = {
    "/huge": "image_too_large",
    "/endless": "image_too_large",
    "/endless-chunks": "image_too_large",
    "/gzip": "image_too_large",
    "/deflate": "image_too_large",
    "/empty-streams": "fetch_failed",
    "/nested": "fetch_failed",
    "/brotli": "fetch_failed",
    "/transfer": "fetch_failed",
    "/away-endless": None,
    "/away-gzip": None,
    "/headers": "fetch_failed",
    "/chunk-line": "fetch_failed",
}


@pytest.mark.promise("S7")
def test_environment(world: World, watch: Watch) -> None:
    """S7: proxies and passwords in the service's environment play no part."""
    answers = world.predict("http://pub.test/cat.jpg?direct", "https://right.test/cat.jpg?direct")
    seen = watch.seen()

    assert [answer.status for answer in answers] == [200, 200]
    assert sorted(seen.reached) == [(PUBLIC, 80), (PUBLIC, 443)]
    assert not {port for _, port in seen.reached} & set(OTHER_PORTS)
    assert all("authorization" not in head.lower() for _, head in seen.heads)


@pytest.mark.promise("S8")
def test_slow_servers(world: World) -> None:
    """S8: twenty downloads that drip all end when their time is over, in the same workers as before."""
    workers = world.ask("workers")
    urls = (SLOW * 2)[:20]

    answers = world.predict(*urls, threads=20)
    probes = world.get("/healthz", times=20)

    assert {(answer.status, answer.code) for answer in answers} == {(504, "fetch_timeout")}
    assert all(answer.seconds > SECONDS - 0.5 for answer in answers)
    assert world.ask("workers") == workers
    assert {probe.status for probe in probes} == {200}


@pytest.mark.promise("S9")
def test_silent_name_server(world: World) -> None:
    """S9: a name whose question nobody answers costs two seconds, not the whole time of a download."""
    answers = world.predict(*(f"http://slow.test/{n}" for n in range(4)), threads=4)

    assert {(answer.status, answer.code) for answer in answers} == {(504, "fetch_timeout")}
    assert min(answer.seconds for answer in answers) < SECONDS


@pytest.mark.promise("S9")
def test_lookups_end(world: World) -> None:
    """S9: lookups that nobody answers free their places, so that after many of them names are found again."""
    lost = world.predict(*(f"http://slow.test/many-{n}" for n in range(96)), threads=32)
    found = world.predict(*(f"http://pub.test/cat.jpg?after-{n}" for n in range(8)))

    assert {answer.code for answer in lost} == {"fetch_timeout"}
    assert {answer.status for answer in found} == {200}


@pytest.mark.promise("S10", "S11", "S12", "S13")
@pytest.mark.parametrize("path", COSTLY)
def test_memory(world: World, path: str) -> None:
    """S10 to S13: a body too large, inflated or not, endless or beside a redirect is refused and not kept."""
    warm = world.predict(*(f"http://pub.test{path}?warm-{n}" for n in range(16)))
    before = world.ask("memory")
    answers = world.predict(*(f"http://pub.test{path}?{n}" for n in range(30)))
    after = world.ask("memory")

    assert {answer.code for answer in warm + answers} == {COSTLY[path]}
    for was, now in zip(before, after, strict=True):
        assert now["private"] - was["private"] < 32 * MEGA
        assert now["peak"] - was["resident"] < 32 * MEGA


@pytest.mark.promise("S13")
def test_tiny_chunks(world: World) -> None:
    """S13: a million chunks of one byte end within the time of a download, and are not kept."""
    world.predict("http://pub.test/tiny-chunks?warm")
    before = world.ask("memory")
    answers = world.predict(*(f"http://pub.test/tiny-chunks?{n}" for n in range(3)))
    after = world.ask("memory")

    assert {answer.code for answer in answers} <= {"fetch_failed", "fetch_timeout"}
    for was, now in zip(before, after, strict=True):
        assert now["peak"] - was["resident"] < 32 * MEGA


@pytest.mark.promise("S14")
@pytest.mark.parametrize("name", ["wrong", "unknown", "expired", "old-tls"])
def test_untrusted_server(world: World, watch: Watch, name: str) -> None:
    """S14: another name, an unknown authority, an old certificate or old TLS end before any request."""
    answer, *_ = world.predict(f"https://{name}.test/cat.jpg")
    seen = watch.seen()

    assert (answer.status, answer.code) == (502, "fetch_failed")
    assert [port for _, port in seen.reached] == [443]
    assert seen.heads == []


@pytest.mark.promise("S14")
def test_trusted_server(world: World, watch: Watch) -> None:
    """S14: a server is asked for, and verified as, the host of the URL."""
    answer, *_ = world.predict("https://right.test/cat.jpg?trusted")
    seen = watch.seen()

    assert answer.status == 200
    assert seen.tls_names == ["right.test"]
    assert [head.split("\r\n")[1] for _, head in seen.heads] == ["Host: right.test"]
