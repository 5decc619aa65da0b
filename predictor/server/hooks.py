"""What gunicorn calls when it starts, forks, replaces and stops workers.

The master loads the code that all workers need, but not onnxruntime, and makes nothing with it: each worker
builds its own application and session after the fork, so nothing about a model can stop the master.
"""

import contextlib
import ctypes
import gc
import importlib
import logging
import mmap
import os
import shutil
from typing import Any

from predictor.config import SHORT_TOKEN, Settings
from predictor.cores import cores
from predictor.server import memory_files, start
from predictor.server.lifetime import Starts, leave
from predictor.shared import DUE_VARIABLE, METRICS_VARIABLE, SLOT_VARIABLE, release

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8


def worker_count(settings: Settings) -> int:
    """How many workers to start, which they read from their environment, to share the cores between them."""
    count = settings.workers or _default_workers(settings)
    os.environ["PREDICTOR_WORKERS"] = str(count)
    return count


def _default_workers(settings: Settings) -> int:
    """One worker for each core; on a machine with GPUs, at most four for each of them."""
    if settings.device == "cpu":
        return cores()
    from predictor.model.device import count

    gpus = min(count(), 1) if settings.device.startswith("cuda:") else count()
    return min(cores(), 4 * gpus) if gpus else cores()


# The slots of this master's workers. It stays when gunicorn reads its configuration again.
_taken = set[int]()


class Hooks:
    """The hooks of one server; each has the name of the gunicorn setting that it is for.

    Args:
        settings: of the service.
        workers: how many workers there are.
    """

    def __init__(self, settings: Settings, workers: int) -> None:
        self._settings = settings
        self._workers = workers
        self._starts = Starts()

    def on_starting(self, server: Any) -> None:
        """Say what an operator should know, and make the folder of this server's metrics."""
        start.refuse_tls(bool(server.cfg.certfile or server.cfg.keyfile))
        for name in self._settings.weak:
            server.log.warning(
                "%s has fewer than %d characters and can be guessed; set a longer one", name, SHORT_TOKEN
            )
        start.report_surroundings(server.log, server.cfg.worker_connections, server.cfg.threads)
        # A look-up of a name that nobody waits for any more ends soon after; an operator's choice goes first.
        os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:3")
        # A folder that was inherited belongs to another server.
        os.environ.pop(METRICS_VARIABLE, None)
        if folder := memory_files.make_metrics(self._settings.data, self._workers):
            os.environ[METRICS_VARIABLE] = str(folder)
        else:
            server.log.error(
                "Metrics are those of one worker only: the folder for shared metrics cannot be created"
            )
        _load_code(server.log)

    def pre_fork(self, _server: Any, worker: Any) -> None:
        """Give the worker its time to start, and the smallest slot that no living worker has."""
        worker.slot = next(slot for slot in range(len(_taken) + 1) if slot not in _taken)
        _taken.add(worker.slot)
        self._starts.prepare(worker)

    def post_fork(self, _server: Any, worker: Any) -> None:
        """Keep memory in one pool, and tell the worker its slot and when to load the application.

        Nothing slow may stand here: until the worker has its own signal handlers, a request to stop is lost.
        """
        _one_memory_pool()
        os.environ[SLOT_VARIABLE] = str(worker.slot)
        os.environ[DUE_VARIABLE] = str(worker.due)

    def post_worker_init(self, worker: Any) -> None:
        """Take what stays out of the collector's sight, give back what the start needed, and be ready."""
        gc.collect()
        gc.freeze()
        with contextlib.suppress(OSError, AttributeError):
            ctypes.CDLL(None).malloc_trim(0)
        if worker.wsgi.extensions["predictor"].live.problem is None:
            announcement.ready(worker.slot, worker.cfg.workers, bound(worker.cfg.bind[0], worker.sockets[0]))

    def worker_abort(self, worker: Any) -> None:
        """Note that the master ends a worker that did not answer it."""
        worker.aborted = True

    def worker_exit(self, _server: Any, worker: Any) -> None:
        """Let a worker that ends well leave nothing behind."""
        if not (worker.alive or worker.aborted):
            leave(worker)
        app = getattr(worker, "wsgi", None)
        if app is not None:
            app.extensions["predictor"].close()

    def child_exit(self, _server: Any, worker: Any) -> None:
        """Drop what only a living worker may show; its counts stay."""
        # First what is learnt from its numbers, then they are forgotten.
        self._starts.ended(worker)
        _taken.discard(worker.slot)
        release(worker.slot)
        if METRICS_VARIABLE in os.environ:
            from prometheus_client.multiprocess import mark_process_dead

            # What is raised here would stop the master.
            with contextlib.suppress(OSError):
                mark_process_dead(worker.slot)

    def on_exit(self, _server: Any) -> None:
        """Remove this server's metrics, and tell other machines that this one is gone."""
        if folder := os.environ.get(METRICS_VARIABLE):
            shutil.rmtree(folder, ignore_errors=True)
        if self._settings.store:
            start.leave_store()


def _load_code(log: Any) -> None:
    """Load the code once for all workers: each starts in 0.3 s, not 1.0, and has 39 MB of its own, not 56.

    It follows the choice of the folder for metrics, which prometheus_client reads when it is imported. What
    has threads, which do not survive a fork, is loaded by those who need it: onnxruntime and obstore.
    """
    try:
        importlib.import_module("predictor.app")
    except Exception:
        # A worker tries again; what is half loaded by then may have it fail at something else.
        log.exception("The code could not be loaded; each worker tries again")
    # The collector would write to objects, and so copy their memory for each worker.
    gc.freeze()


def _one_memory_pool() -> None:
    """Have all threads share one pool of freed memory; glibc would keep one for each of many threads.

    The pixels of photographs come from the pool, up to 32 MB each, and 64 MB of it are kept: with new pages
    for each image a photograph of 0.5 MB takes 1.4 times as long. What is larger, as many weights are, is
    mapped by itself, so that its memory comes back at once; glibc would adapt this limit to what it sees.
    """
    with contextlib.suppress(OSError, AttributeError):
        malloc = ctypes.CDLL(None)
        malloc.mallopt(_M_ARENA_MAX, 1)
        malloc.mallopt(_M_MMAP_THRESHOLD, 32 << 20)
        malloc.mallopt(_M_TRIM_THRESHOLD, 64 << 20)


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


def bound(bind: str, listener: Any) -> str:
    """Where a server listens, as its settings say, with the port that the kernel chose where it was to."""
    host, _, port = bind.rpartition(":")
    return f"{host}:{listener.getsockname()[1]}" if port == "0" else bind


def url(bind: str) -> str | None:
    """Where a browser on this machine opens what listens on `host:port`; None for a Unix socket."""
    host, _, port = bind.rpartition(":")
    return None if host == "unix" else f"http://{_LOOPBACK.get(host, host)}:{port}/"


announcement = Announcement()
"""That of this server."""
