"""Addresses that lead inwards: by spelling, by name, by rebinding, by redirect, by a parser's mistake."""

import statistics
from urllib.parse import quote

import pytest

from tests.live.attack_fetch.conftest import Watch
from tests.live.attack_fetch.inside import SECONDS
from tests.live.attack_fetch.places import HIDDEN, OPENED, OTHER_PORTS, PUBLIC, PUBLIC_NAT64
from tests.live.attack_fetch.spellings import sample
from tests.live.attack_fetch.world import Answer, World

pytestmark = pytest.mark.slow

INNER = ("127.0.0.1", "10.9.9.9", "169.254.169.254", "0.0.0.0")
REFUSALS = {"invalid_request", "fetch_blocked"}
NOTHING_THERE = {"fetch_failed"}  # a name that nobody knows

SPELLINGS = [
    "127.0.0.1", "127.1", "127.0.1", "2130706433", "017700000001", "0x7f000001", "0177.0.0.1",
    "0x7f.0.0.1", "0x7f.1", "00000177.0.0.01", "127.000.000.001", "127.127.127.127", "0", "0x0", "00",
    "0.0.0.0", "localhost", "LOCALHOST", "%6c%6fcalhost", "%31%32%37.0.0.1", "[::1]", "[::]",
    "[0:0:0:0:0:0:0:1]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]",
    "[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "169.254.169.254", "2852039166", "0xA9FEA9FE",
    "0251.0376.0251.0376", "168.63.129.16", "100.64.0.1", "192.168.1.1", "172.16.0.1", "10.9.9.9",
    "198.18.0.1", "192.0.0.1", "192.88.99.1", "[fd00:ec2::254]", "[fe80::1]",
]  # fmt: skip
SPELLINGS_OF_NOTHING = [
    "127.0.0.1.", "\u2460\u2461\u2466.\u24ea.\u24ea.\u2460", "127\u30020\u30020\u30021",
    "127\uff0e0\uff0e0\uff0e1", "\uff11\uff12\uff17.\uff10.\uff10.\uff11", "127.0.0.1.pub.test.",
    "4294967296", "383.256.256.257", "0o177.0.0.1", "q177.0.0.1",
]  # fmt: skip

TRICKS = [
    "http://127.1.1.1:80\\@pub.test:80/", "http://127.1.1.1:80\\@@pub.test:80/",
    "http://127.1.1.1:80:\\@@pub.test/", "http://127.1.1.1:80#\\@pub.test:80/",
    "http://pub.test@127.0.0.1/", "http://pub.test:80@127.0.0.1/", "http://127.0.0.1@pub.test/",
    "http://pub.test#@127.0.0.1/cat.jpg", "http://pub.test?@127.0.0.1/cat.jpg",
    "http://127.0.0.1#@pub.test/", "http://127.0.0.1?@pub.test/", "http://pub.test;@127.0.0.1/",
    "http://1.1.1.1 &@2.2.2.2# @127.0.0.1/", "http://pub.test%00.127.0.0.1/",
    "http://127.0.0.1%00.pub.test/", "http://pub.test\x00@127.0.0.1/",
    "http://pub.test/\r\nHost: 127.0.0.1\r\nX-Evil: 1", "http://pub.test\r\nX-Evil: 1\r\n\r\n/",
    "http://pub.test/cat.jpg HTTP/1.1\r\nX-Evil: 1", "http://pub.test/%0d%0aX-Evil:%201",
    "http://pub.test/?%0d%0aX-Evil:%201", "http://pub.test%0d%0aX-Evil:%201/",
    "http://pub.test/\tX-Evil: 1", "http://pub.test/\u560d\u560aX-Evil: 1", "http:127.0.0.1",
    "http:/127.0.0.1", "http:///127.0.0.1", "http:\\\\127.0.0.1", "http://\\127.0.0.1", "//127.0.0.1/",
    "127.0.0.1", "http://", "http://[::1", "http://[::1]x/", "http://[127.0.0.1]/",
    "http://[::ffff:127.0.0.1%25lo]/", "http://0000::1:80/", "http://b\u00fccher.test/",
    "http://\u2025/etc/passwd", "http://pub\u3002test@127.0.0.1/", "http://pub.test\uff0f@127.0.0.1/",
    "http://pub.test\uff20127.0.0.1/", "http://127.0.0.1\uff0fpub.test/",
    "http://pub.test:80;127.0.0.1/", "http://localhost:+11211aaa", "http://localhost:00011211aaaa",
    "0://evil.test:80;http://pub.test:80/", "file:///etc/passwd", "file://\\/\\/etc/passwd",
    "jar:http://127.0.0.1!/", "netdoc:///etc/passwd", "dict://127.0.0.1:6379/CONFIG%20SET%20dir%20/",
    "gopher://127.0.0.1:6379/_save", "sftp://pub.test:22/", "tftp://pub.test:69/x",
    "ldap://localhost:389/%0astats%0aquit", "ftp://pub.test/cat.jpg", "unix:///run/docker.sock",
    "http+unix://%2Frun%2Fdocker.sock/info", "javascript:alert(1)",
]  # fmt: skip
HEADERS = ["Host", "User-Agent", "Accept", "Accept-Encoding", "Connection"]


def refused(answers: list[Answer]) -> bool:
    """Whether every address was refused in a documented way."""
    return all(answer.code in REFUSALS for answer in answers)


def test_control(world: World, watch: Watch) -> None:
    """An inner address that the settings open is reached, and the servers here write it down."""
    public, opened = world.predict("http://pub.test/cat.jpg?control", f"http://{OPENED}/cat.jpg?control")

    assert (public.status, opened.status) == (200, 200)
    assert sorted(watch.seen().reached) == [(OPENED, 80), (PUBLIC, 80)]


@pytest.mark.promise("S1")
def test_spellings(world: World, watch: Watch) -> None:
    """S1: an inner address is refused before any packet, however it is written, and at once."""
    answers = world.predict(*(f"{scheme}://{host}/" for scheme in ("http", "https") for host in SPELLINGS))
    nothing = world.predict(*(f"http://{host}/" for host in SPELLINGS_OF_NOTHING))

    assert [(a.status, a.code) for a in answers] == [(403, "fetch_blocked")] * 2 * len(SPELLINGS)
    assert {answer.code for answer in nothing} <= REFUSALS | NOTHING_THERE
    assert statistics.median(answer.seconds for answer in answers + nothing) < SECONDS / 2
    assert watch.seen().reached == []


@pytest.mark.promise("S1")
def test_many_spellings(world: World, watch: Watch) -> None:
    """S1: five hundred made-up spellings lead nowhere, or to what stands in them beside the inner address."""
    urls = sample(INNER, 500, seed=1)

    answers = world.predict(*urls, threads=8)

    assert {answer.code for answer in answers} <= REFUSALS | NOTHING_THERE
    assert sum(answer.code in REFUSALS for answer in answers) > 400
    assert watch.seen().reached == []


@pytest.mark.parametrize("port", OTHER_PORTS)
def test_ports(world: World, watch: Watch, port: int) -> None:
    """S1: other ports than the web's are refused, on public addresses as well."""
    assert refused(
        world.predict(f"http://pub.test:{port}/", f"http://{PUBLIC}:{port}/", f"http://127.0.0.1:{port}/")
    )
    assert watch.seen().reached == []


@pytest.mark.promise("S2")
def test_names(world: World, watch: Watch) -> None:
    """S2: a name of an inner address, or of a public and an inner one, is refused whole."""
    names = ["priv", "priv-six", "multi", "multi-last", "multi-six", "alias", "aliases", "localhost"]

    answers = world.predict(
        *(f"{scheme}://{name}.test/cat.jpg" for scheme in ("http", "https") for name in names)
    )

    assert {answer.code for answer in answers} == {"fetch_blocked"}
    assert watch.seen().reached == []


@pytest.mark.promise("S3")
def test_rebinding(world: World, watch: Watch) -> None:
    """S3: of a name whose answers alternate, the checked one is connected, after one question a download."""
    answers = world.predict(*(f"http://rebind.test/cat.jpg?{number}" for number in range(200)))
    seen = watch.seen()

    assert [answer.code for answer in answers] == [None, "fetch_blocked"] * 100
    assert seen.reached == [(PUBLIC, 80)] * 100
    assert seen.names.count(("rebind.test", "A")) == 200


@pytest.mark.promise("S3")
def test_rebinding_at_once(world: World, watch: Watch) -> None:
    """S3: the same holds for many downloads at once."""
    answers = world.predict(*(f"http://rebind.test/cat.jpg?at-once-{n}" for n in range(100)), threads=20)
    seen = watch.seen()

    assert sorted(str(answer.code) for answer in answers) == ["None"] * 50 + ["fetch_blocked"] * 50
    assert {address for address, _ in seen.reached} == {PUBLIC}
    assert seen.names.count(("rebind.test", "A")) == 100


@pytest.mark.promise("S4")
@pytest.mark.parametrize(
    "target",
    [
        "http://127.0.0.1/cat.jpg", "//10.9.9.9/cat.jpg", "file:///etc/passwd", "http://2130706433/cat.jpg",
        "https://169.254.169.254/latest/meta-data/", "http://[::ffff:10.9.9.9]/cat.jpg", "http://priv.test/",
        "http://multi.test/cat.jpg", "http://pub.test:6379/", "gopher://127.0.0.1:6379/_save",
        "http://pub.test@127.0.0.1/", "//user@pub.test/cat.jpg", "https://localhost/", "http://0/",
        "http://alias.test/cat.jpg",
    ],
)  # fmt: skip
def test_redirect(world: World, watch: Watch, target: str) -> None:
    """S4: where a redirect leads is checked like the address itself."""
    answer, *_ = world.predict(f"http://pub.test/redirect?{quote(target)}")

    assert (answer.status, answer.code) == (403, "fetch_blocked")
    assert watch.seen().reached == [(PUBLIC, 80)]


@pytest.mark.promise("S4")
def test_redirect_through_rebinding(world: World, watch: Watch) -> None:
    """S4: a redirect to the same name asks for the name again, and refuses its new answer."""
    answer, *_ = world.predict("http://rebind-late.test/redirect?/cat.jpg")
    seen = watch.seen()

    assert answer.code == "fetch_blocked"
    assert seen.reached == [(PUBLIC, 80)]
    assert seen.names.count(("rebind-late.test", "A")) == 2


@pytest.mark.promise("S4")
def test_redirect_limit(world: World, watch: Watch) -> None:
    """S4: five redirects are followed, a sixth ends the download, and so does a circle."""
    five, six, circle = world.predict(
        "http://pub.test/hop/4", "http://pub.test/hop/5", "http://pub.test/loop"
    )

    assert (five.status, six.code, circle.code) == (200, "fetch_failed", "fetch_failed")
    assert len(watch.seen().reached) == 6 + 6 + 6


@pytest.mark.promise("S5")
@pytest.mark.parametrize("name", HIDDEN)
def test_hidden_address(world: World, watch: Watch, name: str) -> None:
    """S5: an inner address inside of an IPv6 address is refused, written out, by name, and in a redirect."""
    address = HIDDEN[name]
    redirect = f"http://pub.test/redirect?{quote(f'http://[{address}]/')}"

    answers = world.predict(f"http://[{address}]/", f"https://[{address}]/", f"http://{name}/", redirect)

    assert {answer.code for answer in answers} == {"fetch_blocked"}
    assert watch.seen().reached == [(PUBLIC, 80)]


@pytest.mark.promise("S5")
def test_nat64(world: World, watch: Watch) -> None:
    """S5: a public host that DNS64 gave an IPv6 address is reached, by name and written out."""
    named, literal = world.predict(
        "http://only-four.test/cat.jpg?named", f"http://[{PUBLIC_NAT64}]/cat.jpg?literal"
    )

    assert (named.status, literal.status) == (200, 200)
    assert watch.seen().reached[-1] == (PUBLIC_NAT64, 80)


@pytest.mark.promise("S6")
def test_parser_tricks(world: World, watch: Watch) -> None:
    """S6: a URL that parsers read differently is refused, or read as it is connected; no header is added."""
    answers = world.predict(*TRICKS)
    seen = watch.seen()

    assert len(TRICKS) >= 40
    assert {answer.code for answer in answers} <= REFUSALS | NOTHING_THERE | {None}
    assert {address for address, _ in seen.reached} <= {PUBLIC}
    for _, head in seen.heads:
        lines = head.split("\r\n")
        assert [line.partition(":")[0] for line in lines[1:-2]] == HEADERS
        assert lines[1] == "Host: pub.test"
