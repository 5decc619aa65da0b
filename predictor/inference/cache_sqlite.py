"""The cache that the workers of one machine share: an SQLite file.

Among files, SQLite and others, this was the quickest to read with 10 000 entries, is bounded by one
DELETE a write, and survives a killed writer. Values are JSON text, never pickles.
"""

import json
import sqlite3
import threading
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from cachelib.serializers import BaseSerializer
from flask_caching.backends.base import BaseCache

from predictor.store.files import locked

MAX_ENTRIES = 10_000
_LOCK_TIMEOUT_SECONDS = 0.05
_OPEN_SECONDS = 1.0
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
T = TypeVar("T")


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


@dataclass(frozen=True)
class _Opened:
    """A thread's connection, and the inode of the file that it was opened on."""

    connection: sqlite3.Connection
    inode: int | None


class SqliteCache(BaseCache):
    """Key and value pairs in one SQLite file; the oldest go when there are too many.

    Every operation raises `sqlite3.Error` or `OSError` when the file cannot be used, and the next one opens
    it again. A damaged file is removed by the operation that finds it damaged: its answers can be computed.

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
        """The value, or None if there is none or its time is over; ValueError if it is not JSON."""
        # As bytes, whatever type another program has stored: text that is not UTF-8 could not be fetched.
        query = "SELECT CAST(value AS BLOB) FROM answers WHERE key = ? AND expires >= ?"
        row = self._run(lambda connection: connection.execute(query, (key, time.time())).fetchone())
        return None if row is None else self.serializer.loads(row[0])

    def set(self, key: str, value: Any, timeout: Any = None) -> bool:
        """Keep a value for `timeout` seconds, and drop the oldest beyond the bound."""
        expires = time.time() + (self.default_timeout if timeout is None else timeout)
        self._run(lambda connection: self._write(connection, key, expires, self.serializer.dumps(value)))
        return True

    def delete(self, key: str) -> bool:
        """Forget a value; True if there was one."""
        query = "DELETE FROM answers WHERE key = ?"
        return self._run(lambda connection: connection.execute(query, (key,)).rowcount) > 0

    def clear(self) -> bool:
        """Forget everything."""
        self._run(lambda connection: connection.execute("DELETE FROM answers"))
        return True

    def _write(self, connection: sqlite3.Connection, key: str, expires: float, value: bytes) -> None:
        # Each write takes the next id, so the ids' distance bounds the number of rows without counting.
        query = "INSERT OR REPLACE INTO answers (key, expires, value) VALUES (?, ?, ?)"
        newest = connection.execute(query, (key, expires, value)).lastrowid
        connection.execute("DELETE FROM answers WHERE id <= ?", ((newest or 0) - self._max_entries,))

    def _run(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return operation(self._connection())
        except sqlite3.Error as error:
            self._close()
            # The lowest byte is the kind of the error, the others say more about it.
            if getattr(error, "sqlite_errorcode", 0) & 0xFF in _DAMAGED:
                with suppress(OSError), self._alone():
                    _remove(self._path)
            raise

    def _connection(self) -> sqlite3.Connection:
        """This thread's connection, for SQLite's may not be shared, to the file that is there now."""
        opened: _Opened | None = getattr(self._threads, "opened", None)
        if opened is None or opened.inode != _inode(self._path):
            self._close()
            with self._alone():
                opened = self._threads.opened = _Opened(_open(self._path), _inode(self._path))
        return opened.connection

    def _alone(self) -> AbstractContextManager[None]:
        """Two that make the file at the same moment would stand in each other's way."""
        return locked(self._path.with_suffix(".lock"), _OPEN_SECONDS)

    def _close(self) -> None:
        opened: _Opened | None = getattr(self._threads, "opened", None)
        if opened is not None:
            self._threads.opened = None
            opened.connection.close()


def _inode(path: Path) -> int | None:
    try:
        return path.stat().st_ino
    except OSError:
        return None


def _remove(path: Path) -> None:
    """Remove a database with the files that SQLite keeps beside it."""
    for suffix in ("", "-wal", "-shm"):
        with suppress(OSError):
            path.with_name(path.name + suffix).unlink()


def _open(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=_LOCK_TIMEOUT_SECONDS, isolation_level=None)
    try:
        # A cache may lose its last entries with the power; it never waits for the disk.
        connection.execute("PRAGMA synchronous = OFF")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS answers"
            " (id INTEGER PRIMARY KEY AUTOINCREMENT, key TEXT UNIQUE, expires REAL, value BLOB)"
        )
    except sqlite3.Error:
        connection.close()
        raise
    return connection
