"""The wheel holds all that the service needs, and nothing else."""

import importlib.metadata
import re
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

import predictor
from tests.live.service import Service
from tools.sample_models import classifier

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this clone, built with what is installed here."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-index"]
    subprocess.run([*build, "--no-build-isolation", "--wheel-dir", folder, ROOT], check=True)
    (found,) = folder.glob("*.whl")
    return found


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The programs of a fresh environment that has the wheel, and sees the libraries of this one."""
    folder = tmp_path_factory.mktemp("environment")
    venv.create(folder)
    (libraries,) = folder.glob("lib/python*/site-packages")
    (libraries / "libraries_of_the_tests.pth").write_text(f"{sysconfig.get_path('purelib')}\n")
    install = [sys.executable, "-m", "pip", "--python", str(folder / "bin/python"), "install", "--quiet"]
    subprocess.run([*install, "--no-deps", "--no-index", "--ignore-installed", wheel], check=True)
    return folder / "bin"


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A folder outside the clone."""
    (tmp_path / "empty").mkdir()
    return tmp_path / "empty"


def run(folder: Path, *command: object) -> str:
    """What a command prints that was started outside the clone."""
    words = [str(word) for word in command]
    return subprocess.run(words, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_commands(installed: Path, empty: Path, cat: Path) -> None:
    """An installation has the command, which knows its version, its help and the bundled model."""
    command = installed / "image-prediction"

    assert run(empty, command, "--version").split()[-1] == predictor.__version__
    assert (
        run(empty, installed / "python", "-m", "predictor", "--version").split()[-1] == predictor.__version__
    )
    assert re.findall(
        r"^  (\w+)  ", run(empty, command, "--help").partition("Commands:")[2], re.MULTILINE
    ) == [
        "activate",
        "compare",
        "completion",
        "delete",
        "evaluate",
        "models",
        "optimise",
        "predict",
        "pull",
        "rollback",
        "serve",
        "store",
        "tune",
        "upload",
    ]
    assert run(empty, command, "predict", cat, "--top-k", 1).splitlines()[1].startswith(f"{cat},1,tiger cat,")
    assert list(empty.iterdir()) == []


def test_check_reads_libraries(installed: Path, empty: Path) -> None:
    """The check of a model may read what lies beside an installed package, but not what lies in a clone."""
    program = (
        "from predictor.checking import kernel_filters; print(*kernel_filters.readable_folders(), sep='\\n')"
    )

    there = run(empty, installed / "python", "-c", program).splitlines()
    here = run(ROOT, sys.executable, "-c", program).splitlines()

    assert any(
        folder.endswith("/site-packages") and folder.startswith(str(installed.parent)) for folder in there
    )
    assert str(ROOT) not in here


@pytest.mark.live
def test_service(installed: Path, empty: Path, cat: Path) -> None:
    """An installation predicts, shows its pages and takes uploads; it writes only into its data folder."""
    service = Service(empty.parent / "data", workers=1)
    service.command, service.folder = (str(installed / "image-prediction"), "serve"), empty
    with service:
        answer = service.post("/predict", files={"image": cat.read_bytes()})
        page = service.get("/").text
        shown = [service.get(f"/{path}") for path in re.findall(r'(?:href|src)="\./(static/[^"]+)"', page)]
        guides = [service.get(f"/docs/{name}") for name in ("README.md", "models.md", "page.png")]
        uploaded = service.post("/upload", files={"model": classifier(["a", "b"], winner=1)})

    assert answer.json()["predicted_label"] == "tiger cat"
    assert "<form" in page
    assert len(shown) >= 2
    assert {one.status_code for one in [*shown, *guides]} == {200}
    assert uploaded.status_code == 200, uploaded.text
    assert not service.alive
    assert service.log.count(f"Ready: open {service.url}/") == 1
    assert list(empty.iterdir()) == []


def test_contents(wheel: Path) -> None:
    """The wheel has the package, the pages, the guides and gunicorn's configuration, and nothing else."""
    folders = ("predictor", "templates", "static", "docs")
    files = [file for folder in folders for file in (ROOT / folder).rglob("*")]
    wanted = {file.relative_to(ROOT) for file in files if file.is_file() and file.suffix != ".pyc"}
    wanted |= {Path(name) for name in ("gunicorn.conf.py", "README.md", "SECURITY.md", "CHANGELOG.md")}

    with zipfile.ZipFile(wheel) as archive:
        held = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert "predictor/py.typed" in held
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
    always = [one for one in metadata.requires or [] if "extra ==" not in one]
    assert len(always) == sum(bool(line) and not line.startswith("#") for line in lines)
    extras = ["cluster", "heic", "parquet", "ray", "signing", "tracing"]
    assert metadata.metadata.get_all("Provides-Extra") == extras
