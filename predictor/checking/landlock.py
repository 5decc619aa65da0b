"""A process may read what it is told, and nothing else, by Linux's Landlock; see its landlock(7).

Every process may use it on itself, in a container as well, and for good. Where the kernel has none, or an
older one that knows less, that is not an error.
"""

import ctypes
import os
import sys
from collections.abc import Iterable
from pathlib import Path

import predictor
from predictor.shipped import INSTALLED

# The same numbers on all processors, and the header's flags; each version of Landlock knows some more.
_CREATE, _ADD, _RESTRICT = 444, 445, 446
_ASK_FOR_VERSION, _PATHS_BENEATH = 1, 1
_READ_FILES, _READ_FOLDERS = 1 << 2, 1 << 3
_FILES = {1: (1 << 13) - 1, 2: 1 << 13, 3: 1 << 14, 5: 1 << 15}
_TCP, _TCP_SINCE = 0b11, 4
_SIGNALS_AND_SOCKETS, _SCOPES_SINCE = 0b11, 6


class _Ruleset(ctypes.Structure):
    _fields_ = (("files", ctypes.c_uint64), ("tcp", ctypes.c_uint64), ("scopes", ctypes.c_uint64))


class _Beneath(ctypes.Structure):
    _pack_ = 1
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def version() -> int:
    """What this kernel's Landlock knows; 0 if there is none."""
    return max(0, _call(_CREATE, None, 0, _ASK_FOR_VERSION))


def read_only(folders: Iterable[Path]) -> None:
    """Let this process read what lies in some folders, and write nothing anywhere.

    Nor may it start a program, use TCP, look into other processes, or send them signals.
    """
    if not (known := version()):
        return
    rules = _Ruleset(
        sum(flags for since, flags in _FILES.items() if known >= since),
        _TCP if known >= _TCP_SINCE else 0,
        _SIGNALS_AND_SOCKETS if known >= _SCOPES_SINCE else 0,
    )
    ruleset = _call(_CREATE, ctypes.byref(rules), ctypes.sizeof(rules), 0)
    try:
        for folder in folders:
            _allow(ruleset, folder)
        _call(_RESTRICT, ruleset, 0)
    finally:
        os.close(ruleset)


def needed() -> list[Path]:
    """The folders that a program of this package reads: libraries, its own, and the one in which it runs."""
    package = Path(predictor.__file__).parent
    # What lies beside the package of a clone may be anything, the store of models too.
    beside = None if INSTALLED else package.parent.resolve()
    modules = [Path(path) for path in sys.path if Path(path).resolve() != beside]
    libraries = [Path(path) for path in ("/usr", "/lib", "/lib64", sys.prefix, sys.base_prefix)]
    return [*modules, *libraries, package, Path("/proc/self"), Path()]


def _allow(ruleset: int, folder: Path) -> None:
    try:
        descriptor = os.open(folder, os.O_PATH | os.O_DIRECTORY)
    except OSError:
        return
    try:
        rule = _Beneath(_READ_FILES | _READ_FOLDERS, descriptor)
        _call(_ADD, ruleset, _PATHS_BENEATH, ctypes.byref(rule), 0)
    finally:
        os.close(descriptor)


def _call(number: int, *arguments: object) -> int:
    call = ctypes.CDLL(None).syscall
    call.restype = ctypes.c_long
    wide = (ctypes.c_long(one) if isinstance(one, int) else one for one in arguments)
    return int(call(ctypes.c_long(number), *wide))
