"""Work that takes a processor only when nobody else wants one."""

import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from typing import TypeVar

from predictor import shared

T = TypeVar("T")

# From then on the work is done with a share of its own: the machine is busy.
_PATIENCE_SECONDS = 2.0
# How often it is looked whether a picture is still computed, and how long at most.
_LOOK_SECONDS, _LOOKS = 0.001, 3


def gently(call: Callable[[], T], otherwise: Callable[[], T] | None = None) -> T:
    """Do something for a thread that lets others go first (nice), and for any other as usual.

    It is done in the scheduler's idle class, which gives way at once, as a mere weight does not. A thread
    cannot leave that class without privileges, so it is one that ends with the call. What it does must be
    native work with hardly any Python around it: as long as a thread that is not let to a processor holds the
    interpreter's lock, the whole process waits for it.

    Args:
        call: the work.
        otherwise: done in its place if that takes too long on a busy machine; by default the same once more.
            It must not wait for what `call` may hold.
    """
    if os.getpriority(os.PRIO_PROCESS, threading.get_native_id()) <= 0:
        return call()
    done: Future[T] = Future()

    def work() -> None:
        with suppress(OSError):
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))
        try:
            done.set_result(call())
        except BaseException as error:  # noqa: BLE001 (raised in the thread that waits)
            done.set_exception(error)

    threading.Thread(target=work, name="gently", daemon=True).start()
    try:
        return done.result(_PATIENCE_SECONDS)
    except TimeoutError:
        if done.done():
            raise
        return (otherwise or call)()


def let_pictures_pass(workers: int, sleep: Callable[[float], None] = time.sleep) -> None:
    """Wait a moment while pictures are computed; for long work, between two small pieces of it.

    Args:
        workers: how many workers the service has.
        sleep: waits for some seconds.
    """
    for _ in range(_LOOKS):
        if sum(shared.computing.of(workers)) <= 0:
            return
        sleep(_LOOK_SECONDS)
