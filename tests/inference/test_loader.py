"""Workers that load at the same time take turns."""

import logging
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from predictor.inference.loader import loading_alone, loading_in_turn
from tests.patience import PATIENCE

Lock = Callable[[Path], AbstractContextManager[None]]


@pytest.mark.parametrize("lock", [loading_alone, loading_in_turn])
def test_turns(tmp_path: Path, lock: Lock) -> None:
    """One waits until the other has loaded."""
    order = list[str]()

    def second() -> None:
        with lock(tmp_path):
            order.append("second")

    other = threading.Thread(target=second)
    with lock(tmp_path):
        other.start()
        other.join(0.2)
        order.append("first")
    other.join(PATIENCE)

    assert order == ["first", "second"]


@pytest.mark.parametrize("lock", [loading_alone, loading_in_turn])
def test_no_lock(tmp_path: Path, lock: Lock, caplog: pytest.LogCaptureFixture) -> None:
    """Where the folder is gone, a worker loads all the same, and says so."""
    loaded = False

    with caplog.at_level(logging.WARNING), lock(tmp_path / "gone"):
        loaded = True

    assert loaded
    assert "cannot be had" in caplog.text
