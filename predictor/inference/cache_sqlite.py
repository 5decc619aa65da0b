"""The cache that the workers of one machine share: an SQLite file.

Among files, SQLite and others, this was the quickest to read with 10 000 entries, is bounded by one
DELETE a write, and survives a killed writer. Values are JSON text, never pickles.
"""

import json
import sqlite3
import threading
import time
from pathlib import Path
from typing import Any

from cachelib.serializers import BaseSerializer
from flask_caching.backends.base import BaseCache

MAX_ENTRIES = 10_000
_LOCK_TIMEOUT_SECONDS = 0.05


class JsonSerializer(BaseSerializer):
    """Values as JSON: what is read from a shared store can never become code."""

    def dumps(self, value: Any, protocol: int = 0) -> bytes:  # noqa: ARG002 (the base class's signature)
        """The value as JSON bytes."""
        return json.dumps(value, separators=(",", ":")).encode()

    def loads(self, bvalue: bytes | None) -> Any:
        """The value of JSON bytes, and None where there are none; ValueError if they are not JSON."""
        try:
            return None if bvalue is None else json.loads(bvalue)
        except (TypeError, RecursionError) as error:
            raise ValueError("A value in the cache is not text, or its JSON is too deep.") from error


class SqliteCache(BaseCache):
    """Key and value pairs in one SQLite file; the oldest go when there are too many.

    Every operation raises `sqlite3.Error` when the file cannot be used.

    Args:
        path: the file; its folder must exist.
        max_entries: how many entries are kept.
        default_timeout: seconds an entry lives if `set` does not say.
    """

    serializer = JsonSerializer()

    def __init__(self, path: Path, max_entries: int = MAX_ENTRIES, default_timeout: int = 300) -> None:
        super().__init__(default_timeout=default_timeout)
        self._path = path
        self._max_entries = max_entries
        self._threads = threading.local()

    @classmethod
    def factory(cls, _app: Any, config: dict[str, Any], _args: list[Any], _kwargs: Any) -> "SqliteCache":
        """What flask-caching calls with `CACHE_DIR`."""
        return cls(Path(config["CACHE_DIR"]) / "answers.sqlite3")

    def get(self, key: str) -> Any:
        """The value, or None if there is none or its time is over."""
        row = (
            self._connection()
            .execute("SELECT value FROM answers WHERE key = ? AND expires >= ?", (key, time.time()))
            .fetchone()
        )
        return None if row is None else self.serializer.loads(row[0])

    def set(self, key: str, value: Any, timeout: Any = None) -> bool:
        """Keep a value for `timeout` seconds, and drop the oldest beyond the bound."""
        expires = time.time() + (self.default_timeout if timeout is None else timeout)
        connection = self._connection()
        # Each write takes the next id, so the ids' distance bounds the number of rows without counting.
        newest = connection.execute(
            "INSERT OR REPLACE INTO answers (key, expires, value) VALUES (?, ?, ?)",
            (key, expires, self.serializer.dumps(value)),
        ).lastrowid
        connection.execute("DELETE FROM answers WHERE id <= ?", ((newest or 0) - self._max_entries,))
        return True

    def delete(self, key: str) -> bool:
        """Forget a value; True if there was one."""
        return self._connection().execute("DELETE FROM answers WHERE key = ?", (key,)).rowcount > 0

    def clear(self) -> bool:
        """Forget everything."""
        self._connection().execute("DELETE FROM answers")
        return True

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection: SQLite's may not be shared between threads."""
        connection: sqlite3.Connection | None = getattr(self._threads, "connection", None)
        if connection is None:
            connection = self._threads.connection = _open(self._path)
        return connection


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None)
    try:
        connection.execute("PRAGMA journal_mode = WAL")
        # A cache may lose its last entries with the power; it must not wait for the disk.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS answers"
            " (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, expires REAL, value BLOB)"
        )
    except sqlite3.Error:
        connection.close()
        raise
    return connection
