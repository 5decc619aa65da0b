"""The table of promises and the markers on the tests say the same."""

import re
from pathlib import Path

from tools.promises import DOCUMENT, ROOT, ROW, marked, written

PROMISES = {"S": 16, "I": 8, "M": 14, "U": 13, "G": 12, "C": 7, "O": 7, "A": 10}
"""How many rows of each letter the document has."""


def test_marked(tmp_path: Path) -> None:
    """Markers are found on functions and methods, with one promise or several, and nothing is imported."""
    tests = tmp_path / "tests"
    tests.mkdir()
    (tests / "test_it.py").write_text(
        "raise ImportError\n"
        "@pytest.mark.promise('S1', 'S2')\ndef test_one(): ...\n"
        "class TestMore:\n    @pytest.mark.promise('S2')\n    def test_two(self): ...\n"
        "@pytest.mark.live\ndef test_other(): ...\n"
    )

    assert marked(tests) == {
        "S1": ["tests/test_it.py::test_one"],
        "S2": ["tests/test_it.py::test_one", "tests/test_it.py::TestMore::test_two"],
    }


def test_written() -> None:
    """Only the column of the tests changes."""
    before = "# S\n\n| S1 | It holds | 0 of 5 | |\n| S2 | So does it | 1 s | old |\n"

    after = written(before, {"S1": ["tests/test_it.py::test_one", "tests/test_it.py::TestMore::test_two"]})

    assert after == (
        "# S\n\n| S1 | It holds | 0 of 5 | [`test_one`](../tests/test_it.py), "
        "[`TestMore::test_two`](../tests/test_it.py) |\n| S2 | So does it | 1 s |  |\n"
    )


def test_document() -> None:
    """The document has the tests that the markers name: else run `python -m tools.promises`."""
    document = DOCUMENT.read_text()

    assert document == written(document, marked(ROOT / "tests"))


def test_every_promise() -> None:
    """Each promise has its row, in order, with a figure and at least one test; no marker names another."""
    rows = [match.groups() for match in ROW.finditer(DOCUMENT.read_text())]

    assert [row for row, *_ in rows] == [
        f"{letter}{number}" for letter, count in PROMISES.items() for number in range(1, count + 1)
    ]
    assert [
        row for row, sentence, figure, tests in rows if not (sentence and figure and "test" in tests)
    ] == []
    assert marked(ROOT / "tests").keys() == {row for row, *_ in rows}
    assert len(re.findall(r"\[`", DOCUMENT.read_text())) > 150
