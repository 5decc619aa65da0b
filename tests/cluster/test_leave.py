"""A machine that is stopped says so, unless another server goes on with its data folder."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from obstore.store import LocalStore

from predictor.cluster import leave
from tests.cluster.conftest import Machine


@pytest.fixture
def one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    """A machine whose settings are those of this process."""
    monkeypatch.setenv("PREDICTOR_STORE", f"file://{tmp_path}/bucket")
    monkeypatch.setenv("PREDICTOR_DATA", str(tmp_path / "a"))
    monkeypatch.setenv("PREDICTOR_MACHINE", "a")
    made = Machine(tmp_path / "a", LocalStore(str(tmp_path / "bucket"), mkdir=True), "a").start()
    yield made
    made.follower.stop()


def test_stopped(one: Machine) -> None:
    """After the last worker the machine is none of those that live."""
    one.follower.stop()
    assert one.machines.known() == ["a"]

    leave.main()

    assert one.machines.known() == []


def test_followed_by_another_server(one: Machine) -> None:
    """While a worker follows the store, the machine lives."""
    leave.main()

    assert one.machines.alive("a")


def test_silent_store(one: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the store cannot be used, the stop goes on."""
    one.follower.stop()
    monkeypatch.setenv("PREDICTOR_STORE", "az://bucket/x")
    monkeypatch.setenv("AZURE_STORAGE_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "a")
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_KEY", "c2VjcmV0")

    leave.main()

    assert one.machines.known() == ["a"]
