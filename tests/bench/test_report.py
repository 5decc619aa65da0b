"""Rounds become a table, targets that are held or not, and bars."""

import re
from xml.etree import ElementTree as ET

import pytest

from bench.bare import Bare
from bench.contestant import Contestant
from bench.courses import MAIN, Course
from bench.plot import bars
from bench.report import report
from bench.rounds import Figures, Results
from bench.run import Load

SVG = "{http://www.w3.org/2000/svg}"


def figures(rate: float, p99: float = 90.0, pss: float = 200.0, many: float | None = None) -> Figures:
    """A round of a contestant that is as quick at any number of connections."""
    return Figures(1.0, {count: Load(rate, 11.0, p99) for count in (1, 8, 32)}, pss, 5.0, many)


@pytest.fixture
def results() -> Results:
    """Three rounds in which the machine slows down, and everybody with it."""
    service, flask, hello, cached, other = (
        Contestant(
            key,
            f"the {key}",
            (),
            computes=key not in {"hello", "cached"},
            dependencies=("flask",) if key == "flask_sync" else None,
        )
        for key in ("service", "flask_sync", "hello", "cached", "other")
    )
    return Results(
        course=Course(MAIN, "A course"),
        bare=[Bare(rate, 20.0, 282) for rate in (100.0, 50.0, 80.0)],
        alone=[Bare(rate, 10.0, 282) for rate in (60.0, 60.0, 60.0)],
        figures={
            flask: [figures(rate) for rate in (90.0, 45.0, 72.0)],
            service: [figures(rate, pss=300.0, many=10.0) for rate in (96.0, 48.0, 76.8)],
            hello: [figures(1000.0)] * 3,
            cached: [figures(710.0)] * 3,
        },
        absent={other: "no luck"},
    )


def targets(text: str) -> dict[str, tuple[str, str]]:
    """The second table: figure and verdict by target."""
    rows = re.findall(r"^\| (.+) \| (.+) \| (.+) \|$", text.split("| target | measured | |")[1], re.MULTILINE)
    return {target: (measured, verdict.strip("*")) for target, measured, verdict in rows}


def test_targets(results: Results) -> None:
    """Each target is compared with what was measured, with the bare pipeline round by round."""
    found = targets(report([results]))

    assert found["images/s at 8 connections >= 0.90 of the bare loop"] == ("0.960", "held")
    assert found["median at 1 connection within 2 ms of one bare image"] == ("+1.00 ms", "held")
    assert found["p99 at 8 connections <= 1.3 of the ideal"] == ("0.86", "held")
    assert found["first of all contestants at connections: 32"] == ("76.8; the flask_sync: 72.0", "held")
    assert found["answers from the cache at connections: 8 >= 0.70 of the hello world's rate"] == (
        "0.71",
        "held",
    )
    assert found["memory <= 1.25 of the naive Flask's"] == ("1.50", "not held")
    (many,) = (row for target, row in found.items() if "32 in one request" in target)
    assert many == ("10.00 ms to 13.02 ms", "held")


def test_missed(results: Results) -> None:
    """A target that was missed says so."""
    (service,) = (one for one in results.figures if one.key == "service")
    results.figures[service] = [figures(rate, p99=500.0) for rate in (89.0, 44.0, 71.0)]
    found = targets(report([results]))

    assert found["images/s at 8 connections >= 0.90 of the bare loop"] == ("0.887", "not held")
    assert found["first of all contestants at connections: 8"][1] == "not held"
    assert found["p99 at 8 connections <= 1.3 of the ideal"][1] == "not held"


def test_rows(results: Results) -> None:
    """The quickest stands first, those that know the answer stand last, and who took no part says why."""
    table = report([results]).split("| target | measured | |")[0]
    rows = [line for line in table.splitlines() if line.startswith("| ")]
    names = [row.split(" | ")[0].removeprefix("| ") for row in rows[2:]]

    assert names == [
        "bare loop", "the service", "the flask_sync", "the hello", "the cached", "the other",
    ]  # fmt: skip
    assert "no luck" in rows[-1]
    assert len({row.count("|") for row in rows}) == 1


def test_bars(results: Results) -> None:
    """The plot has a bar for each rate, as long as the rate, and the bare pipeline as a line."""
    drawn = ET.fromstring(bars(results))
    # The first four are the ground and the key to the colours.
    widths = [float(bar.attrib["width"]) for bar in list(drawn.iter(f"{SVG}rect"))[4:]]
    line = drawn.find(f"{SVG}path")

    assert len(widths) == 6
    assert widths[0] / widths[3] == pytest.approx(76.8 / 72.0, abs=0.01)
    assert line is not None
