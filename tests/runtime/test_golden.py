"""The gate says of each version whether it may serve, and what is to be recorded."""

from pathlib import Path
from typing import Any

import pytest

from predictor.errors import ModelConflict, NotReady
from predictor.inference.loader import LoadedModel
from predictor.runtime.golden import Gate
from predictor.store.registry import DEFAULT, ModelVersion
from tests.store.conftest import Store

UNUSED: Any = None
"""Stands for what classifies images, where no version comes so far."""


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store whose model has golden images."""
    made = Store(tmp_path / "data")
    made.set_golden(b"one")
    return made


def broken(version: ModelVersion) -> LoadedModel:
    """Load what cannot be loaded."""
    raise NotReady(f"Version {version.version} needs more memory.")


def test_no_golden_images(store: Store) -> None:
    """Without golden images no version is loaded, and nothing is recorded."""
    store.golden.remove(DEFAULT)

    assert Gate(store.golden, UNUSED, broken).judge(store.registry.bundled, force=False) is None


def test_cannot_be_judged(store: Store) -> None:
    """A version that cannot be judged is refused; where it is forced, this is recorded with the reason."""
    gate = Gate(store.golden, UNUSED, broken)

    with pytest.raises(NotReady):
        gate.judge(store.registry.bundled, force=False)
    found = gate.judge(store.registry.bundled, force=True)

    assert found == {"forced": True, "problem": "Version 1 needs more memory."}


def test_damaged(store: Store) -> None:
    """The same holds where the golden images are damaged."""
    next((store.data / "golden").glob("*/*/golden.json")).unlink()
    gate = Gate(store.golden, UNUSED, broken)

    with pytest.raises(ModelConflict):
        gate.judge(store.registry.bundled, force=False)
    found = gate.judge(store.registry.bundled, force=True)

    assert found is not None
    assert (found["forced"], "damaged" in found["problem"]) == (True, True)
