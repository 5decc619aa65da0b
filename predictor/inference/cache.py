"""Answers already computed; equal requests run once. The only user of flask_caching.

Keys are digests of contents, so an answer never grows stale: another image or another model has
another key. A cache that fails is counted and passed by; it never fails a request.
"""

import logging
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import flask_caching
from flask import Flask

from predictor.config import Settings
from predictor.inference.breaker import CircuitBreaker
from predictor.inference.cache_sqlite import JsonSerializer

ANSWER_SECONDS = 86_400
RECENT = 500
"""How many answers each worker has at hand, about a kilobyte each."""
FORM = 1
"""The number of the form of keys and values; a change of either raises it. It stands in each key, so that
releases of different forms that share a store neither read nor replace each other's values."""
_REDIS_SECONDS = 0.2
_REDIS_PORT = 6379
_PROBE = "probe"
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
        self._breaker = CircuitBreaker(self._probe, self._failures, place=_place(settings))
        self._warned = False
        self._flights: dict[str, Future[Any]] = {}
        self._recent: dict[str, Any] = {}
        self._lock = threading.Lock()

    def init_app(self, app: Flask) -> None:
        """Connect the store with the application, as flask-caching wants it, and watch whether it works."""
        self._store.init_app(app)
        if self.enabled:
            self._breaker.start()

    def close(self) -> None:
        """Watch the store no longer."""
        self._breaker.stop()

    @property
    def failing(self) -> bool:
        """Whether the store cannot be used at the moment; predictions go on without it."""
        return self._breaker.failing

    def find(self, key: str, read: Read[T]) -> T | None:
        """The value kept under a key; None if there is none, or one of another form, which counts as `error`.

        Others may write to the store, and what an earlier release kept there may have had another form.
        """
        try:
            kept = self._pass_by(lambda: self._store.get(_stored(key)))
            if kept is None or (value := read(kept)) is not None:
                return None if kept is None else value
        except ValueError:
            pass  # no JSON
        self._count("error")
        if not self._warned:  # once, for there may be one under each key
            self._warned = True
            log.warning("The cache holds values of an unknown form, which are ignored and replaced")
        return None

    def keep(self, key: str, value: Any, seconds: int = ANSWER_SECONDS) -> None:
        """Keep a JSON value for some seconds; for none, nothing is kept."""
        if seconds > 0:  # to the stores, 0 would mean for ever
            self._pass_by(lambda: self._store.set(_stored(key), value, timeout=seconds))

    def forget(self, key: str) -> None:
        """Keep nothing under a key any more."""
        self._pass_by(lambda: self._store.delete(_stored(key)))

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
        """What an operation of the store gives; None while the store fails.

        Raises:
            ValueError: what is kept there has another form.
        """
        if not self.enabled:
            return None
        if self._breaker.failing:
            self._count("error")
            return None
        try:
            return operation()
        except self._failures as error:
            if str(error).startswith("WRONGTYPE"):  # Redis works, but the key holds no text
                raise ValueError(str(error)) from error
            self._count("error")
            self._breaker.failed(error)
            return None

    def _probe(self, failing: bool) -> None:
        """Read, and before a store that failed is used again write as well: a full one can still be read."""
        if failing:
            self._store.set(_stored(_PROBE), 1, timeout=60)
        with suppress(ValueError):  # what another program has put there
            self._store.get(_stored(_PROBE))


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


def _stored(key: str) -> str:
    return f"{FORM}:{key}"


def _remote(settings: Settings) -> bool:
    """Whether the store may be on another machine."""
    return settings.cache.startswith("redis")


def _place(settings: Settings) -> str:
    """The address of a store on the network, without user, password and options; empty for a local one."""
    if not _remote(settings):
        return ""
    url = urlsplit(settings.cache)
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    return f"Redis at {host}:{url.port or _REDIS_PORT}"


def _failures(settings: Settings) -> tuple[type[Exception], ...]:
    """What the chosen store raises when it cannot be used."""
    if _remote(settings):
        from redis import RedisError

        return (RedisError, OSError)
    return (sqlite3.Error, OSError)
