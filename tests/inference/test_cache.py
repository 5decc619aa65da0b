"""Answers are shared, computed once, bounded, and never the reason of a failure."""

import pickle
import sqlite3
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from predictor.config import Settings
from predictor.errors import InvalidImage
from predictor.inference.cache import RECENT, Cache, cache_folder
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
def make_cache(tmp_path: Path, results: list[str]) -> Callable[..., Cache]:
    """Build a cache, as another worker of the same machine does."""

    def make(setting: str = "on") -> Cache:
        settings = Settings(data=tmp_path, cache=setting)
        cache_folder(settings).mkdir(exist_ok=True)
        cache = Cache(settings, results.append)
        cache.init_app(Flask("test"))
        return cache

    return make


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
    cache = make_cache()
    (cache_folder(Settings(data=tmp_path)) / "answers.sqlite3").write_bytes(b"no database at all " * 100)

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


def number(value: Any) -> int | None:
    """Numbers are of the expected form."""
    return value if isinstance(value, int) else None


def test_other_form(make_cache: Callable[..., Cache], results: list[str]) -> None:
    """A value of another form is counted, computed again, and replaced for the other workers."""
    make_cache().keep("key", {"a": 1})

    assert answer(make_cache(), "key", Counted(7), number) == (7, False)
    assert results == ["error"]
    assert answer(make_cache(), "key", Counted(8), number) == (7, True)


@pytest.mark.parametrize("stored", [5, 2.5, "[" * 200_000, "nothing", b"\xff\xfe", "1" * 10_000, None])
def test_no_json(tmp_path: Path, make_cache: Callable[..., Cache], stored: object) -> None:
    """What is no JSON text, whatever its type in the store, is a failure of the cache or nothing at all."""
    answer(make_cache(), "key", Counted(6), number)
    with sqlite3.connect(cache_folder(Settings(data=tmp_path)) / "answers.sqlite3") as connection:
        connection.execute("UPDATE answers SET value = ?", (stored,))

    assert answer(make_cache(), "key", Counted(7), number) == (7, False)


def test_redis_down(make_cache: Callable[..., Cache], results: list[str]) -> None:
    """A Redis that is not there never fails a request."""
    cache = make_cache("redis://127.0.0.1:1/0")

    assert answer(cache, "key", Counted("a"), as_kept) == ("a", False)
    assert "error" in results
