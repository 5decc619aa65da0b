"""`python -m tests.store.kill_at`: makes changes to stores and dies of SIGKILL before a given step of them.

Each line of standard input is a JSON list: a store's folder, a change and a number. For each, a process of
its own makes the change, and is killed before the step of that number; whatever touches a file, a folder, a
lock or the stamp is a step. A line of JSON answers: the steps that were made, and whether it was killed.

One process starts all the others by forking, since it has the one thread and everything imported.
"""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from predictor.store.stamp import Stamp
from tests.store.conftest import Store

# Of Python's table of audit events; the rest of them have nothing to do with files.
_EVENTS = ("open", "os.", "shutil.", "fcntl.", "mmap.", "pathlib.")
NEW = b"the new model"


def main() -> None:
    """Do what the lines say."""
    for line in sys.stdin:
        folder, change, number = json.loads(line)
        reading, writing = os.pipe()
        if (child := os.fork()) == 0:
            os.close(reading)
            _die_at(number, writing)
            _CHANGES[change](Store(Path(folder)))
            os._exit(0)
        os.close(writing)
        with os.fdopen(reading, "rb") as pipe:
            steps = len(pipe.read())
        _, status = os.waitpid(child, 0)
        killed = os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
        sys.stdout.write(json.dumps([steps, killed]) + "\n")
        sys.stdout.flush()


def _die_at(number: int, writing: int) -> None:
    """Count the steps of this process by a byte each, and end it before one of them."""
    made, own = 0, False

    def step() -> None:
        nonlocal made, own
        if own:
            return
        own = True
        if made == number:
            os.kill(os.getpid(), signal.SIGKILL)
        made += 1
        os.write(writing, b".")
        own = False

    def heard(event: str, _: tuple[Any, ...]) -> None:
        if event.startswith(_EVENTS):
            step()

    def first(call: Callable[..., Any]) -> Callable[..., Any]:
        def stepping(*arguments: Any) -> Any:
            step()
            return call(*arguments)

        return stepping

    # What changes without an audit event.
    os.fsync = first(os.fsync)
    Stamp.prepare = first(Stamp.prepare)  # type: ignore[method-assign]
    Stamp.commit = first(Stamp.commit)  # type: ignore[method-assign]
    sys.addaudithook(heard)


def _quarantine(store: Store) -> None:
    store.publisher.quarantine("default", 3, "It is bad.")


_CHANGES: dict[str, Callable[[Store], object]] = {
    "upload": lambda store: store.upload(NEW),
    "upload again": lambda store: store.upload(b"third"),
    "activate": lambda store: store.publisher.activate("default", 2),
    "rollback": lambda store: store.publisher.rollback("default"),
    "delete": lambda store: store.publisher.delete("default", 2),
    "delete name": lambda store: store.publisher.delete_name("dogs"),
    "quarantine": _quarantine,
    "golden": lambda store: store.set_golden(b"other"),
    "no golden": lambda store: store.golden.remove("default"),
}


if __name__ == "__main__":
    main()
