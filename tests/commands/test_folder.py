"""A thousand images of a folder become a thousand rows, here and by a service, after any kill."""

import csv
import fcntl
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import BinaryIO

import numpy as np
import pytest
from flask import Flask
from PIL import Image
from werkzeug.serving import make_server

from predictor.app import create_app
from predictor.config import Settings
from tests.data_folders import served_before
from tests.live.memory import resident
from tests.patience import PATIENCE
from tools.sample_models import classifier

ROOT = Path(__file__).parent.parent.parent
IMAGES, TOP, BAD = 1000, 2, 617
# Ends all processes of the command at once when so many rows are written, as a machine without memory does.
PROGRAM = """
import os, signal, sys
from predictor.bulk.file import RowFile
from predictor.cli import main
from tests.data_folders import served_before

write, left = RowFile.write, int(sys.argv[1])

def counted(self, row):
    global left
    write(self, row)
    left -= 1
    if left == 0:
        os.killpg(0, signal.SIGKILL)

RowFile.write = counted
main(sys.argv[2:])
"""
NEVER = 0
Rows = list[tuple[str, str, str, float, str]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small images of different colours, one of them damaged."""
    made = tmp_path_factory.mktemp("images")
    for number, colour in enumerate(np.random.default_rng(1).integers(0, 256, (IMAGES, 3)).tolist()):
        Image.new("RGB", (8, 8), tuple(colour)).save(made / f"{number:03}.png")
    (made / f"{BAD}.png").write_bytes(b"\x89PNG")
    return made


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small model whose answer depends on the colour."""
    path = tmp_path_factory.mktemp("model") / "m.onnx"
    path.write_bytes(classifier(["red", "green", "blue"], seed=3, size=8))
    return path


@pytest.fixture(scope="module")
def service(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Flask]:
    """A service whose model is the small one."""
    made = create_app(
        Settings(data=served_before(tmp_path_factory.mktemp("data")), device="cpu", cache="off", workers=1)
    )
    with model.open("rb") as file:
        assert made.test_client().post("/upload", data={"model": (file, "m.onnx")}).status_code == 200
    yield made
    made.extensions["predictor"].close()


@pytest.fixture(scope="module")
def url(service: Flask) -> Iterator[str]:
    """The address of the service."""
    server = make_server("127.0.0.1", 0, service, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(PATIENCE)


@pytest.fixture(scope="module")
def alone(folder: Path, service: Flask) -> Rows:
    """The rows that calls of the service for one image each would give."""
    client, found = service.test_client(), Rows()
    for file in sorted(folder.iterdir()):
        answer = client.post(f"/predict?top_k={TOP}", data=file.read_bytes()).get_json()
        if "predictions" not in answer:
            found.append((str(file), "", "", 0.0, answer["detail"]))
        for rank, one in enumerate(answer.get("predictions", ()), 1):
            found.append((str(file), str(rank), one["label"], one["confidence"], ""))
    return found


def written(file: Path) -> Rows:
    """The rows of a file."""
    with file.open(newline="") as lines:
        return [
            (row["name"], row["rank"], row["label"], float(row["confidence"] or 0), row["error"])
            for row in csv.DictReader(lines)
        ]


def ended(rows: int, *words: object) -> subprocess.CompletedProcess[str]:
    """Run a command to its end, or until so many rows are written."""
    command = [sys.executable, "-c", PROGRAM, str(rows), *map(str, words)]
    return subprocess.run(
        command,
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=PATIENCE,
    )


@pytest.mark.parametrize("where", ["here", "service"])
def test_killed_and_resumed(
    where: str, folder: Path, model: Path, url: str, alone: Rows, tmp_path: Path
) -> None:
    """A run that is killed twice has in the end one row for each image, as a single call gives it."""
    out = tmp_path / "out.csv"
    options = ("--model", model) if where == "here" else ("--url", url)
    words = ("predict", folder, *options, "--csv", out, "--top-k", TOP, "--resume")

    killed = []
    for rows in (137, 450):
        killed.append(ended(rows, *words).returncode)
        # What a machine that loses its power leaves of the last row.
        out.write_bytes(out.read_bytes()[:-5])
    last = ended(NEVER, *words)

    assert killed == [-signal.SIGKILL] * 2
    assert (last.returncode, last.stderr) == (3, f"Images: {IMAGES}, with an error: 1.\n")
    found = written(out)
    assert [row[:3] + row[4:] for row in found] == [row[:3] + row[4:] for row in alone]
    assert [row[3] for row in found] == pytest.approx([row[3] for row in alone], abs=1e-6)
    assert len({row[0] for row in found}) == IMAGES
    assert [row[0] for row in found if row[4]] == [str(folder / f"{BAD}.png")]


@pytest.mark.parametrize("where", ["here", "service"])
def test_memory(where: str, model: Path, url: str, tmp_path: Path) -> None:
    """The command is no larger after 950 images than it was after 250."""
    made = tmp_path / "images" / "000.bmp"
    made.parent.mkdir()
    Image.new("RGB", (160, 160), "red").save(made)
    for number in range(1, IMAGES):
        os.link(made, made.with_name(f"{number:03}.bmp"))
    options = ("--model", model) if where == "here" else ("--url", url)
    words = ("predict", made.parent, *options, "--top-k", TOP, "--threads", 2)
    # The command waits whenever the pipe is full, so it is never far ahead of the one who reads.
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    command = [sys.executable, "-m", "predictor", *map(str, words), "--csv", f"/dev/fd/{writing}"]
    with subprocess.Popen(command, cwd=ROOT, pass_fds=[writing]) as process, os.fdopen(reading, "rb") as rows:
        os.close(writing)
        sizes = [read_and_measure(rows, 1 + TOP * 250, process), read_and_measure(rows, TOP * 700, process)]
        left = rows.readlines()

    assert (process.returncode, len(left)) == (0, TOP * 50)
    # Were the bytes or the pixels of 700 images kept, they would be 54 MB.
    assert sizes[1] - sizes[0] < 16_000_000


def read_and_measure(rows: BinaryIO, lines: int, process: subprocess.Popen[bytes]) -> int:
    """Read so many lines; the bytes that the processes of the command then have."""
    for _ in range(lines):
        assert rows.readline()
    return resident(family(process.pid))


def family(pid: int) -> list[int]:
    """A process and its children."""
    children = Path(f"/proc/{pid}/task").glob("*/children")
    return [pid, *(int(child) for found in children for child in found.read_text().split())]
