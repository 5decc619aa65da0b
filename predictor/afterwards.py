"""What a thread does when it has sent its answer.

The server says when that is, and whoever computes has something to do then; neither knows the other.
"""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Task = Callable[[], object]


class _Thread(threading.local):
    """What one thread has to do; None while it answers no request."""

    tasks: list[Task] | None = None


_thread = _Thread()


@contextmanager
def answering() -> Iterator[None]:
    """A block in which this thread answers a request; what is left to be done is done at its end."""
    _thread.tasks = []
    try:
        yield
    finally:
        flush()
        _thread.tasks = None


def when_answered(task: Task) -> None:
    """Do something, which does not fail, when the answer is sent; at once where this thread gives none."""
    if _thread.tasks is None:
        task()
    else:
        _thread.tasks.append(task)


def flush() -> None:
    """Do now what is left to be done: the answer is sent, or this thread is about to wait for others."""
    tasks = _thread.tasks or []
    while tasks:
        tasks.pop(0)()
