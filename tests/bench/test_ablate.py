"""The ablation: what is switched off is there, ratios and lost requests are counted right."""

import os
import subprocess
import sys
from collections.abc import Mapping

import pytest

from bench.ablate import client, patches
from bench.ablate.processes import processor_seconds, ticks
from bench.ablate.replaced import KILL, NEITHER, RELOAD, lost_by
from bench.ablate.rounds import rounds
from bench.ablate.rows import ROWS, VARIABLE, WHOLE, Row, of_scenario
from bench.ablate.table import Measured, Round, of_whole, table, total
from bench.run import PICTURE, ROOT, running
from tests.live.raw import exchange

WITHOUT, BROKEN = Row("without", "without it", "rate"), Row("broken", "broken", "rate")
ROUNDS: list[Round] = [
    {WHOLE: {"images/s": 100.0, "lost": 0}, "without": {"images/s": 90.0, "lost": 2}},
    {WHOLE: {"images/s": 50.0, "lost": 0}, "without": {"images/s": 60.0, "lost": 1}},
    {"without": {"images/s": 999.0, "lost": 4}},
]


def test_patches() -> None:
    """Each patch finds what it changes; one whose mechanism is gone has to be removed with it."""
    program = "import sys; from bench.ablate.rows import try_patches; try_patches(sys.argv[1:])"

    done = subprocess.run(
        [sys.executable, "-c", program, *(row.key for row in ROWS)],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr


def test_gone() -> None:
    """A name that is not there, or only inherited, is an error."""

    class Base:
        def method(self) -> None: ...

    class Own(Base):
        attribute = 1

    patches.replace(Own, "attribute", 2)
    assert Own.attribute == 2
    with pytest.raises(LookupError, match="Own has no method"):
        patches.replace(Own, "method", None)
    with pytest.raises(LookupError, match="Own has no method"):
        patches.inherit(Own, "method")


def test_inherited() -> None:
    """Without a class's own method the inherited one is used."""

    class Base:
        def method(self) -> str:
            return "inherited"

    class Own(Base):
        def method(self) -> str:
            return "own"

    patches.inherit(Own, "method")

    assert Own().method() == "inherited"


def test_rows() -> None:
    """Each scenario begins with the whole, with which a choice of rows is compared as well."""
    scenarios = {name for row in ROWS for name in row.scenarios.split()}

    assert len({row.key for row in ROWS}) == len(ROWS)
    assert {of_scenario(name)[0].key for name in scenarios} == {WHOLE}
    assert [row.key for row in of_scenario("rate", ["stock", "rest"])] == [WHOLE, "stock"]


def test_ticks() -> None:
    """Processor time is found although a program's name may look like other fields."""
    stat = "42 (a) b (c) S 1 42 42 0 -1 4194560 900 0 3 0 250 31 7 8 20 0 4 0 1234 567 89"

    assert ticks(stat) == 281


def test_processor_seconds() -> None:
    """Time that a process has spent counts; a process that is gone counts nothing."""
    with subprocess.Popen([sys.executable, "-c", ""]) as gone:
        pass
    start = processor_seconds([os.getpid()])
    while processor_seconds([os.getpid(), gone.pid]) < start + 0.05:
        pass

    assert processor_seconds([gone.pid]) == 0


def test_of_whole() -> None:
    """A ratio is of one round; a round without the whole has none."""
    assert of_whole(ROUNDS, "without", "images/s") == pytest.approx((0.9 + 1.2) / 2)
    assert of_whole(ROUNDS, "broken", "images/s") is None
    assert of_whole(ROUNDS, "without", "lost") is None
    assert total(ROUNDS, "without", "lost") == 7
    assert total(ROUNDS, "broken", "lost") is None


def test_table() -> None:
    """The whole stands in its units, others as ratios, lost requests as sums, failures with their reason."""
    whole = Row(WHOLE, "as it is", "rate")
    failed = {WHOLE: "too slow", "broken": "no luck"}
    lines = table(Measured([whole, WITHOUT, BROKEN], ROUNDS, failed)).splitlines()

    assert lines[0] == "| | images/s | lost |"
    assert lines[2] == "| as it is (**failed in 1 of 3 rounds**: too slow) | 75.0 | 0 |"
    assert lines[3] == "| without it | 1.050 | 7 |"
    assert lines[4] == "| broken (**failed in 3 of 3 rounds**: no luck) |  |  |"
    assert {line.count("|") for line in lines} == {4}


def test_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every second round goes backwards, and a row that fails leaves its place empty."""
    monkeypatch.setenv(VARIABLE, "")
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "")
    order = list[str]()

    def measure() -> Mapping[str, float]:
        order.append(os.environ[VARIABLE])
        if order[-1] == "broken":
            raise RuntimeError("a | long\n log")
        return {"images/s": 1.0}

    measured = rounds([WITHOUT, BROKEN], measure, 2)

    assert order == ["without", "broken", "broken", "without"]
    assert measured.rounds == [{"without": {"images/s": 1.0}}] * 2
    assert measured.failed == {"broken": "RuntimeError: a / long log"}


def test_lost_by() -> None:
    """A request is lost by the event before it, or by none."""
    events = [(10.0, RELOAD), (20.0, KILL), (30.0, RELOAD)]

    assert lost_by(events, [9.9, 10.0, 19.9, 20.1, 21.0, 29.0, 99.0]) == {RELOAD: 3, KILL: 3, NEITHER: 1}
    assert lost_by(events, []) == {RELOAD: 0, KILL: 0, NEITHER: 0}


@pytest.mark.parametrize(
    ("pieces", "found"),
    [
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"], (True, True)),
        ([b"HTTP/1.1 200 OK\r\ncontent-le", b"ngth: 4\r\n\r", b"\nab", b"cd"], (True, True)),
        ([b"HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"], (True, False)),
        ([b"HTTP/1.1 503 Busy\r\nContent-Length: 2\r\n\r\nno"], (False, True)),
        ([b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nab"], (False, False)),
        ([b"HTTP/1.1 200 OK\r\nContent-"], (False, False)),
        ([], (False, False)),
    ],
)
def test_answered(pieces: list[bytes], found: tuple[bool, bool]) -> None:
    """Only a whole answer with status 200 counts; a connection that is to be closed is not used again."""
    left = iter(pieces)

    assert client.answered(lambda _: next(left, b"")) == found


@pytest.mark.live
def test_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    """The service starts by the project's own configuration, answers, and is without the row's mechanism."""
    monkeypatch.setenv(VARIABLE, "refusals")
    monkeypatch.setenv("GUNICORN_CMD_ARGS", "--config bench/ablate/server.py")

    with running(cache="off") as service:
        answer = service.post("/predict", data=PICTURE.read_bytes(), headers={"Content-Type": "image/jpeg"})
        refused = exchange(service.port, b"GET / nonsense\r\n\r\n")

    assert answer.status_code == 200
    assert b"400 Bad Request" in refused
    assert b"text/html" in refused
