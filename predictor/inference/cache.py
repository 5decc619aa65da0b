"""Answers already computed; equal requests run once. The only user of flask_caching.

Keys are digests of contents, so an answer never grows stale: another picture or another model has
another key. A cache that fails is counted and passed by; it never fails a request.
"""

import logging
import sqlite3
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any, TypeVar

import flask_caching
from flask import Flask

from predictor.config import Settings
from predictor.inference.cache_sqlite import JsonSerializer

ANSWER_SECONDS = 86_400
RECENT = 500
"""How many answers each worker has at hand, about a kilobyte each."""
_PAUSE_SECONDS = 2.0
_REDIS_SECONDS = 0.2
T = TypeVar("T")

Read = Callable[[Any], T | None]
"""From the JSON value that a store gives to what it means; None if it has another form than was kept."""

log = logging.getLogger(__name__)


class Cache:
    """What the workers share, and what one worker is computing at this moment.

    Args:
        settings: `cache` says where answers are kept.
        count: told `hit`, `miss`, `shared` (another request was computing it) or `error`.
    """

    def __init__(self, settings: Settings, count: Callable[[str], None]) -> None:
        self.enabled = settings.cache != "off"
        self._count = count
        self._store = flask_caching.Cache(config=_configuration(settings))
        self._failures = _failures(settings)
        self._paused_until = 0.0
        self._flights: dict[str, Future[Any]] = {}
        self._computing: dict[str, Future[Any]] = {}
        self._recent: dict[str, Any] = {}
        self._lock = threading.Lock()

    @property
    def failing(self) -> bool:
        """Whether the store failed lately, so that it is not asked for a while."""
        return time.monotonic() < self._paused_until

    def init_app(self, app: Flask) -> None:
        """Connect the store with the application, as flask-caching wants it."""
        self._store.init_app(app)

    def find(self, key: str, read: Read[T]) -> T | None:
        """The value kept under a key; None if there is none, or one of another form, which counts as `error`.

        Others may write to the store, and what an earlier release kept there may have had another form.
        """
        if (kept := self._pass_by(lambda: self._store.get(key))) is None:
            return None
        if (value := read(kept)) is None:
            self._count("error")
            log.warning("The cache holds a value of an unknown form, which is ignored")
        return value

    def keep(self, key: str, value: Any, seconds: int = ANSWER_SECONDS) -> None:
        """Keep a JSON value for some seconds; for none, nothing is kept."""
        if seconds > 0:  # to the stores, 0 would mean for ever
            self._pass_by(lambda: self._store.set(key, value, timeout=seconds))

    def known(self, key: str, read: Read[T]) -> T | None:
        """The value kept under the digest of what it was made from, or None, as `find` gives it.

        Those that this worker had or made lately are had without the store: such a value never changes.
        """
        kept: T | None = self._recent.get(key)
        if kept is None and (kept := self.find(key, read)) is not None:
            with self._lock:
                self._remember(key, kept)
        return kept

    def share(self, key: str, computing: Future[T], value: Callable[[T], Any]) -> Future[T] | None:
        """Let callers who ask the same at the same time share what one of them computes.

        Args:
            key: what the value is kept under.
            computing: what the caller is about to compute.
            value: gives the JSON value of its result, which this worker knows from then on.

        Returns:
            The caller's own future, that of another caller who computes the key already, or None if the value
            has become known meanwhile.
        """
        with self._lock:
            if key in self._recent:
                return None
            flight = self._flights.setdefault(key, computing)
        if flight is computing:
            computing.add_done_callback(lambda done: self._landed(key, done, value))
        return flight

    def _landed(self, key: str, done: Future[T], value: Callable[[T], Any]) -> None:
        with self._lock:
            del self._flights[key]
            if done.exception() is None:
                self._remember(key, value(done.result()))

    def once(self, key: str, compute: Callable[[], T]) -> tuple[T, bool]:
        """Compute a value, or wait for the caller that is computing it; the error is shared as well.

        Returns:
            The value, and whether another caller computed it.
        """
        if not self.enabled:
            return compute(), False
        with self._lock:
            flight = self._flights.get(key)
            mine = self._flights.setdefault(key, Future()) if flight is None else flight
        try:
            if flight is not None:
                return flight.result(), True
            try:
                mine.set_result(compute())
            except BaseException as error:  # noqa: BLE001 (raised below, in this caller and in all who wait)
                mine.set_exception(error)
            finally:
                with self._lock:
                    del self._flights[key]
            return mine.result(), False
        finally:
            # An error whose frames hold the flight that holds it would stay until the collector comes by.
            flight = mine = None  # type: ignore[assignment]

    def _remember(self, key: str, value: Any) -> None:
        self._recent[key] = value
        if len(self._recent) > RECENT:
            del self._recent[next(iter(self._recent))]

    def _pass_by(self, operation: Callable[[], Any]) -> Any:
        if not self.enabled:
            return None
        if time.monotonic() < self._paused_until:
            self._count("error")
            return None
        try:
            return operation()
        except self._failures as error:
            self._count("error")
            # A store that is down is asked again now and then, not by every request.
            self._paused_until = time.monotonic() + _PAUSE_SECONDS
            log.warning("The cache failed and is not used: %s", type(error).__name__)
            return None


def cache_folder(settings: Settings) -> Path:
    """Where the machine's shared cache lives."""
    return settings.data / "cache"


def _configuration(settings: Settings) -> dict[str, Any]:
    if settings.cache == "off":
        return {"CACHE_TYPE": "NullCache", "CACHE_NO_NULL_WARNING": True}
    if settings.cache == "on":
        backend = "predictor.inference.cache_sqlite.SqliteCache"
        return {"CACHE_TYPE": backend, "CACHE_DIR": str(cache_folder(settings))}
    return _redis_configuration(settings.cache)


def _redis_configuration(url: str) -> dict[str, Any]:
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    timeouts = {"socket_timeout": _REDIS_SECONDS, "socket_connect_timeout": _REDIS_SECONDS}
    return {
        "CACHE_TYPE": "RedisCache",
        "CACHE_REDIS_URL": url,
        "CACHE_KEY_PREFIX": "predictor:",
        "CACHE_SERIALIZER": JsonSerializer,
        "CACHE_OPTIONS": timeouts | {"retry": Retry(NoBackoff(), 0)},
    }


def _remote(settings: Settings) -> bool:
    """Whether the store may be on another machine."""
    return settings.cache.startswith("redis")


def _failures(settings: Settings) -> tuple[type[Exception], ...]:
    """What the chosen store raises when it cannot be used, or holds what is not JSON."""
    if _remote(settings):
        from redis import RedisError

        return (RedisError, OSError, ValueError)
    return (sqlite3.Error, OSError, ValueError)
