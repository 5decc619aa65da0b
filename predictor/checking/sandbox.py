"""A process gives up, for good, what trying a model does not need."""

import ctypes
import math
import resource
import select
import signal
from pathlib import Path

from predictor.checking.kernel_filters import forbid_calls, read_only, readable_folders
from predictor.checking.report import Limits, Provider

# Of Linux's headers sched.h and prctl.h.
_NEW_USER, _NEW_NETWORK = 0x1000_0000, 0x4000_0000
_END_WITH_PARENT, _NO_NEW_PRIVILEGES = 1, 38
_CUDA_DESCRIPTORS = 1024
_CUDA_FILE_BYTES = 1_000_000
# For what is added to a model that is adapted.
_GRAPH_BYTES = 64_000_000
# Half precision doubles when it is written as single precision, and again in a copy.
_SCRATCH_FACTOR = 4


def enter_sandbox(
    limits: Limits,
    file_bytes: int,
    provider: Provider = "cpu",
    *,
    writes: bool = False,
    scratch: Path | None = None,
) -> None:
    """Give up network, privileges, files, new processes and much memory or time.

    Some of it is done twice, for a machine may forbid leaving the network, a superuser has no limit of
    processes, and an older kernel has no Landlock; none of these is an error.

    Args:
        limits: what is left.
        file_bytes: size of the model.
        provider: what the model is to be tried on.
        writes: whether a graph may be written to a file that is open, until `write_no_more`.
        scratch: a folder in which files may be written; without CUDA nothing is written elsewhere.
    """
    _unshare(_NEW_USER | _NEW_NETWORK)
    # The thread that started this process waits for it, so that it ends before only with its own process.
    _prctl(_END_WITH_PARENT, signal.SIGKILL)
    _prctl(_NO_NEW_PRIVILEGES, 1)
    # The process ends itself even if its parent's end passed unseen.
    signal.setitimer(signal.ITIMER_REAL, limits.wall_seconds + 1)
    _limit(resource.RLIMIT_CORE, 0)
    written = file_bytes + _GRAPH_BYTES if writes else 0
    if scratch is not None:
        written = _SCRATCH_FACTOR * file_bytes + _GRAPH_BYTES
    if provider == "cuda":
        _limit_with_cuda(limits, written)
    else:
        _limit_without_cuda(limits, file_bytes, written, scratch)


def write_no_more() -> None:
    """Give up writing to any file, on whatever kernel; for good."""
    _limit(resource.RLIMIT_FSIZE, 0)


def _limit_without_cuda(limits: Limits, file_bytes: int, written: int, scratch: Path | None) -> None:
    _limit(resource.RLIMIT_AS, limits.memory_for(file_bytes))
    _limit_processor(limits.cpu_seconds)
    _limit(resource.RLIMIT_FSIZE, written)
    _limit(resource.RLIMIT_NPROC, 0)
    _limit(resource.RLIMIT_NOFILE, limits.descriptors)
    read_only(readable_folders(), scratch)
    forbid_calls()


def _limit_with_cuda(limits: Limits, written: int) -> None:
    """Leave what the NVIDIA driver needs in a process.

    CUDA reserves address space as large as all memory of the machine and its GPUs, so that no limit on it can
    be set: the model passed its check within one, and the session bounds the memory of the GPU. CUDA starts
    threads, and their limit counts those of the service's user together, the workers' too: there is none. It
    opens devices and sockets as well, so that neither files nor system calls are closed to it.
    """
    # To wait for a GPU costs processor time.
    _limit_processor(math.ceil(limits.seconds))
    # The driver opens each GPU several times, and shares pages with its services through files in memory.
    _limit(resource.RLIMIT_FSIZE, max(_CUDA_FILE_BYTES, written))
    _limit(resource.RLIMIT_NOFILE, max(limits.descriptors, _CUDA_DESCRIPTORS))


def _limit_processor(seconds: int) -> None:
    # A second more for the hard limit, whose signal would not tell that it was about time.
    _limit(resource.RLIMIT_CPU, seconds, seconds + 1)


def abandoned(pipe: int) -> bool:
    """Whether nobody is there to read what is written to a pipe.

    A parent that ended before `enter_sandbox` tied this process to its life has left no other sign.
    """
    poll = select.poll()
    poll.register(pipe, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def _unshare(namespaces: int) -> None:
    """Leave the namespaces of the given kinds for empty ones, as unshare(2) does where it is allowed."""
    ctypes.CDLL(None).unshare(ctypes.c_int(namespaces))


def _prctl(option: int, value: int) -> None:
    unused = (ctypes.c_ulong(0),) * 3
    ctypes.CDLL(None).prctl(ctypes.c_int(option), ctypes.c_ulong(value), *unused)


def _limit(kind: int, soft: int, hard: int | None = None) -> None:
    _, allowed = resource.getrlimit(kind)
    most = soft if hard is None else hard
    if allowed != resource.RLIM_INFINITY:
        soft, most = min(soft, allowed), min(most, allowed)
    resource.setrlimit(kind, (soft, most))
