"""Filters of Linux's kernel that a process cannot take back: files by Landlock, system calls by seccomp(2).

A file that is open when `read_only` is called stays as it was opened. A forbidden system call fails as if
the process had no permission.
"""

import ctypes
import errno
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import predictor
from predictor.config import INSTALLED

# The same numbers on all processors, and the header's flags; each version of Landlock knows some more.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_FOR_VERSION, _PATHS_BENEATH = 1, 1
_READ_FILES, _READ_FOLDERS = 1 << 2, 1 << 3
_FILES = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
# To write, truncate and remove files, and to make files and folders; no links and no devices.
_WRITE = {1: 1 << 1 | 1 << 4 | 1 << 5 | 1 << 7 | 1 << 8, 3: 1 << 14}
_TCP, _TCP_SINCE = 0b11, 4
_SIGNALS_AND_SOCKETS, _SCOPES_SINCE = 0b11, 6


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("tcp", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def landlock_version() -> int:
    """What this kernel's Landlock knows; 0 if there is none."""
    return max(0, _call(_CREATE, None, 0, _ASK_FOR_VERSION))


def read_only(folders: Iterable[Path], scratch: Path | None = None) -> None:
    """Let this process read what lies in some folders, and write nothing anywhere but in a scratch folder.

    Nor may it start a program, use TCP, look into other processes, or send them signals.
    """
    if not (known := landlock_version()):
        return
    rules = _Ruleset(
        _flags(_FILES, known),
        _TCP if known >= _TCP_SINCE else 0,
        _SIGNALS_AND_SOCKETS if known >= _SCOPES_SINCE else 0,
    )
    ruleset = _call(_CREATE, ctypes.byref(rules), ctypes.sizeof(rules), 0)
    try:
        for folder in folders:
            _allow(ruleset, folder)
        if scratch is not None:
            _allow(ruleset, scratch, _flags(_WRITE, known))
        _call(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def _flags(by_version: dict[int, int], known: int) -> int:
    return sum(flags for since, flags in by_version.items() if known >= since)


def readable_folders() -> list[Path]:
    """The folders that a program of this package reads: libraries, its own, and the one in which it runs."""
    package = Path(predictor.__file__).parent
    # What lies beside the package of a clone may be anything, the store of models too.
    beside = None if INSTALLED else package.parent.resolve()
    modules = [Path(path) for path in sys.path if Path(path).resolve() != beside]
    libraries = [Path(path) for path in ("/usr", "/lib", "/lib64", sys.prefix, sys.base_prefix)]
    return [*modules, *libraries, package, Path("/proc/self"), Path()]


def _allow(ruleset: int, folder: Path, more: int = 0) -> None:
    try:
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return
    try:
        rule = _Beneath(_READ_FILES | _READ_FOLDERS | more, descriptor)
        _call(_ADD, ruleset, _PATHS_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    call = ctypes.CDLL(None).syscall
    call.restype = ctypes.c_long
    wide = (ctypes.c_long(one) if isinstance(one, int) else one for one in arguments)
    return int(call(ctypes.c_long(number), *wide))


_SET_FILTER, _FILTER = 22, 2
# Of Linux's header audit.h, and of the tables of system calls.
_PROCESSORS = {"x86_64": (0xC000_003E, 0), "aarch64": (0xC000_00B7, 1)}
_FORBIDDEN: dict[str, tuple[int | None, int | None]] = {
    "clone": (56, 220),
    "clone3": (435, 435),
    "fork": (57, None),
    "vfork": (58, None),
    "execve": (59, 221),
    "execveat": (322, 281),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "connect": (42, 203),
    "kill": (62, 129),
    "ptrace": (101, 117),
    "process_vm_readv": (310, 270),
    "process_vm_writev": (311, 271),
    # Does what others do, and no filter sees it.
    "io_uring_setup": (425, 425),
}
# A second way to make the same calls, on x86-64 only.
_X32 = 0x4000_0000
_LOAD, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x15, 0x35, 0x06
_NUMBER, _PROCESSOR = 0, 4
_ALLOW, _FAIL = 0x7FFF_0000, 0x0005_0000 | errno.EPERM


class _Step(ctypes.Structure):
    _fields_ = (
        ("code", ctypes.c_uint16),
        ("if_true", ctypes.c_uint8),
        ("if_false", ctypes.c_uint8),
        ("value", ctypes.c_uint32),
    )


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_uint16), ("steps", ctypes.POINTER(_Step)))


def forbid_calls() -> None:
    """Start no process or thread, open no socket, and reach into no other process from now on.

    The process must have given up new privileges.
    """
    if (steps := _steps(os.uname().machine)) is None:
        return
    program = _Program(len(steps), (_Step * len(steps))(*steps))
    unused = (ctypes.c_ulong(0),) * 2
    ctypes.CDLL(None).prctl(
        ctypes.c_int(_SET_FILTER), ctypes.c_ulong(_FILTER), ctypes.byref(program), *unused
    )


def _steps(machine: str) -> list[_Step] | None:
    """The filter for a kind of processor; None if it is not known."""
    if machine not in _PROCESSORS:
        return None
    processor, column = _PROCESSORS[machine]
    numbers = [row[column] for row in _FORBIDDEN.values()]
    fail = _Step(_RETURN, 0, 0, _FAIL)
    # Each test goes to the step after it, which fails, or past that one.
    steps = [_Step(_LOAD, 0, 0, _PROCESSOR), _Step(_EQUAL, 1, 0, processor), fail]
    steps += [_Step(_LOAD, 0, 0, _NUMBER), _Step(_AT_LEAST, 0, 1, _X32), fail]
    for number in numbers:
        if number is not None:
            steps += [_Step(_EQUAL, 0, 1, number), fail]
    return [*steps, _Step(_RETURN, 0, 0, _ALLOW)]
