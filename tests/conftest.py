"""What tests of several rooms share."""

import functools
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from flask import Flask
from flask.testing import FlaskClient
from hypothesis import HealthCheck, settings

from bench.photograph import photograph as photograph_of
from predictor.app import create_app
from predictor.config import Settings
from tests import fuzzing
from tests.data_folders import served_before
from tools import quantised_models
from tools.make_reference import crop_of, synthetic_pictures

DATA = Path(__file__).parent / "data"

# Unless a number of examples was chosen, the examples are the same each time.
settings.register_profile(
    "predictor",
    max_examples=fuzzing.examples(100),
    derandomize=not fuzzing.chosen(),
    database=None,
    deadline=None,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
settings.load_profile("predictor")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the files that take longest, so that no process waits for one of them at the end."""
    slow = {item.path for item in items if any(map(item.get_closest_marker, ("fuzz", "live")))}
    items.sort(key=lambda item: item.path not in slow)


@pytest.fixture(scope="session")
def cat() -> Path:
    """A photograph of a cat; its origin stands in tests/data/README.md."""
    return DATA / "cat.jpg"


@pytest.fixture(scope="session")
def photograph(cat: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """A JPEG of 12 megapixels, as a telephone takes it."""
    return photograph_of(cat, tmp_path_factory.mktemp("photograph") / "cat.jpg").read_bytes()


@pytest.fixture(scope="session")
def quantised(cat: Path) -> bytes:
    """The bundled network with integer operators, ONNX's and the runtime's own."""
    return quantised_models.quantised(np.concatenate([synthetic_pictures(), crop_of(cat)]))


@pytest.fixture(scope="session")
def driver(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, str]]:
    """Builds the fake driver library and gives the variables under which the bindings find it."""
    if (compiler := shutil.which("cc")) is None:
        pytest.skip("no C compiler (cc) to build the fake driver library")

    @functools.cache
    def build(*options: str) -> dict[str, str]:
        folder = tmp_path_factory.mktemp("nvml")
        source = Path(__file__).parent / "model" / "fake_nvml.c"
        library = folder / "libnvidia-ml.so.1"
        subprocess.run(
            [compiler, "-shared", "-fPIC", "-Wall", "-Werror", *options, "-o", library, source], check=True
        )
        return {"LD_LIBRARY_PATH": str(folder)}

    return build


@pytest.fixture
def make_app(tmp_path: Path) -> Iterator[Callable[..., Flask]]:
    """Build an application with settings of its own."""
    with ExitStack() as made:

        def make(**settings: object) -> Flask:
            if "data" not in settings:
                served_before(tmp_path)
            app = create_app(Settings(**{"data": tmp_path, "device": "cpu", **settings}))  # type: ignore[arg-type]
            made.callback(app.extensions["predictor"].close)
            return app

        yield make


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """An application with default settings, one for a file of tests: loading the model takes a moment."""
    data = served_before(tmp_path_factory.mktemp("data"))
    app = create_app(Settings(data=data, device="cpu", threads=4))
    yield app
    app.extensions["predictor"].close()


@pytest.fixture
def client(app: Flask) -> Iterator[FlaskClient]:
    """A client of the default application."""
    with app.test_client() as client:
        yield client
