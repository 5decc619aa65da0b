"""Processes that work behind the requests give way to them, and do not outlive their time."""

import os
import platform
import re
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path

import pytest

from predictor import background
from tests.patience import PATIENCE


def command(code: str) -> list[str]:
    """A Python process that runs some code."""
    return [sys.executable, "-c", code]


def test_result() -> None:
    """The process gets its environment and what it is asked; what it writes and its exit code come back."""
    code = (
        "import os, sys; print(os.environ.get('A'), sys.stdin.read()); sys.stderr.write('why'); sys.exit(3)"
    )

    ended = background.run(command(code), {"A": "b"}, 60, b"asked", stderr=subprocess.PIPE)

    assert (ended.stdout, ended.stderr, ended.returncode) == (b"b asked\n", b"why", 3)


def test_gives_way() -> None:
    """It gives way to requests without having done anything for it."""
    code = "import os, sys; sys.stdin.read(); print(os.nice(0))"

    ended = background.run(command(code), {}, 60)

    assert int(ended.stdout) == min(os.nice(0) + background.NICENESS, 19)


@pytest.mark.skipif(
    tuple(map(int, re.findall(r"\d+", platform.release())[:2])) < (6, 12) or platform.machine() != "x86_64",
    reason="Linux before 6.12 ignores the time slice",
)
def test_long_time_slice() -> None:
    """It has the longest time slice, so that a request that wakes interrupts it at once."""
    code = (
        "import ctypes, struct, sys; sys.stdin.read(); out = ctypes.create_string_buffer(48);"
        "get = ctypes.CDLL(None).syscall(315, 0, out, 48, 0);"
        "print(get, struct.unpack('=IIQiIQQQ', out.raw)[5])"
    )

    ended = background.run(command(code), {}, 60)

    assert ended.stdout.split() == [b"0", b"100000000"]


def test_thread_gives_way() -> None:
    """A thread gives way to the others of its process."""
    found = list[int]()

    def work() -> None:
        background.give_way()
        found.append(os.nice(0))

    before = os.nice(0)
    thread = threading.Thread(target=work)
    thread.start()
    thread.join(PATIENCE)

    assert (os.nice(0), found) == (before, [min(before + background.NICENESS, 19)])


def test_killed(tmp_path: Path) -> None:
    """One that takes longer than its seconds is killed."""
    with pytest.raises(subprocess.TimeoutExpired):
        background.run([*command("import time; time.sleep(600)"), str(tmp_path)], {}, 0.5)

    assert not running(str(tmp_path))


def running(argument: str) -> bool:
    """Whether a process has an argument."""
    lines = set[bytes]()
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            lines.add(file.read_bytes())
    return any(argument.encode() in line for line in lines)


def test_not_started() -> None:
    """A command that does not exist is said to the caller."""
    with pytest.raises(FileNotFoundError):
        background.run(["/nowhere/program"], {}, 60)
