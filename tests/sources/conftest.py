"""What the tests of several sources share: servers of a small model."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from predictor.config import Settings
from tests.sources.hub import BUNDLE, Files, Hub, serving


@pytest.fixture
def storage() -> Iterator[Files]:
    """A server of plain files."""
    with serving(Files({})) as running:
        yield running


@pytest.fixture
def hub(storage: Files) -> Iterator[Hub]:
    """A hub with the bundle."""
    with ExitStack() as held:
        made = Hub(BUNDLE, storage)
        held.enter_context(serving(made))
        yield made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Settings that let loopback be reached."""
    return Settings(data=tmp_path / "data", fetch_allow=("127.0.0.1",), max_model_mb=10, pull_seconds=60)
