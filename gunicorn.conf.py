"""How gunicorn runs the service; every figure comes from the settings.

The master loads neither the application nor onnxruntime: each worker builds its own session after the
fork (`preload_app` stays off), so nothing about a model can stop the master.
"""

import contextlib
import ctypes
import gc
import os
import shutil
import sys
from pathlib import Path
from typing import Any

from predictor import logs
from predictor.config import SHORT_TOKEN, Settings, cores
from predictor.errors import ConfigError
from predictor.server import lifetime
from predictor.server.announce import announcement
from predictor.shared import SLOT_VARIABLE, release
from predictor.store.file_system import unfit

# From glibc's malloc.h.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD, _M_ARENA_MAX = -1, -3, -8
METRICS = "PROMETHEUS_MULTIPROC_DIR"

try:
    _settings = Settings.from_environment()
except ConfigError as error:
    sys.exit(f"Configuration: {error.detail}")
if kind := unfit(_settings.data):
    sys.exit(
        f"Configuration: PREDICTOR_DATA={_settings.data} lies on a file system of type {kind}, whose file "
        "locks and shared memory cannot order the workers; choose a folder on a disk of this machine."
    )


def _default_workers() -> int:
    """One worker for each core; on a machine with GPUs, at most four for each of them."""
    if _settings.device == "cpu":
        return cores()
    from predictor.model.device import count

    gpus = min(count(), 1) if _settings.device.startswith("cuda:") else count()
    return min(cores(), 4 * gpus) if gpus else cores()


wsgi_app = "predictor.wsgi:app"
bind = _settings.bind
worker_class = "predictor.server.worker.BalancedThreadWorker"
workers = _settings.workers or _default_workers()
# A picture that waits for its turn holds a thread; whatever waits, there are threads for everything else.
threads = _settings.threads + _settings.max_queue
logger_class = "predictor.server.worker.ServerLogger"
# The workers read their number from here, to share the cores between them.
os.environ["PREDICTOR_WORKERS"] = str(workers)

# A look-up that nobody waits for any more ends soon after; an operator's own choice goes first.
os.environ.setdefault("RES_OPTIONS", "timeout:1 attempts:3")

# A worker that is told to stop finishes what it has begun: a download and a run may take this long.
graceful_timeout = int(_settings.fetch_seconds + _settings.run_seconds)
timeout = 60
# Longer than nginx keeps its idle connections to us (60 s), so that it never writes to a closed one.
keepalive = 75
# Workers are replaced now and then, not all at once, so that a slow leak of a library cannot add up.
max_requests = 100_000
max_requests_jitter = 20_000
# No header moves the service to another path; by default a caller on this machine could, and get a 500.
forwarder_headers = ""
# The heartbeat file in memory: a busy disk must not make a worker look dead.
worker_tmp_dir = "/dev/shm" if Path("/dev/shm").is_dir() else None  # noqa: S108 (gunicorn makes a private file)
# Its default name is one for all servers of a user, which would take it from each other.
control_socket_disable = True
logconfig_dict = logs.configuration(_settings.log)
# Counts what a worker was good for, so that those that die at once are replaced ever more slowly.
post_request = lifetime.answered
_starts = lifetime.Starts()


def on_starting(server: Any) -> None:
    """Make the folder of this server's metrics, and remove those that dead servers left."""
    for name in _settings.weak:
        server.log.warning("%s has fewer than %d characters and could be guessed", name, SHORT_TOKEN)
    metrics = _settings.data / "metrics"
    # One that was inherited belongs to somebody else.
    os.environ.pop(METRICS, None)
    try:
        for folder in metrics.glob("*"):
            if not Path("/proc", folder.name).exists():
                shutil.rmtree(folder, ignore_errors=True)
        mine = metrics / str(os.getpid())
        shutil.rmtree(mine, ignore_errors=True)
        mine.mkdir(parents=True)
    except OSError as error:
        server.log.error("Metrics are not added up over the workers: %s", error.strerror)
    else:
        os.environ[METRICS] = str(mine.resolve())


def pre_fork(server: Any, worker: Any) -> None:
    """Give the worker its time, and the smallest slot that no living worker has, for its metrics."""
    taken = {other.slot for other in server.WORKERS.values()}
    worker.slot = next(slot for slot in range(len(taken) + 1) if slot not in taken)
    _starts.prepare(worker)


def post_fork(server: Any, worker: Any) -> None:
    """Keep memory in one pool, and tell the metrics their slot.

    Nothing slow may stand here: until the worker has its own signal handlers, a request to stop is lost.
    """
    _one_memory_pool()
    os.environ[SLOT_VARIABLE] = str(worker.slot)


def post_worker_init(worker: Any) -> None:
    """Take what stays out of the collector's sight, give back what only the start needed, and be ready."""
    gc.collect()
    gc.freeze()
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).malloc_trim(0)
    if worker.wsgi.extensions["predictor"].live.problem is None:
        announcement.ready(worker.slot, worker.cfg.workers, worker.cfg.bind[0])


def worker_exit(server: Any, worker: Any) -> None:
    """Let a worker that ends well leave nothing behind."""
    app = getattr(worker, "wsgi", None)
    if app is not None:
        app.extensions["predictor"].close()


def _one_memory_pool() -> None:
    """Have all threads share one pool of freed memory; glibc would keep one for each of many threads.

    What is as large as a model's weights is mapped by itself, so that its memory comes back with the model:
    by default a first large block would make the pool take all that follow, and keep the holes they leave.
    """
    with contextlib.suppress(OSError, AttributeError):
        malloc = ctypes.CDLL(None)
        malloc.mallopt(_M_ARENA_MAX, 1)
        malloc.mallopt(_M_MMAP_THRESHOLD, 4 << 20)
        malloc.mallopt(_M_TRIM_THRESHOLD, 16 << 20)


def child_exit(server: Any, worker: Any) -> None:
    """Drop what only a living worker may show; its counts stay."""
    # First what is learnt from its numbers, then they are forgotten.
    _starts.ended(worker)
    release(worker.slot)
    if METRICS in os.environ:
        from prometheus_client.multiprocess import mark_process_dead

        # What is raised here would stop the master.
        with contextlib.suppress(OSError):
            mark_process_dead(worker.slot)


def on_exit(server: Any) -> None:
    """Remove this server's metrics."""
    if METRICS in os.environ:
        shutil.rmtree(os.environ[METRICS], ignore_errors=True)
