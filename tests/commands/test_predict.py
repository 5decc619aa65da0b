"""`predict` writes a row for each image of a folder, however often it is stopped in between."""

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from PIL import Image

from predictor.cli import main
from predictor.config import BUNDLED_MODEL
from predictor.errors import PredictorError
from predictor.evaluation.predictors import LocalModel, opened
from tests.patience import PATIENCE

ROOT = Path(__file__).parent.parent.parent
IMAGES, TOP = 180, 3  # seconds of work, so that a signal comes before its end on a busy machine


@pytest.fixture(scope="module")
def folder(cat: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of parts of a photograph, two of them damaged."""
    made = tmp_path_factory.mktemp("images")
    whole = Image.open(cat)
    for number in range(IMAGES):
        file = made / f"{number % 3}" / f"{number:03}.png"
        file.parent.mkdir(exist_ok=True)
        whole.crop((number, number, 150 + number, 120 + 2 * number)).save(file, compress_level=1)
    for name in ("1/007.png", "2/bad.jpg"):
        (made / name).write_bytes(b"\xff\xd8\xff")
    return made


@pytest.fixture(scope="module")
def model() -> LocalModel:
    """The bundled model, to be called for one image at a time."""
    return opened(BUNDLED_MODEL, None, None)


def run(*words: object) -> Result:
    """Run a command in this process."""
    return CliRunner().invoke(main, [str(word) for word in words])


def started(*words: object) -> subprocess.Popen[str]:
    """Start `predict` in a process of its own, as a terminal does, where Ctrl-C is not ignored."""
    command = [
        "env",
        "--default-signal=INT",
        sys.executable,
        "-m",
        "predictor",
        "predict",
        *map(str, words),
        "--top-k",
        str(TOP),
    ]
    return subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True)


def wait(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def begun(file: Path, lines: int = 1) -> Callable[[], bool]:
    """Whether a file has at least so many lines."""
    return lambda: file.exists() and file.read_bytes().count(b"\n") >= lines


def alone(model: LocalModel, file: Path) -> list[tuple[str, ...]]:
    """The rows of one image that is predicted by itself."""
    try:
        found = model.predictions(file.read_bytes(), TOP)
    except PredictorError as error:
        return [(str(file), "", "", "", "", error.detail)]
    return [
        (str(file), str(rank), one["label"], str(one["index"]), str(one["confidence"]), "")
        for rank, one in enumerate(found, 1)
    ]


def test_killed_and_resumed(folder: Path, model: LocalModel, tmp_path: Path) -> None:
    """A run that is killed goes on: a row for each image, equal to that of a single call, in order."""
    out = tmp_path / "out.csv"
    killed = started(folder, "--csv", out)
    wait(begun(out, 30))
    killed.kill()
    killed.communicate()
    before = out.read_bytes()
    out.write_bytes(before[:-7])

    resumed = started(folder, "--csv", out, "--resume")
    said = resumed.communicate()[1]

    assert killed.returncode == -signal.SIGKILL
    assert resumed.returncode == 3
    assert said == f"Images: {IMAGES + 1}, with an error: 2.\n"
    with out.open(newline="") as file:
        rows = [tuple(row) for row in csv.reader(file)][1:]
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    assert rows == [row for path in files for row in alone(model, path)]
    assert before in out.read_bytes()


def test_interrupted(folder: Path, tmp_path: Path) -> None:
    """Ctrl-C ends a run with 130, without a stack; the file keeps whole rows."""
    out = tmp_path / "out.jsonl"
    process = started(folder, "--jsonl", out)
    wait(begun(out))
    os.killpg(process.pid, signal.SIGINT)
    said = process.communicate(timeout=PATIENCE)[1]

    assert process.returncode == 130
    assert "--resume goes on." in said
    assert said.endswith("Stopped.\n")
    assert "Traceback" not in said
    assert all(json.loads(line)["name"] for line in out.read_text().splitlines())


def test_interrupted_twice(folder: Path, tmp_path: Path) -> None:
    """Ctrl-C after the command said that it stopped ends it at once, without a stack."""
    out = tmp_path / "out.jsonl"
    process = started(folder, "--jsonl", out, "--threads", 2)
    wait(begun(out, 2))
    os.killpg(process.pid, signal.SIGINT)
    assert process.stderr is not None
    while process.stderr.readline() != "Stopped.\n":
        assert process.poll() is None
    os.killpg(process.pid, signal.SIGINT)
    try:
        said = process.communicate(timeout=PATIENCE)[1]
    finally:
        process.kill()

    assert process.returncode in {130, -signal.SIGINT}
    assert "Traceback" not in said


def children(process: subprocess.Popen[str]) -> list[Path]:
    """The processes that predict, as folders of /proc."""
    found = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    return [
        one for name in found if b"spawn_main" in ((one := Path("/proc") / name) / "cmdline").read_bytes()
    ]


def ended(process: Path) -> bool:
    """Whether a process is gone, or waits only to be reaped."""
    try:
        return (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except OSError:
        return True


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="one core needs no further process")
def test_processes_end(folder: Path, tmp_path: Path) -> None:
    """No process that predicts outlives a killed command."""
    out = tmp_path / "out.csv"
    process = started(folder, "--csv", out, "--threads", 2)
    wait(begun(out, 2))
    workers = children(process)
    process.kill()
    process.communicate()

    assert len(workers) == 2
    wait(lambda: all(map(ended, workers)))


@pytest.mark.parametrize("count", [1, 20])
def test_pipe_in_a_list(cat: Path, tmp_path: Path, count: int) -> None:
    """A pipe that a list names has a row with its error, and nobody waits for its end."""
    os.mkfifo(tmp_path / "pipe.jpg")
    (tmp_path / "listed.txt").write_text(f"pipe.jpg\n{cat}\n" * count)

    process = started(tmp_path / "listed.txt", "--jsonl", tmp_path / "out.jsonl", "--threads", 2)
    said = process.communicate(timeout=PATIENCE)[1]

    rows = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert (process.returncode, said) == (3, f"Images: {2 * count}, with an error: {count}.\n")
    assert {row["error"]["detail"] for row in rows[::2]} == {
        "The file is a pipe or a device, not a regular file."
    }
    assert {row["predicted_label"] for row in rows[1::2]} == {"tiger cat"}


@pytest.mark.parametrize("word", ["/dev/stdin", "-"])
def test_standard_input(cat: Path, word: str) -> None:
    """An image that another command writes is read as /dev/stdin, or -."""
    command = [sys.executable, "-m", "predictor", "predict", word, "--format", "jsonl"]
    ended = subprocess.run(command, cwd=ROOT, input=cat.read_bytes(), capture_output=True, check=True)

    assert json.loads(ended.stdout)["predicted_label"] == "tiger cat"


def test_pipe_is_not_resumed(cat: Path) -> None:
    """With --resume a pipe, whose rows nobody can read again, gets all rows."""
    command = [sys.executable, "-m", "predictor", "predict", str(cat), "--jsonl", "/dev/stdout", "--resume"]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=PATIENCE)

    assert json.loads(ended.stdout)["predicted_label"] == "tiger cat"


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(closed: str, cat: Path, tmp_path: Path) -> None:
    """A file gets its rows also where the standard streams are closed."""
    out = tmp_path / "out.jsonl"
    command = [sys.executable, "-m", "predictor", "predict", str(cat), "--jsonl", str(out)]
    ended = subprocess.run(["sh", "-c", f'exec "$@" {closed}', "sh", *command], cwd=ROOT, check=False)

    assert ended.returncode == 0
    assert json.loads(out.read_text())["predicted_label"] == "tiger cat"


def test_process_is_killed(folder: Path, tmp_path: Path) -> None:
    """If a process that predicts is killed, its images are predicted again."""
    out = tmp_path / "out.jsonl"
    process = started(folder, "--jsonl", out, "--threads", 2)
    wait(begun(out, 2))
    os.kill(int(children(process)[0].name), signal.SIGKILL)
    said = process.communicate(timeout=PATIENCE)[1]

    assert process.returncode == 3
    assert said == f"Images: {IMAGES + 1}, with an error: 2.\n"
    names = [json.loads(line)["name"] for line in out.read_text().splitlines()]
    assert names == sorted(str(file) for file in folder.rglob("*") if file.is_file())


def test_nothing_left(folder: Path, tmp_path: Path) -> None:
    """A run that came to its end is not begun again; a file of other options or kinds is left alone."""
    out = tmp_path / "out.jsonl"
    one = folder / "0" / "000.png"
    first = run("predict", one, "--jsonl", out, "--threshold", 1)
    written = out.read_bytes()

    again = run("predict", one, "--jsonl", out, "--resume", "--threshold", 1)
    changed = run("predict", one, "--jsonl", out, "--resume", "--threshold", 1, "--model", __file__)
    other = run("predict", one, "--csv", out, "--resume")

    assert (first.exit_code, again.exit_code, changed.exit_code, other.exit_code) == (0, 0, 1, 1)
    assert "--model" in changed.output
    assert json.loads(written)["abstained"] is True
    assert "is not a file of this form that predict wrote" in other.output
    assert out.read_bytes() == written


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--csv", "OUT", "--jsonl", "OUT2"), "Only one of --csv, --jsonl and --format"),
        (("--csv", "OUT", "--format", "csv"), "Only one of --csv, --jsonl and --format"),
        (("--resume",), "--resume needs the file"),
        (("--threshold", "1.5"), "--threshold"),
    ],
)
def test_usage(words: tuple[str, ...], sentence: str, folder: Path, tmp_path: Path) -> None:
    """Options that contradict each other are refused before anything is done."""
    result = run("predict", folder, *(word.replace("OUT", str(tmp_path / "out")) for word in words))

    assert result.exit_code == 2
    assert sentence in result.output
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("form", ["--csv", "--jsonl"])
def test_full_disk(form: str, folder: Path) -> None:
    """A file that cannot be written, from its heading or from a row on, is a sentence that names it."""
    result = run("predict", folder / "0" / "000.png", form, "/dev/full")

    assert result.exit_code == 1
    assert "/dev/full: No space left on device." in result.output
    assert "Traceback" not in result.output


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("--file", "m.onnx"), "--file needs --model"),
        (("--model", BUNDLED_MODEL, "--file", ""), "Name an .onnx file"),
        (("--model", BUNDLED_MODEL, "--file", "./"), "Name an .onnx file"),
    ],
)
def test_file_without_a_choice(cat: Path, words: tuple[object, ...], sentence: str) -> None:
    """A name of a model's file needs the model, and is not empty."""
    ended = run("predict", cat, *words)

    assert ended.exit_code == 2
    assert sentence in ended.output


@pytest.mark.parametrize("words", [(), ("--out", "OUT"), ("--csv", "OUT")])
def test_device(cat: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
    """A device is no model, wherever the rows go."""
    out = {"OUT": tmp_path / "rows.csv"}

    ended = run("predict", cat, "--model", "/dev/zero", *(out.get(word, word) for word in words))

    assert ended.exit_code == 1
    assert "Error: zero is a pipe or a device." in ended.output


def test_file(cat: Path) -> None:
    """The name of a model's file may begin with ./, and must fit a file."""
    given = ("predict", cat, "--model", BUNDLED_MODEL, "--file")

    assert run(*given, f"./{BUNDLED_MODEL.name}").exit_code == 0
    assert "There is no file zz. The models are: efficientnet" in run(*given, "zz").output


def test_name_without_a_service(cat: Path) -> None:
    """A name of a service's model does not let another model answer in its place."""
    ended = run("predict", cat, "--name", "pets")

    assert ended.exit_code == 2
    assert "--url" in ended.output


def test_whole_file_with_other_options(tmp_path: Path, cat: Path) -> None:
    """With nothing left to do, `--resume` still refuses options that the rows were not made with."""
    rows = tmp_path / "rows.csv"
    assert run("predict", cat, "--csv", rows).exit_code == 0

    ended = run("predict", cat, "--csv", rows, "--resume", "--top-k", 1)

    assert ended.exit_code == 1
    assert "--top-k" in ended.output
