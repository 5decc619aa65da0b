"""The wheel holds all that the service needs, and nothing else."""

import importlib.metadata
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

import predictor

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this clone, built with what is installed here."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*build, "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True)
    (found,) = folder.glob("*.whl")
    return found


def test_contents(wheel: Path) -> None:
    """The wheel has the package, the pages, the styles and gunicorn's configuration, and nothing else."""
    files = [file for folder in ("predictor", "templates", "static") for file in (ROOT / folder).rglob("*")]
    wanted = {file.relative_to(ROOT) for file in files if file.is_file() and file.suffix != ".pyc"}
    wanted.add(Path("gunicorn.conf.py"))

    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert held == {str(path) if path.parts[0] == "predictor" else f"predictor/{path}" for path in wanted}


def test_metadata(wheel: Path) -> None:
    """Version, licence and requirements are those of the clone."""
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        licences = [name for name in archive.namelist() if name.endswith("dist-info/licenses/LICENSE")]
    metadata = importlib.metadata.PathDistribution(zipfile.Path(wheel, name.removesuffix("METADATA")))
    lines = (ROOT / "requirements.txt").read_text().splitlines()

    assert metadata.version == predictor.__version__
    assert metadata.metadata["License-Expression"] == "Apache-2.0"
    assert len(licences) == 1
    assert len(metadata.requires or []) == sum(bool(line) and not line.startswith("#") for line in lines)
