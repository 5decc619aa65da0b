"""What is read and checked before anything starts: each fault ends the start in one sentence."""

import errno
import functools
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NoReturn

from predictor import environment
from predictor.config import Settings
from predictor.errors import ConfigError
from predictor.fetch.addresses import AllowList, authorities
from predictor.mounts import unfit
from predictor.readers import READERS
from predictor.sources.signature import check_key

# Files that a worker has open in any case, and most that each thread has: of the cache, of a download.
_FILES, _FILES_OF_THREAD = 60, 4
# What a worker takes at least, where there are files; and what it takes besides one for each thread, since
# gunicorn keeps so many open between requests.
_CONNECTIONS, _KEPT = 1000, 500
_SHOWN = 5
# The kernel's bound for the path of a Unix socket (unix(7)), without the zero at its end.
_LONGEST_SOCKET = 107
_SCRIPT_NAME = "SCRIPT_NAME"
# The exit code of `predictor/cluster/proof` for a store that cannot be used; its library stays out of here.
_PROOF_SECONDS, _BROKEN = 30.0, 3
# What Python gives for an exception that nobody expected.
_CRASHED = 1
_LEAVE_SECONDS = 10.0
# Where the package lies, whichever folder the service is started in.
_CLONE = Path(__file__).parents[2]


def read_settings() -> Settings:
    """The settings; one that cannot be used ends the process in one sentence."""
    _take_script_name()
    try:
        settings = Settings.from_environment()
        AllowList.parse(settings.fetch_allow)
        if settings.fetch_ca is not None:
            authorities(settings.fetch_ca)
        if settings.signing_key is not None:
            check_key(settings.signing_key)
    except ConfigError as error:
        _stop(error.detail)
    _check_data(settings.data)
    _check_bind(settings.bind)
    if settings.store:
        _check_store(settings.store)
    return settings


def _take_script_name() -> None:
    # Gunicorn would take its value off every path, and fail on those without it.
    script_name = os.environ.pop(_SCRIPT_NAME, "")
    if not script_name or "PREDICTOR_PREFIX" in os.environ:
        return
    try:
        READERS["prefix"](script_name)
    except ValueError as error:
        _stop(f"{_SCRIPT_NAME}={script_name!r} cannot be used as PREDICTOR_PREFIX: it must be {error}.")
    os.environ["PREDICTOR_PREFIX"] = script_name


@functools.cache
def settings_of_server() -> Settings:
    """What `read_settings` gave when this server started: a reload has the same environment.

    What is missing by then, such as a file or an address, must not end a server whose workers do without it.
    """
    # Until gunicorn sets its handler, Ctrl-C raises KeyboardInterrupt in an import and prints a traceback.
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    return read_settings()


def refuse_tls(configured: bool) -> None:
    """End the start of a server that is to speak TLS: slow clients are told apart on plain sockets only."""
    if configured:
        _stop(
            "gunicorn's options certfile and keyfile cannot be used: TLS belongs to the proxy in front; see "
            "docs/operate.md."
        )


def leave_store() -> None:
    """Tell the other machines of the store that this one is gone, once its workers are."""
    with suppress(subprocess.TimeoutExpired):
        _run("predictor.cluster.leave", _LEAVE_SECONDS)


def raise_file_limit(threads: int) -> int:
    """Let this process and its workers open as many files as they may.

    Args:
        threads: of a worker.

    Returns:
        How many connections of a worker there are files for, each with a thread as far as there are threads.
    """
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    if most == resource.RLIM_INFINITY:
        return _wanted(threads)
    left = max(0, most - _FILES)
    for_all = left - threads * _FILES_OF_THREAD
    return min(_wanted(threads), for_all if for_all > threads else max(1, left // (1 + _FILES_OF_THREAD)))


def _wanted(threads: int) -> int:
    return max(_CONNECTIONS, threads + _KEPT)


def report_surroundings(log: Any, connections: int, threads: int) -> None:
    """Say in one line each what an operator should know of this machine.

    Args:
        log: gunicorn's.
        connections: that a worker takes.
        threads: of a worker.
    """
    if injected := environment.of_kubernetes(os.environ):
        log.info(
            "Variables that Kubernetes set for Services are not settings and are ignored: %s",
            ", ".join(injected[:_SHOWN]) + (", ..." if len(injected) > _SHOWN else ""),
        )
    if connections < _wanted(threads):
        log.warning(
            "Each process may open %d files only, so a worker takes at most %d connections at a time%s; "
            "raise the limit (ulimit -n, LimitNOFILE) to %d or more, or lower PREDICTOR_MAX_QUEUE",
            resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            connections,
            "" if connections > threads else ", and keeps none of them open for another request",
            _FILES + threads * _FILES_OF_THREAD + _wanted(threads),
        )


def _check_data(folder: Path) -> None:
    if kind := unfit(folder):
        _stop(
            f"PREDICTOR_DATA={folder} is on a file system of type {kind}, whose file locks and shared memory "
            "do not work across processes; choose a folder on a local disk."
        )
    with _explained(f"PREDICTOR_DATA={folder} cannot be used", "choose a folder that the service can write"):
        folder.mkdir(parents=True, exist_ok=True)
        # A folder that cannot be written may hold models that can be served.
        next(folder.iterdir(), None)


def _check_store(store: str) -> None:
    """Prove the store."""
    try:
        found = _run("predictor.cluster.proof", _PROOF_SECONDS)
    except subprocess.TimeoutExpired:
        return  # It does not answer: the service goes on with the models that it has, and says so.
    if found.returncode in {_BROKEN, _CRASHED}:
        _stop(f"PREDICTOR_STORE={store} cannot be used: {found.stdout or 'the lines above say why'}.")


def _run(module: str, seconds: float) -> "subprocess.CompletedProcess[str]":
    """Run what needs the store's library, which does not survive the fork of the workers, in another process.

    The process is in this folder, as the data folder may be given relative to it.
    """
    path = os.pathsep.join(filter(None, (str(_CLONE), os.environ.get("PYTHONPATH"))))
    return subprocess.run(  # noqa: S603 (the command is our own)
        [sys.executable, "-P", "-m", module],
        env=os.environ | {"PYTHONPATH": path},
        check=False,
        stdout=subprocess.PIPE,
        text=True,
        timeout=seconds,
    )


def _check_bind(bind: str) -> None:
    """Check that the address can be listened on; whether another process does, gunicorn finds out."""
    if bind.startswith("unix:"):
        _check_socket(Path(bind.removeprefix("unix:")))
        return
    host, _, port = bind.rpartition(":")
    address = host.strip("[]")
    with (
        _explained(f"PREDICTOR_BIND={bind} cannot be used", "choose an address and a port of this machine"),
        socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe,
    ):
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        probe.bind((address, int(port)))


def _check_socket(path: Path) -> None:
    if len(os.fsencode(path)) > _LONGEST_SOCKET or not os.access(path.parent, os.W_OK | os.X_OK):
        _stop(
            f"PREDICTOR_BIND=unix:{path} cannot be used: its folder cannot be written, or the path has more "
            f"than {_LONGEST_SOCKET} bytes."
        )
    if (path.exists() or path.is_symlink()) and not path.is_socket():
        _stop(
            f"PREDICTOR_BIND=unix:{path} cannot be used: a file or folder that is no socket has this path; "
            "choose another path."
        )


@contextmanager
def _explained(what: str, advice: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno != errno.EADDRINUSE:
            _stop(f"{what}: {error.strerror}; {advice}.")


def _stop(sentence: str) -> NoReturn:
    sys.exit(f"Configuration: {sentence}")
