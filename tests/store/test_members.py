"""Workers are counted as long as they live, and those that native code brings down are told."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from predictor.errors import InvalidModel, NotReady
from predictor.store.members import Dead, Member, Report, Roster

_WORKER = """
import ctypes, faulthandler, os, sys, time
from pathlib import Path
from predictor.store.members import Roster
member = Roster(Path(sys.argv[1])).join()
member.serve(3)
member.ready(4)
faulthandler.enable(member.words)
with member.running("default/2"):
    if sys.argv[2] == "crash":
        ctypes.string_at(0)
    if sys.argv[2] == "words":
        member.say("It ended itself.")
        os._exit(70)
    if sys.argv[2] == "killed":
        os.kill(os.getpid(), 9)
if sys.argv[2] == "idle":
    ctypes.string_at(0)
print("up", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where the pages lie."""
    made = tmp_path / "workers"
    made.mkdir()
    return made


@pytest.fixture
def other(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A living worker in a process of its own."""
    command = [sys.executable, "-c", _WORKER, str(folder), "live"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "up\n"
        yield process
        process.kill()


def end(folder: Path, how: str) -> None:
    """Have a worker come and go."""
    command = [sys.executable, "-c", _WORKER, str(folder), how]
    subprocess.run(command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, check=False)


def test_living(folder: Path, other: "subprocess.Popen[str]") -> None:
    """A living worker's report is read as long as it lives, and not a moment longer."""
    roster = Roster(folder)

    assert [(report.serving, report.ready) for report in roster.living()] == [(3, 4)]

    other.kill()
    other.wait()
    assert roster.living() == []


def test_reports(folder: Path) -> None:
    """What a worker says of itself is what others read."""
    roster = Roster(folder)
    member = roster.join()
    assert [report.serving for report in roster.living()] == [0]

    member.serve(4)
    member.ready(5)
    member.refuse(6, InvalidModel("No."))
    (report,) = roster.living()
    assert isinstance(report, Report)
    assert (report.serving, report.ready, report.refused) == (4, 5, 6)
    assert isinstance(report.refusal, InvalidModel)
    assert report.refusal.detail == "No."

    member.refuse(7, NotReady("ä" * 2000))
    (report,) = roster.living()
    assert isinstance(report.refusal, NotReady)
    assert report.refusal.detail.startswith("ä" * 500)


def test_leaves_in_peace(folder: Path) -> None:
    """A worker that ends well leaves nothing to look after."""
    member = Roster(folder).join()
    member.leave()

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("how", "word"), [("crash", "Segmentation fault"), ("words", "It ended itself.")])
def test_brought_down(folder: Path, how: str, word: str) -> None:
    """A worker that native code brings down, or that ends itself, is told once, with what it ran."""
    end(folder, how)
    roster = Roster(folder)

    (dead,) = roster.bury()

    assert isinstance(dead, Dead)
    assert dead.running == {"default/2"}
    assert word in dead.words
    assert roster.bury() == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("how", ["killed", "idle", "well"])
def test_other_ends(folder: Path, how: str) -> None:
    """Killed from outside, or brought down while no model was at work: no model is to blame."""
    end(folder, how)
    roster = Roster(folder)

    assert roster.bury() == []
    assert list(folder.iterdir()) == []


def test_the_living_are_not_buried(folder: Path, other: "subprocess.Popen[str]") -> None:
    """A living worker keeps its page."""
    roster = Roster(folder)

    assert roster.bury() == []
    assert len(roster.living()) == 1


def test_many_runs(folder: Path) -> None:
    """More runs at once than a page has lines are all run, and each line is free again."""
    member = Roster(folder).join()
    runs = [member.running(f"default/{number}") for number in range(60)]
    for run in runs:
        run.__enter__()
    for run in runs:
        run.__exit__(None, None, None)

    assert len(member._free) == 48


def test_no_folder(tmp_path: Path) -> None:
    """A worker that cannot have a page works on without one."""
    roster = Roster(tmp_path / "missing")
    member = roster.join()
    member.serve(1)
    with member.running("default/1"):
        member.say("Nobody hears this.")
    member.leave()

    assert roster.living() == []
    assert isinstance(member, Member)


def test_page_has_its_room(folder: Path) -> None:
    """The page takes its room at once: a later want of it would end the worker."""
    Roster(folder).join()
    page = next(
        path for path in folder.iterdir() if path.name.startswith(f"{os.getpid()}-") and not path.suffix
    )

    assert page.stat().st_blocks * 512 >= page.stat().st_size > 0
