"""A run says how far it is, and ends with a sentence if it stands still."""

import io
from threading import Event

from predictor.bulk import progress
from predictor.bulk.progress import Progress
from tests.patience import PATIENCE


class Terminal(io.StringIO):
    """A terminal that says when something was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Event()

    def isatty(self) -> bool:
        """It is one."""
        return True

    def write(self, text: str) -> int:
        """Write, and say so."""
        written = super().write(text)
        if " left" in text:
            self.seen.set()
        return written


def test_line() -> None:
    """On a terminal one line says the images, their number per second and the time left."""
    out = Terminal()

    with Progress(1000, 100, PATIENCE, "It hangs.", out=out) as run:
        run.add(50)
        assert out.seen.wait(PATIENCE)
        run.say("The end.")

    assert "\r\x1b[KImages: 150 of 1000, " in out.getvalue()
    assert " images/s, " in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[KThe end.\n")
    assert "hangs" not in out.getvalue()
    assert run.rate > 0


def test_no_progress() -> None:
    """A run that does nothing for too long says its sentence and ends."""
    out, ended = io.StringIO(), Event()

    with Progress(10, 0, 0.05, "It hangs.", out=out, end=ended.set):
        assert ended.wait(PATIENCE)

    assert out.getvalue() == "It hangs.\n"


def test_times() -> None:
    """Long times are hours and minutes, short ones minutes and seconds."""
    assert [progress.in_words(seconds) for seconds in (5.4, 65, 3600, 90_061)] == [
        "0 min 05 s",
        "1 min 05 s",
        "1 h 00 min",
        "25 h 01 min",
    ]
