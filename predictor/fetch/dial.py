"""A host and a port -> a connected socket, within a deadline, to an address that was permitted.

A name is resolved once, every answer must be permitted, and the socket is connected to an answer itself:
there is no second lookup that could differ from the one that was checked.
"""

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Any, Self

from predictor.errors import FetchBlocked, FetchFailed, FetchTimeout
from predictor.fetch import addresses
from predictor.fetch.addresses import AllowList

LOOKUP_SECONDS = 2.0
CONNECT_SECONDS = 2.0
MAX_LOOKUPS = 32

BLOCKED = (
    "The image URL is not allowed: its host has an address that is not public. PREDICTOR_FETCH_ALLOW can "
    "open the host or its network."
)
BLOCKED_PORT = (
    "The image URL is not allowed: its port is not 80 or 443. PREDICTOR_FETCH_ALLOW can open the host with "
    "its port."
)
UNKNOWN = "The host name of the image URL could not be resolved."
UNREACHABLE = "The server of the image URL could not be reached."
REFUSED = "The server of the image URL could not be reached: it refused the connection."
LATE = "The download of the image took longer than allowed."

Answer = tuple[int, int, int, str, tuple[Any, ...]]
Resolve = Callable[[str, int], Sequence[Answer]]


def system_answers(host: str, port: int) -> Sequence[Answer]:
    """What the system's resolver answers, as `socket.getaddrinfo` gives it."""
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Deadline:
    """The moment when a download is over: the connection watched is then shut, whatever waits for it."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds
        self._lock = threading.Lock()
        self._watched: socket.socket | None = None
        self._over = False
        self._timer = threading.Timer(seconds, self._expire)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        try:
            self._timer.start()
        except RuntimeError as error:
            raise FetchFailed(UNREACHABLE) from error
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()
        with self._lock:
            self._release()

    @property
    def expired(self) -> bool:
        """Whether the time is over."""
        return self._over or time.monotonic() >= self._end

    def remaining(self) -> float:
        """Seconds left; never 0, which a socket takes for "do not wait"."""
        return max(self._end - time.monotonic(), 0.001)

    def check(self) -> None:
        """Go on only while there is time.

        Raises:
            FetchTimeout: the time is over.
        """
        if self.expired:
            raise FetchTimeout(LATE)

    def watch(self, connection: socket.socket) -> None:
        """Shut this connection when the time is over, in place of the one watched before.

        Raises:
            FetchTimeout: the time is over already, and nothing would shut it any more.
        """
        with self._lock:
            self._release()
            self.check()
            self._watched = connection.dup()  # TLS takes the descriptor away from the original object

    def _expire(self) -> None:
        with self._lock, contextlib.suppress(OSError):
            self._over = True
            if self._watched is not None:
                self._watched.shutdown(socket.SHUT_RDWR)

    def _release(self) -> None:
        if self._watched is not None:
            self._watched.close()
            self._watched = None


class Dialer:
    """Opens connections to what an allow list admits; serves any number of threads.

    Args:
        allow: what may be reached.
        resolve: gives the answers for a host and a port.
    """

    def __init__(self, allow: AllowList, resolve: Resolve = system_answers) -> None:
        self._allow = allow
        self._resolve = resolve
        # A lookup that never ends keeps its thread, so their number is bounded.
        self._free_lookups = threading.BoundedSemaphore(MAX_LOOKUPS)

    def dial(self, deadline: Deadline, host: str, port: int) -> socket.socket:
        """A connected socket, watched by `deadline`.

        Raises:
            FetchBlocked: the port, or one of the addresses that `host` resolves to, is not permitted.
            FetchFailed: the name does not resolve, or no address accepts the connection.
            FetchTimeout: no connection in time.
        """
        # The sentence hangs on the port alone, so that it tells nothing of what a name resolves to.
        blocked = BLOCKED if port in addresses.WEB_PORTS else BLOCKED_PORT
        if not self._allow.admits_port(host, port):
            raise FetchBlocked(blocked)
        answers = self._answers(deadline, host, port)
        if not all(self._allow.admits(host, *answer[4][:2]) for answer in answers):
            raise FetchBlocked(blocked)
        return _connect_any(answers, deadline)

    def _answers(self, deadline: Deadline, host: str, port: int) -> Sequence[Answer]:
        end = time.monotonic() + min(deadline.remaining(), LOOKUP_SECONDS)
        try:
            lookup = self._lookup(end - time.monotonic(), host, port)
            answers = lookup.result(timeout=max(end - time.monotonic(), 0))
        except TimeoutError as error:
            raise FetchTimeout(LATE) from error
        except (OSError, UnicodeError) as error:
            raise FetchFailed(UNKNOWN) from error
        if not answers:
            raise FetchFailed(UNKNOWN)
        return answers

    def _lookup(self, seconds: float, host: str, port: int) -> "Future[Sequence[Answer]]":
        # `getaddrinfo` knows no timeout: it runs in a thread that a late download leaves behind.
        if not self._free_lookups.acquire(timeout=seconds):
            raise TimeoutError
        future: Future[Sequence[Answer]] = Future()
        try:
            threading.Thread(target=self._resolve_into, args=(future, host, port), daemon=True).start()
        except RuntimeError as error:
            self._free_lookups.release()
            raise FetchFailed(UNREACHABLE) from error
        return future

    def _resolve_into(self, future: "Future[Sequence[Answer]]", host: str, port: int) -> None:
        try:
            future.set_result(self._resolve(host, port))
        except (OSError, UnicodeError) as error:
            future.set_exception(error)
        finally:
            self._free_lookups.release()


def _connect_any(answers: Sequence[Answer], deadline: Deadline) -> socket.socket:
    last: OSError | None = None
    for answer in answers:
        try:
            return _connect(answer, deadline)
        except OSError as error:
            last = error
    if isinstance(last, TimeoutError) or deadline.expired:
        raise FetchTimeout(LATE)
    raise FetchFailed(REFUSED if isinstance(last, ConnectionRefusedError) else UNREACHABLE)


def _connect(answer: Answer, deadline: Deadline) -> socket.socket:
    family, kind, protocol, _, address = answer
    connection = socket.socket(family, kind, protocol)
    try:
        connection.settimeout(min(deadline.remaining(), CONNECT_SECONDS))
        connection.connect(address)
        _check_peer(connection, address)
        deadline.watch(connection)
        connection.settimeout(deadline.remaining())
    except BaseException:
        connection.close()
        raise
    return connection


def _check_peer(connection: socket.socket, address: tuple[Any, ...]) -> None:
    # The unspecified address, for one, connects to this machine itself.
    if connection.getpeername()[:2] != address[:2]:
        raise FetchBlocked(BLOCKED)
