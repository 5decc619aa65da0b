"""The heartbeat of this machine, and what each beat learns of the others.

A machine beats while it serves what the log says, or will serve it soon. One that cannot is not waited for.
"""

import json
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from predictor.cluster.log import SERVING, ChangeLog
from predictor.cluster.machine_status import MachineStatus
from predictor.cluster.machines import Machines, Sighting
from predictor.errors import PredictorError

SEEN = "cluster.machines.json"
"""The file in the data folder that says which machines there are, for the other workers."""
_BEATS_OF_SURVEY = 12


class Heartbeat:
    """Beats in a thread of its own, so that nothing that takes long makes this machine look dead.

    Args:
        changes: the log.
        machines: which there are.
        status: where the other workers read how many there are.
        data: the folder of the service.

    Attributes:
        counted: whether the other machines wait for this one.
        behind: whether a change was decided that this machine does not serve yet.
        unsure: whether the log is to be looked through, as changes may have come and gone unseen.
        due: whether it is to be looked through now and then, although nothing is wrong.
    """

    def __init__(self, changes: ChangeLog, machines: Machines, status: MachineStatus, data: Path) -> None:
        self._log = changes
        self._machines = machines
        self._status = status
        self._path = data / SEEN
        self.counted = False
        self.behind = False
        self.unsure = True
        self.due = False
        self._beats = 0
        self._serving: tuple[int, set[str]] = (0, set())
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)

    def begin(self) -> None:
        """Be counted by the others from now on."""
        self._beat()
        self.counted = True
        if not self._thread.is_alive() and not self._stopped.is_set():
            self._thread.start()

    def pause(self) -> None:
        """Let the others stop waiting for this machine."""
        self.counted = False

    def stop(self) -> None:
        """End the thread; the heartbeat grows old, unless another worker goes on."""
        self._stopped.set()

    def _run(self) -> None:
        for pause in self._machines.pauses(self._machines.beat_seconds):
            if self._stopped.wait(pause):
                break
            if self.counted:
                try:
                    self._beat()
                except PredictorError:
                    # The follower's thread says what is wrong with the store.
                    self.unsure = True

    def _beat(self) -> None:
        seen = self._machines.beat()
        # To load what is announced takes long; until it is decided, this machine serves what the others do.
        if not (self.behind or self.unsure):
            self._machines.in_step()
        serial = self._status.serial
        living = {name for name, one in seen.items() if one.lives}
        serving = self._served(serial, living)
        self._status.set_machines(len(living & serving), len(living))
        with suppress(OSError):
            self._write(seen, living & serving)
        self._beats += 1
        self.due = self.due or self._beats % _BEATS_OF_SURVEY == 0
        if serial and not self._log.decided(serial):
            self.unsure = True

    def _served(self, serial: int, living: set[str]) -> set[str]:
        """The machines that serve the last change; those of no change are asked for nothing."""
        if serial == 0:
            return living
        known, serving = self._serving
        if known != serial or not living <= serving:
            self._serving = serial, self._log.acknowledged(serial)[SERVING]
        return self._serving[1]

    def _write(self, seen: Mapping[str, Sighting], serving: set[str]) -> None:
        found = [
            {"name": name, "serving": name in serving, "seconds": round(max(0.0, one.age))}
            for name, one in sorted(seen.items())
        ]
        fresh = self._path.with_suffix(".new")
        fresh.write_text(json.dumps(found))
        fresh.replace(self._path)


def seen(data: Path) -> list[dict[str, object]]:
    """The machines by this one's last heartbeat; none before the first.

    Each has a `name`, says whether it is `serving` the last change, and how many `seconds` older than this
    machine's its heartbeat is.
    """
    try:
        found: list[dict[str, object]] = json.loads((data / SEEN).read_bytes())
    except (OSError, ValueError):
        return []
    return found
