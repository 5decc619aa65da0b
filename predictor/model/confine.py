"""A process gives up, for good, what trying a model does not need."""

import ctypes
import os
import resource
import select
import signal

from predictor.model import landlock, syscalls
from predictor.model.report import Limits

# Of Linux's headers sched.h and prctl.h.
_NEW_USER, _NEW_NETWORK = 0x1000_0000, 0x4000_0000
_END_WITH_PARENT, _NO_NEW_PRIVILEGES = 1, 38
_NICENESS = 10


def confine(limits: Limits, file_bytes: int) -> None:
    """Give up network, privileges, files, new processes and much memory or time, and let others go first.

    Some of it is done twice, for a machine may forbid leaving the network, a superuser has no limit of
    processes, and an older kernel has no Landlock; none of these is an error.

    Args:
        limits: what is left.
        file_bytes: size of the model.
    """
    _leave(_NEW_USER | _NEW_NETWORK)
    # The thread that started this process waits for it, so that it ends before only with its own process.
    _control(_END_WITH_PARENT, signal.SIGKILL)
    _control(_NO_NEW_PRIVILEGES, 1)
    os.nice(_NICENESS)
    # The process ends itself even if its parent's end passed unseen.
    signal.setitimer(signal.ITIMER_REAL, limits.seconds + 1)
    _limit(resource.RLIMIT_AS, limits.memory_bytes + 4 * file_bytes)
    # A second more for the hard limit, whose signal would not tell that it was about time.
    _limit(resource.RLIMIT_CPU, limits.cpu_seconds, limits.cpu_seconds + 1)
    _limit(resource.RLIMIT_FSIZE, 0)
    _limit(resource.RLIMIT_CORE, 0)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_NOFILE, limits.descriptors)
    landlock.read_only(landlock.needed())
    syscalls.forbid()


def abandoned(pipe: int) -> bool:
    """Whether nobody is there to read what is written to a pipe.

    A parent that ended before `confine` tied this process to its life has left no other sign.
    """
    poll = select.poll()
    poll.register(pipe, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _leave(namespaces: int) -> None:
    """Leave the namespaces of the given kinds for empty ones, as unshare(2) does where it is allowed."""
    ctypes.CDLL(None).unshare(ctypes.c_int(namespaces))


def _control(option: int, value: int) -> None:
    unused = (ctypes.c_ulong(0),) * 3
    ctypes.CDLL(None).prctl(ctypes.c_int(option), ctypes.c_ulong(value), *unused)


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    _, allowed = resource.getrlimit(kind)
    most = soft if hard is None else hard
    if allowed != resource.RLIM_INFINITY:
        soft, most = min(soft, allowed), min(most, allowed)
    resource.setrlimit(kind, (soft, most))
