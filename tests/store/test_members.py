"""Workers are counted as long as they live, and those that native code brings down are told."""

import errno
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from predictor.errors import InvalidModel, NotReady
from predictor.store.members import CrashedWorker, WorkerRecord, WorkerRegistry, WorkerStatus

_WORKER = """
import ctypes, faulthandler, os, sys, time
from pathlib import Path
from predictor.store.members import WorkerRegistry
record = WorkerRegistry(Path(sys.argv[1])).register()
record.serve(3)
record.ready(4)
faulthandler.enable(record.crash_file)
if sys.argv[2] == "many":
    for most in (60, 48):
        runs = [record.running(f"default/{number}") for number in range(most)]
        for run in runs:
            run.__enter__()
        if most == 48:
            ctypes.string_at(0)
        for run in runs:
            run.__exit__(None, None, None)
with record.running("default/2"):
    if sys.argv[2] == "crash":
        ctypes.string_at(0)
    if sys.argv[2] == "words":
        record.report_crash("It ended itself.")
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
    workers = WorkerRegistry(folder)

    assert [(report.serving, report.ready) for report in workers.statuses()] == [(3, 4)]

    other.kill()
    other.wait()
    assert workers.statuses() == []


def test_reports(folder: Path) -> None:
    """What a worker says of itself is what others read."""
    workers = WorkerRegistry(folder)
    record = workers.register()
    assert [report.serving for report in workers.statuses()] == [0]

    record.serve(4)
    record.ready(5)
    record.refuse(6, InvalidModel("No."))
    (report,) = workers.statuses()
    assert isinstance(report, WorkerStatus)
    assert (report.serving, report.ready, report.refused) == (4, 5, 6)
    assert isinstance(report.refusal, InvalidModel)
    assert report.refusal.detail == "No."

    record.refuse(7, NotReady("ä" * 2000))
    (report,) = workers.statuses()
    assert isinstance(report.refusal, NotReady)
    assert report.refusal.detail.startswith("ä" * 500)


def test_leaves_in_peace(folder: Path) -> None:
    """A worker that ends well leaves nothing to look after."""
    record = WorkerRegistry(folder).register()
    record.deregister()

    assert list(folder.iterdir()) == []


@pytest.mark.parametrize(("how", "word"), [("crash", "Segmentation fault"), ("words", "It ended itself.")])
def test_brought_down(folder: Path, how: str, word: str) -> None:
    """A worker that native code brings down, or that ends itself, is told once, with what it ran."""
    end(folder, how)
    workers = WorkerRegistry(folder)

    (dead,) = workers.reap()

    assert isinstance(dead, CrashedWorker)
    assert dead.running == {"default/2"}
    assert word in dead.crash_reason
    assert workers.reap() == []
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("how", ["killed", "idle", "well"])
def test_other_ends(folder: Path, how: str) -> None:
    """Killed from outside, or brought down while no model was at work: no model is to blame."""
    end(folder, how)
    workers = WorkerRegistry(folder)

    assert workers.reap() == []
    assert list(folder.iterdir()) == []


def test_the_living_are_not_buried(folder: Path, other: "subprocess.Popen[str]") -> None:
    """A living worker keeps its page."""
    workers = WorkerRegistry(folder)

    assert workers.reap() == []
    assert len(workers.statuses()) == 1


def test_many_runs(folder: Path) -> None:
    """More runs at once than a page has lines are all run, and each line is free again."""
    end(folder, "many")

    (dead,) = WorkerRegistry(folder).reap()

    assert dead.running == {f"default/{number}" for number in range(48)}


def test_no_folder(tmp_path: Path) -> None:
    """A worker that cannot have a page works on without one."""
    workers = WorkerRegistry(tmp_path / "missing")
    record = workers.register()
    record.serve(1)
    with record.running("default/1"):
        record.report_crash("Nobody hears this.")
    record.deregister()

    assert workers.statuses() == []
    assert isinstance(record, WorkerRecord)


def test_read_only_file_system(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file system that is read-only refuses to remove what is not there, too; the worker works on."""

    def refuse(*_: object, **__: object) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(os, "open", refuse)
    monkeypatch.setattr(Path, "unlink", refuse)

    assert isinstance(WorkerRegistry(folder).register(), WorkerRecord)


def test_page_has_its_room(folder: Path) -> None:
    """The page takes its room at once: a later want of it would end the worker."""
    WorkerRegistry(folder).register()
    page = next(
        path for path in folder.iterdir() if path.name.startswith(f"{os.getpid()}-") and not path.suffix
    )

    assert page.stat().st_blocks * 512 >= page.stat().st_size > 0
