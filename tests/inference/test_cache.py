"""Answers are shared, computed once, bounded, and never the reason of a failure."""

import contextlib
import logging
import pickle
import re
import socket
import sqlite3
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from predictor.config import Settings
from predictor.errors import InvalidImage
from predictor.inference.cache import FORM, RECENT, Cache, cache_folder
from predictor.inference.cache_sqlite import SqliteCache
from tests.patience import PATIENCE


class Counted:
    """A computation that counts its calls and can be held up."""

    def __init__(self, value: object = "value") -> None:
        self.value = value
        self.calls = 0
        self.gate = threading.Event()
        self.gate.set()
        self.started = threading.Event()

    def __call__(self) -> object:
        """Give the value."""
        self.calls += 1
        self.started.set()
        assert self.gate.wait(PATIENCE)
        if isinstance(self.value, Exception):
            raise self.value
        return self.value


def as_kept(value: Any) -> Any:
    """Any value is one of the expected form."""
    return value


def answer(cache: Cache, key: str, compute: Counted, read: Callable[[Any], Any]) -> tuple[Any, bool]:
    """What a request does: the value, and whether it came without computing it here."""
    while (known := cache.known(key, read)) is None:
        mine = Future[Any]()
        computing = cache.share(key, mine, lambda value: value)
        if computing is mine:
            return computed(cache, key, compute, mine), False
        if computing is not None:
            return computing.result(30), True
    return known, True


def computed(cache: Cache, key: str, compute: Counted, mine: Future[Any]) -> Any:
    """Compute a value, for all who wait for it."""
    try:
        mine.set_result(compute())
    except InvalidImage as error:
        mine.set_exception(error)
    value = mine.result()
    cache.keep(key, value)
    return value


@pytest.fixture
def results() -> list[str]:
    """What the cache counted."""
    return []


@pytest.fixture
def make_cache(tmp_path: Path, results: list[str]) -> Iterator[Callable[..., Cache]]:
    """Build a cache, as another worker of the same machine does; it is closed after the test."""
    with contextlib.ExitStack() as made:

        def make(setting: str = "on") -> Cache:
            settings = Settings(data=tmp_path, cache=setting)
            cache_folder(settings).mkdir(exist_ok=True)
            cache = Cache(settings, results.append)
            cache.init_app(Flask("test"))
            made.callback(cache.close)
            return cache

        yield make


def test_hit(make_cache: Callable[..., Cache], results: list[str]) -> None:
    """A second request is answered without computing."""
    cache, compute = make_cache(), Counted([[281, 0.5]])

    assert answer(cache, "key", compute, as_kept) == ([[281, 0.5]], False)
    assert answer(cache, "key", compute, as_kept) == ([[281, 0.5]], True)
    assert compute.calls == 1
    assert results == []


def test_shared_between_workers(make_cache: Callable[..., Cache]) -> None:
    """What one worker computed, another one answers."""
    answer(make_cache(), "key", Counted("first"), as_kept)

    assert answer(make_cache(), "key", Counted("second"), as_kept) == ("first", True)


def test_at_hand(tmp_path: Path, make_cache: Callable[..., Cache]) -> None:
    """What a worker was asked for lately it has without the store."""
    cache = make_cache()
    answer(cache, "key", Counted("first"), as_kept)
    (cache_folder(Settings(data=tmp_path)) / "answers.sqlite3").unlink()
    other = make_cache()

    assert answer(cache, "key", Counted("again"), as_kept) == ("first", True)
    assert answer(other, "key", Counted("again"), as_kept) == ("again", False)


def test_at_hand_bound(make_cache: Callable[..., Cache]) -> None:
    """Without a store a worker still knows its latest answers, and only so many of them."""
    cache = make_cache("redis://127.0.0.1:1/0")
    for number in range(RECENT + 1):
        answer(cache, str(number), Counted(number), as_kept)

    assert answer(cache, str(RECENT), Counted("again"), as_kept) == (RECENT, True)
    assert answer(cache, "0", Counted("again"), as_kept) == ("again", False)


def test_computed_once(make_cache: Callable[..., Cache]) -> None:
    """Equal requests at the same time compute once, and all get the value."""
    cache, compute = make_cache(), Counted()
    compute.gate.clear()

    with ThreadPoolExecutor(8) as pool:
        futures = [pool.submit(answer, cache, "key", compute, as_kept) for _ in range(8)]
        assert compute.started.wait(PATIENCE)
        compute.gate.set()
        answers = [future.result(PATIENCE)[0] for future in futures]

    assert answers == ["value"] * 8
    assert compute.calls == 1


@pytest.mark.promise("O5")
def test_error_is_shared_and_not_kept(make_cache: Callable[..., Cache]) -> None:
    """An error reaches everyone who waited, and the next request computes again."""
    cache = make_cache()

    with pytest.raises(InvalidImage):
        answer(cache, "key", Counted(InvalidImage("broken")), as_kept)

    assert answer(cache, "key", Counted("mended"), as_kept) == ("mended", False)


def test_off(make_cache: Callable[..., Cache], results: list[str]) -> None:
    """Switched off, nothing is kept or shared, and nothing is counted."""
    cache, compute = make_cache("off"), Counted()

    cache.keep("key", "value")

    assert not cache.enabled
    assert cache.find("key", as_kept) is None
    assert [cache.once("key", compute) for _ in range(3)] == [("value", False)] * 3
    assert compute.calls == 3
    assert results == []


def test_forget(make_cache: Callable[..., Cache]) -> None:
    """What was kept is gone when it is to be forgotten, and what was not kept may be."""
    cache = make_cache()
    cache.keep("key", "value")

    cache.forget("key")
    cache.forget("other")

    assert cache.find("key", as_kept) is None


def test_expiry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An entry is gone when its time is over."""
    now = 1000.0
    monkeypatch.setattr("time.time", lambda: now)
    cache = SqliteCache(tmp_path / "cache.sqlite3")
    cache.set("key", "value", timeout=10)

    assert cache.get("key") == "value"
    now = 1011.0
    assert cache.get("key") is None


@pytest.mark.promise("O5")
def test_bound(tmp_path: Path) -> None:
    """The newest entries stay, however many are written."""
    cache = SqliteCache(tmp_path / "cache.sqlite3", max_entries=10)
    for number in range(100):
        cache.set(f"key {number}", number)
        cache.set("same", number)

    kept = [number for number in range(100) if cache.get(f"key {number}") is not None]

    assert kept == [95, 96, 97, 98, 99]
    assert cache.get("same") == 99


def test_delete_and_clear(tmp_path: Path) -> None:
    """Entries can be forgotten, one or all."""
    cache = SqliteCache(tmp_path / "cache.sqlite3")
    cache.set("a", 1)
    cache.set("b", 2)

    assert cache.delete("a")
    assert not cache.delete("a")
    assert (cache.get("a"), cache.get("b")) == (None, 2)
    cache.clear()
    assert cache.get("b") is None


def test_damaged_file(tmp_path: Path, make_cache: Callable[..., Cache], results: list[str]) -> None:
    """A store that cannot be read is counted and passed by, without asking it for every request."""
    cache_folder(Settings(data=tmp_path)).mkdir()
    database(tmp_path).write_bytes(b"no database at all " * 100)
    cache = make_cache()
    eventually(lambda: cache.failing)

    assert answer(cache, "key", Counted("a"), as_kept) == ("a", False)
    assert answer(cache, "other", Counted("b"), as_kept) == ("b", False)
    assert "error" in results


class Touch:
    """Makes a file when it is read as a pickle."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[[Path], None], tuple[Path]]:
        """How a pickle is told to call something."""
        return Path.touch, (self.path,)


@pytest.mark.promise("O4")
def test_foreign_entry(tmp_path: Path, make_cache: Callable[..., Cache], results: list[str]) -> None:
    """An entry that is a pickle is a failure of the cache, and nothing in it is executed."""
    executed = tmp_path / "executed"
    pickled = pickle.dumps(Touch(executed))
    pickle.loads(pickled)
    assert executed.exists()
    executed.unlink()
    cache = make_cache()
    answer(cache, "key", Counted("value"), as_kept)
    with sqlite3.connect(cache_folder(Settings(data=tmp_path)) / "answers.sqlite3") as connection:
        connection.execute("UPDATE answers SET value = ?", (pickled,))

    # Another worker, which has nothing at hand.
    assert answer(make_cache(), "key", Counted("again"), as_kept) == ("again", False)
    assert "error" in results
    assert not executed.exists()


def text(value: Any) -> str | None:
    """Texts are of the expected form."""
    return value if isinstance(value, str) else None


def database(data: Path) -> Path:
    """The file that the workers of a machine share."""
    return cache_folder(Settings(data=data)) / "answers.sqlite3"


def change(data: Path, statement: str, value: object) -> None:
    """Change what is kept, as another program may."""
    with sqlite3.connect(database(data)) as connection:
        assert connection.execute(statement, (value,)).rowcount > 0


def number(value: Any) -> int | None:
    """Numbers are of the expected form."""
    return value if isinstance(value, int) else None


def test_other_form(make_cache: Callable[..., Cache], results: list[str]) -> None:
    """A value of another form is counted, computed again, and replaced for the other workers."""
    make_cache().keep("key", {"a": 1})

    assert answer(make_cache(), "key", Counted(7), number) == (7, False)
    assert results == ["error"]
    assert answer(make_cache(), "key", Counted(8), number) == (7, True)


@pytest.mark.promise("O4")
@pytest.mark.parametrize("stored", [5, 2.5, "[" * 200_000, "nothing", b"\xff\xfe", "1" * 10_000, None])
def test_no_json(tmp_path: Path, make_cache: Callable[..., Cache], stored: object) -> None:
    """What is no JSON text, whatever its type in the store, is computed again and replaced."""
    answer(make_cache(), "key", Counted("6"), text)
    change(tmp_path, "UPDATE answers SET value = ?", stored)
    cache = make_cache()

    assert answer(cache, "key", Counted("7"), text) == ("7", False)
    assert not cache.failing
    assert answer(make_cache(), "key", Counted("8"), text) == ("7", True)


def test_no_text(tmp_path: Path, make_cache: Callable[..., Cache]) -> None:
    """What another program stored as text that is not UTF-8 is replaced as well."""
    answer(make_cache(), "key", Counted("6"), text)
    change(tmp_path, "UPDATE answers SET value = CAST(? AS TEXT)", b"\xff\xfe")

    assert answer(make_cache(), "key", Counted("7"), text) == ("7", False)
    assert answer(make_cache(), "key", Counted("8"), text) == ("7", True)


def test_form_in_the_key(
    tmp_path: Path, make_cache: Callable[..., Cache], monkeypatch: pytest.MonkeyPatch
) -> None:
    """A release with another form of values neither reads nor replaces what this one keeps."""
    answer(make_cache(), "key", Counted("this"), text)
    with monkeypatch.context() as other:
        other.setattr("predictor.inference.cache.FORM", FORM + 1)
        assert answer(make_cache(), "key", Counted("other"), text) == ("other", False)

    assert answer(make_cache(), "key", Counted("again"), text) == ("this", True)


def eventually(condition: Callable[[], bool]) -> None:
    """Wait until a condition holds."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "this did not become true"
        time.sleep(0.02)


def lines(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The levels of what was logged of the cache, but for caches of other tests whose folders are gone."""
    said = (record for record in caplog.records if "cache" in record.message)
    return [record.levelname for record in said if "FileNotFoundError" not in record.message]


@pytest.mark.promise("O7")
def test_locked_file(
    tmp_path: Path, make_cache: Callable[..., Cache], caplog: pytest.LogCaptureFixture
) -> None:
    """A file that another program holds is passed by until it is free, and each is logged once."""
    caplog.set_level(logging.INFO)
    cache = make_cache()
    answer(cache, "first", Counted("first"), text)
    holder = sqlite3.connect(database(tmp_path), isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")

    answers = [answer(cache, str(key), Counted(str(key)), text) for key in range(20)]
    assert cache.failing
    holder.close()
    eventually(lambda: not cache.failing and "INFO" in lines(caplog))

    assert answers == [(str(key), False) for key in range(20)]
    assert lines(caplog) == ["WARNING", "INFO"]
    cache.keep("later", "kept")
    assert make_cache().find("later", text) == "kept"


@pytest.mark.promise("O7")
@pytest.mark.parametrize("damage", [b"no database at all " * 1000, b"SQLite format 3\0" + b"\xff" * 30_000])
@pytest.mark.parametrize("in_use", [False, True])
def test_damaged_file_is_replaced(
    tmp_path: Path, make_cache: Callable[..., Cache], damage: bytes, in_use: bool
) -> None:
    """A damaged file is made again, and all workers share the new one."""
    one, other = make_cache(), make_cache()
    for cache in (one, other) if in_use else ():
        answer(cache, "first", Counted("first"), text)
    with contextlib.closing(sqlite3.connect(database(tmp_path))) as connection:
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    database(tmp_path).write_bytes(damage)
    for number in range(5):
        assert answer(one, f"meanwhile {number}", Counted("computed"), text)[0] == "computed"

    def shared() -> bool:
        one.keep("later", "kept")
        return other.find("later", text) == "kept"

    eventually(shared)
    assert make_cache().find("later", text) == "kept"


def test_removed_file(tmp_path: Path, make_cache: Callable[..., Cache]) -> None:
    """A file that was removed while it was in use is made again, and the workers go on sharing."""
    one, other = make_cache(), make_cache()
    for cache in (one, other):
        answer(cache, "first", Counted("first"), text)
    database(tmp_path).unlink()

    one.keep("later", "kept")

    assert other.find("later", text) == "kept"


def test_made_at_the_same_moment(make_cache: Callable[..., Cache], results: list[str]) -> None:
    """Workers and threads that begin together make one file, and none of them fails."""
    for _ in range(5):
        caches = [make_cache() for _ in range(4)]
        with ThreadPoolExecutor(8) as pool:
            list(pool.map(lambda cache: cache.keep("key", "kept"), caches * 4))

    assert results == []
    assert make_cache().find("key", text) == "kept"


def test_redis_down(make_cache: Callable[..., Cache], results: list[str]) -> None:
    """A Redis that is not there never fails a request."""
    cache = make_cache("redis://127.0.0.1:1/0")

    assert answer(cache, "key", Counted("a"), as_kept) == ("a", False)
    assert "error" in results
    assert cache.failing


@pytest.mark.parametrize(
    ("url", "place"),
    [
        ("redis://:secret@127.0.0.1:1/0", "Redis at 127.0.0.1:1"),
        ("redis://secretly:secret@[::1]:1/0?protocol=3", "Redis at [::1]:1"),
        ("rediss://localhost", "Redis at localhost:6379"),
    ],
)
def test_redis_is_named(
    make_cache: Callable[..., Cache], caplog: pytest.LogCaptureFixture, url: str, place: str
) -> None:
    """The line of a Redis that fails has its address, and neither user nor password."""
    cache = make_cache(url)

    answer(cache, "key", Counted("a"), as_kept)
    eventually(lambda: "cache failed" in caplog.text)

    assert re.search(
        rf"The cache failed and is not used: \w+ \({re.escape(place)}\)$", caplog.text, re.MULTILINE
    )
    assert "secret" not in caplog.text


def test_failing_before_any_request(make_cache: Callable[..., Cache]) -> None:
    """That a store fails is known without any request, and one that is switched off never does."""
    cache, off = make_cache("redis://127.0.0.1:1/0"), make_cache("off")

    eventually(lambda: cache.failing)
    assert not off.failing


class HangingServer:
    """Takes connections and never answers, or takes none at all; its kernel does the rest.

    Args:
        backlog: with 0 and nobody who accepts, further connections are never established.
    """

    def __init__(self, backlog: int) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=backlog)
        self.url = f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"
        self._filling = list[socket.socket]()

    def fill(self) -> None:
        """Take all places of the queue, so that the kernel drops what comes after them."""
        for _ in range(8):
            connection = socket.socket()
            connection.setblocking(False)
            connection.connect_ex(self._listener.getsockname())
            self._filling.append(connection)

    def connections(self) -> int:
        """How many connections wait to be accepted; they are accepted, and kept open."""
        self._listener.setblocking(False)
        before = len(self._filling)
        with contextlib.suppress(BlockingIOError):
            while True:
                self._filling.append(self._listener.accept()[0])
        return len(self._filling) - before

    def close(self) -> None:
        """Close everything."""
        for connection in (*self._filling, self._listener):
            connection.close()


@pytest.mark.promise("O7")
@pytest.mark.parametrize("dropping", [False, True])
def test_redis_hangs(make_cache: Callable[..., Cache], results: list[str], dropping: bool) -> None:
    """A Redis that takes connections and never answers, or drops packets, is passed by after one time-out."""
    server = HangingServer(backlog=0 if dropping else 128)
    if dropping:
        server.fill()
    try:
        cache = make_cache(server.url)
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda key: answer(cache, key, Counted(key), text), map(str, range(200))))
        failing, connections = cache.failing, 0 if dropping else server.connections()
    finally:
        cache.close()
        server.close()

    assert answers == [(str(key), False) for key in range(200)]
    assert failing
    assert results.count("error") == 2 * 200
    # Each thread may have been on its way, and the one that watches.
    assert connections <= 9
