"""What tests of several rooms share."""

import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings

from predictor.app import create_app
from predictor.config import Settings

DATA = Path(__file__).parent / "data"
LONG = "FUZZ_EXAMPLES" in os.environ
FUZZ_EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "100"))
"""How many examples each property is tried with. Unless it was chosen, they are the same each time."""

settings.register_profile(
    "predictor",
    max_examples=FUZZ_EXAMPLES,
    derandomize=not LONG,
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("predictor")


@pytest.fixture(scope="session")
def cat() -> Path:
    """A photograph of a cat; its origin stands in tests/data/README.md."""
    return DATA / "cat.jpg"


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Build an application with settings of its own."""
    with ExitStack() as made:

        def make(**settings: object) -> Flask:
            app = create_app(Settings(**{"data": tmp_path, "device": "cpu", **settings}))  # type: ignore[arg-type]
            made.callback(app.extensions["predictor"].close)
            return app

        yield make


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application with default settings, one for a file of tests: loading the model takes a moment."""
    app = create_app(Settings(data=tmp_path_factory.mktemp("data"), device="cpu", threads=4))
    yield app
    app.extensions["predictor"].close()


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    """A client of the default application."""
    with app.test_client() as client:
        yield client
