"""Says once where to open the service, as soon as every worker of the server can predict.

The memory and the pipe are made when this module is imported, which gunicorn's master does before it starts
a worker, so that all workers share them.
"""

import logging
import mmap
import os

_SLOTS = 1024
# Where a browser on this machine finds a service that listens on every address.
_LOOPBACK = {"0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 (compared, not bound)

log = logging.getLogger(__name__)


class Announcement:
    """What the workers of one server share to say once that all of them are ready."""

    def __init__(self) -> None:
        self._ready = memoryview(mmap.mmap(-1, _SLOTS))
        # One worker reads the one byte, however many try at the same moment; the others read the end.
        self._token, write = os.pipe()
        os.write(write, b"!")
        os.close(write)

    def ready(self, slot: int, workers: int, bind: str) -> None:
        """Learn that a worker can predict; when it is the last of them, say where to open the service.

        Args:
            slot: the worker's.
            workers: how many there are.
            bind: where the server listens, as `host:port` or `unix:path`.
        """
        self._ready[slot % _SLOTS] = 1
        if sum(self._ready) >= workers and os.read(self._token, 1):
            log.info("Ready: open %s", url(bind) or bind)


def url(bind: str) -> str | None:
    """Where a browser on this machine opens what listens on `host:port`; None for a Unix socket."""
    host, _, port = bind.rpartition(":")
    return None if host == "unix" else f"http://{_LOOPBACK.get(host, host)}:{port}/"


announcement = Announcement()
"""That of this server."""
