"""A process gives up system calls for good, by a filter of Linux's seccomp(2): they fail as forbidden.

Unlike a limit on processes it holds for a superuser too, and unlike leaving the network it is allowed in
containers. Where the processor is not one of the table there is no filter.
"""

import ctypes
import errno
import os

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


def forbid() -> None:
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
