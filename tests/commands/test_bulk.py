"""`predict --out` writes a file by way of shards, and goes on after a kill with one row for each image."""

import builtins
import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from predictor.cli import main
from predictor.commands import bulk
from predictor.commands.bulk import Progress
from tests.patience import PATIENCE
from tools.sample_models import classifier

ROOT = Path(__file__).parent.parent.parent
IMAGES = 40


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small images, one of them damaged."""
    made = tmp_path_factory.mktemp("images")
    for number in range(IMAGES):
        Image.new("RGB", (16, 16), (5 * number, 0, 0)).save(made / f"{number:03}.png")
    (made / "017.png").write_bytes(b"\x89PNG")
    (made / "listed.txt").write_text("\n".join(sorted(path.name for path in made.iterdir())))
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model."""
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    path.write_bytes(classifier(["red", "green"], winner=0))
    return path


@pytest.fixture(scope="module")
def whole(folder: Path, model: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The JSON lines of a run without shards."""
    out = tmp_path_factory.mktemp("whole") / "rows.jsonl"
    assert run("predict", folder, "--model", model, "--jsonl", out, "--threads", 1).exit_code == 3
    return out.read_bytes()


def run(*words: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(word) for word in words])


def wait(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.001)


def test_killed_and_resumed(folder: Path, model: Path, whole: bytes, tmp_path: Path) -> None:
    """A killed run goes on if --resume is given, and only then; its file is that of a run without shards."""
    out, held = tmp_path / "rows.jsonl", folder / "020.png"
    words = [folder / "listed.txt", "--model", model, "--out", out, "--threads", "1", "--shard", "3"]
    data = held.read_bytes()
    with stopped_at(held, words) as killed:
        wait(lambda: len(list(tmp_path.glob("rows.jsonl.parts/0*"))) == 6)
        killed.kill()
        killed.communicate()
    held.write_bytes(data)

    forgotten = run("predict", *words)
    other = run("predict", *words, "--resume", "--top-k", 1)
    resumed = run("predict", *words, "--resume")
    again = run("predict", *words, "--resume")

    assert killed.returncode == -signal.SIGKILL
    assert (forgotten.exit_code, "Give --resume" in forgotten.output) == (1, True)
    assert (other.exit_code, "another value of --top-k" in other.output) == (1, True)
    assert resumed.exit_code == 3
    assert f"Images: {IMAGES}, with an error: 1, " in resumed.output
    assert (again.exit_code, again.output) == (0, "rows.jsonl is whole; nothing is left to do.\n")
    assert out.read_bytes() == whole
    assert list(tmp_path.iterdir()) == [out]


def test_no_progress(folder: Path, model: Path, tmp_path: Path) -> None:
    """A run that hangs ends with a sentence, and can go on."""
    held = folder / "030.png"
    data = held.read_bytes()
    words = [folder / "listed.txt", "--model", model, "--out", tmp_path / "rows.csv"]
    with stopped_at(held, [*words, "--threads", "1", "--no-progress", "15"]) as hung:
        said = hung.communicate(timeout=PATIENCE)[1]
    held.write_bytes(data)

    assert hung.returncode == 1
    assert said == (
        "No image was predicted for 15 s, so this run ends; --resume goes on. "
        "A file, the model or the service hangs.\n"
    )


@contextmanager
def stopped_at(image: Path, words: Sequence[object]) -> Iterator[subprocess.Popen[str]]:
    """Start `predict` with an image whose reading never comes to its end."""
    image.unlink()
    os.mkfifo(image)
    command = [sys.executable, "-m", "predictor", "predict", *map(str, words)]
    with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True) as process:
        yield process
    image.unlink()


@pytest.mark.parametrize("form", ["csv", "parquet"])
def test_forms(form: str, folder: Path, model: Path, whole: bytes, tmp_path: Path) -> None:
    """The ending of the file says its form; a list stands for its images."""
    if form == "parquet":
        pytest.importorskip("pyarrow")
    out = tmp_path / f"rows.{form}"

    result = run("predict", folder / "listed.txt", "--model", model, "--out", out, "--threads", 1)

    assert result.exit_code == 3, result.output
    names = [str(json.loads(line)["name"]) for line in whole.decode().splitlines()]
    if form == "parquet":
        assert pytest.importorskip("pyarrow.parquet").read_table(out).column("name").to_pylist() == names
    else:
        assert list(dict.fromkeys(line.split(",")[0] for line in out.read_text().splitlines()[1:])) == names


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--out", "x.csv", "--csv", "y.csv"), "none with --out"),
        (("--cluster", "auto"), "--cluster needs --out"),
        (
            ("--cluster", "auto", "--out", "x.csv", "--url", "http://127.0.0.1:1"),
            "cannot be combined with --url",
        ),
        (("--out", "x.csv", "--gpus", "1"), "--gpus needs --cluster"),
        (("--out", "x.csv", "--shard", "0"), "--shard"),
    ],
)
def test_usage(words: tuple[str, ...], sentence: str, folder: Path, tmp_path: Path) -> None:
    """Options that contradict each other are refused before anything is done."""
    result = run("predict", folder, *(word.replace("x.csv", str(tmp_path / "x.csv")) for word in words))

    assert result.exit_code == 2
    assert sentence in result.output
    assert list(tmp_path.iterdir()) == []


def test_without_ray(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without Ray a sentence says what to install, and the next try needs no other option."""
    real: Callable[..., Any] = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "ray":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)

    for _ in range(2):
        result = run("predict", folder, "--out", tmp_path / "rows.csv", "--cluster", "auto")
        assert result.exit_code == 1
        assert "pip install 'image-prediction-api[ray]'" in result.output


def test_imports(folder: Path, model: Path, tmp_path: Path) -> None:
    """A run on this machine imports nothing of Ray, Parquet and buckets."""
    program = (
        "import sys\n"
        "from predictor.cli import main\n"
        "try: main(sys.argv[1:])\n"
        "finally: assert not {'ray', 'pyarrow', 'obstore'} & sys.modules.keys()\n"
    )
    words = ["predict", folder / "001.png", "--model", model, "--out", tmp_path / "rows.csv"]

    subprocess.run([sys.executable, "-c", program, *map(str, words)], cwd=ROOT, check=True)


class Terminal(io.StringIO):
    """A terminal that says when something was written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.seen = Event()

    def isatty(self) -> bool:
        """It is one."""
        return True

    def write(self, text: str) -> int:
        """Write, and say so."""
        written = super().write(text)
        if " left" in text:
            self.seen.set()
        return written


def test_line() -> None:
    """On a terminal one line says the images, their number per second and the time left."""
    out = Terminal()

    with Progress(1000, 100, PATIENCE, "It hangs.", out=out) as run:
        run.add(50)
        assert out.seen.wait(PATIENCE)
        run.say("The end.")

    assert "\r\x1b[KImages: 150 of 1000, " in out.getvalue()
    assert " images/s, " in out.getvalue()
    assert out.getvalue().endswith("\r\x1b[KThe end.\n")
    assert "hangs" not in out.getvalue()
    assert run.rate > 0


def test_stands_still() -> None:
    """A run that does nothing for too long says its sentence and ends."""
    out, ended = io.StringIO(), Event()

    with Progress(10, 0, 0.05, "It hangs.", out=out, end=ended.set):
        assert ended.wait(PATIENCE)

    assert out.getvalue() == "It hangs.\n"


class Closed(io.StringIO):
    """A standard error that nobody reads any more."""

    def write(self, text: str) -> int:
        """Fail as a closed pipe does."""
        raise BrokenPipeError(text)


def test_nobody_listens() -> None:
    """A run whose standard error is closed goes on, and still ends where it stands still."""
    ended = Event()

    with Progress(10, 0, 0.05, "It hangs.", out=Closed(), end=ended.set) as run:
        run.say("It begins.")
        assert ended.wait(PATIENCE)


def test_times() -> None:
    """Long times are hours and minutes, short ones minutes and seconds."""
    assert [bulk.in_words(seconds) for seconds in (5.4, 65, 3600, 90_061)] == [
        "0 min 05 s",
        "1 min 05 s",
        "1 h 00 min",
        "25 h 01 min",
    ]
