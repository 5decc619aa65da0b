"""`image-prediction optimise`: from a model and images to a report, and to a file where there is proof."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner, Result

from predictor.cli import main
from tests.optimising.networks import images, network, spec
from tests.patience import PATIENCE

pytestmark = pytest.mark.slow


def run(*words: object) -> Result:
    """Run the command."""
    return CliRunner().invoke(main, ["optimise", *map(str, words)])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A model with its preprocessing, and a few images."""
    onnx.save(network(), tmp_path / "model.onnx")
    (tmp_path / "preprocessing.json").write_text(json.dumps(spec().preprocessing.to_json()))
    (tmp_path / "images").mkdir()
    for picture in images(6):
        (tmp_path / "images" / picture.name).write_bytes(picture.read())
    return tmp_path


def test_nothing_recommended(folder: Path) -> None:
    """The forms stand in a table; without proof no file is written, and the exit code says so."""
    given = ("--preprocessing", folder / "preprocessing.json", "--seconds", 0.1)
    written = ("--out", folder / "faster.onnx", "--json", folder / "report.json")

    result = run(folder / "model.onnx", folder / "images", *given, *written)

    assert result.exit_code == 1, result.output
    assert {line.split()[0] for line in result.stdout.splitlines()} >= {
        "original",
        "graph",
        "int8",
        "Nothing",
    }
    assert result.output.count("Nothing is recommended") == 1
    assert f"Error: {folder / 'faster.onnx'} was not written." in result.output
    assert "The smaller of both x decides." in result.stdout
    assert json.loads((folder / "report.json").read_text())["images"] == 6
    assert not (folder / "faster.onnx").exists()


def _has_images(folder: Path) -> bool:
    """Whether images wait to be judged; `Path.glob` fails where a folder goes that it has just seen."""
    return any(name.startswith("judged") for *_, names in os.walk(folder) for name in names)


def test_terminated(folder: Path) -> None:
    """SIGTERM ends the command with 143, and leaves no temporary folder."""
    temporary = folder / "temporary"
    temporary.mkdir()
    given = ("--preprocessing", folder / "preprocessing.json", "--seconds", 60)
    words = ("optimise", folder / "model.onnx", folder / "images", *given)
    command = [sys.executable, "-m", "predictor", *map(str, words)]
    process = subprocess.Popen(command, env=os.environ | {"TMPDIR": str(temporary)}, stderr=subprocess.PIPE)
    end = time.monotonic() + PATIENCE
    while not _has_images(temporary) and time.monotonic() < end:
        time.sleep(0.01)

    process.terminate()
    said = process.communicate(timeout=PATIENCE)[1]

    assert (process.returncode, said[-10:]) == (143, b"\nStopped.\n"), said
    assert [*temporary.iterdir()] == []


def test_refused(folder: Path) -> None:
    """Images that are none end the command with a sentence."""
    for path in (folder / "images").iterdir():
        path.write_bytes(b"no image")

    result = run(folder / "model.onnx", folder / "images", "--preprocessing", folder / "preprocessing.json")

    assert result.exit_code == 1
    assert "At least two images that can be opened are needed." in result.output
