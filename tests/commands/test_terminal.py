"""What only a terminal gets: completed words, a table in columns and colours, a bar of progress."""

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from flask import Flask
from PIL import Image
from werkzeug.serving import make_server

from tests.patience import PATIENCE
from tools.sample_models import classifier

ROOT = Path(__file__).parent.parent.parent
BOLD, GREEN = "\x1b[1m", "\x1b[32m"


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the command, as an installation has it."""
    file = tmp_path_factory.mktemp("bin") / "image-prediction"
    lines = (f"#!{sys.executable}", f"import sys; sys.path.insert(0, {str(ROOT)!r})")
    file.write_text("\n".join([*lines, "from predictor.cli import main", "main()", ""]))
    file.chmod(0o755)
    return file.parent


def said(program: Path, *command: str, **variables: str) -> str:
    """What a program prints that finds the command."""
    path = f"{program}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path} | variables
    return subprocess.run(
        command, env=environment, check=True, capture_output=True, text=True, timeout=PATIENCE
    ).stdout


BASH = """
eval "$(image-prediction completion bash)"
set -- $(complete -p image-prediction)
while [ "$1" != -F ]; do shift; done
COMP_WORDS=(image-prediction "${WORDS[@]}") COMP_CWORD=${#WORDS[@]}
"$2" image-prediction
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("pre", ["predict"]),
        ("mod", ["models"]),
        ("predict --thr", ["--threshold", "--threads"]),
        ("completion ''", ["bash", "zsh", "fish"]),
    ],
)
def test_bash(program: Path, words: str, completed: list[str]) -> None:
    """Bash completes commands, options and choices once it has read what the command prints for it."""
    found = said(program, "bash", "-c", f"WORDS=({words})\n{BASH}").splitlines()

    assert found == completed


@pytest.mark.parametrize(
    ("shell", "beginning", "current"),
    [("zsh", "#compdef image-prediction", "1"), ("fish", "function", "pre")],
)
def test_other_shells(program: Path, shell: str, beginning: str, current: str) -> None:
    """What is printed for zsh and fish begins as they want it, and what they then ask is answered."""
    source = said(program, "image-prediction", "completion", shell)
    asked = {"COMP_WORDS": "image-prediction pre", "COMP_CWORD": current}
    found = said(program, "image-prediction", _IMAGE_PREDICTION_COMPLETE=f"{shell}_complete", **asked)

    assert source.lstrip().startswith(beginning)
    assert f"_IMAGE_PREDICTION_COMPLETE={shell}_complete" in source
    assert "predict" in re.split(r"[\n,\t]", found)


def on_terminal(stream: str, *words: object) -> str:
    """What a command writes to a stream that is a terminal of 100 columns; all else is a pipe."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("4H", 24, 100, 0, 0))
    command = [sys.executable, "-m", "predictor", *map(str, words)]
    pipe = subprocess.PIPE
    streams: dict[str, Any] = {"stdin": subprocess.DEVNULL, "stdout": pipe, "stderr": pipe, stream: theirs}
    with subprocess.Popen(command, cwd=ROOT, **streams) as process:
        os.close(theirs)
        found = b"".join(pieces(ours))
    os.close(ours)
    assert process.returncode == 0, found
    return found.decode().replace("\r\n", "\n")


def pieces(terminal: int) -> Iterator[bytes]:
    """What comes out of a terminal until nobody writes to it any more."""
    while True:
        try:
            piece = os.read(terminal, 65_536)
        except OSError:
            return
        yield piece


@pytest.fixture
def url(app: Flask) -> Iterator[str]:
    """The address of a running service."""
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join(PATIENCE)


def test_table(url: str) -> None:
    """The models stand in columns, the heading in bold and what is live in green."""
    heading, row = on_terminal("stdout", "models", "--url", url).splitlines()

    assert (heading.startswith(BOLD), row.startswith(GREEN)) == (True, True)
    plain, cells = (re.sub(r"\x1b\[\d*m", "", line) for line in (heading, row))
    starts = {name: plain.index(name) for name in plain.split()}
    assert {name: cells[start:].split()[0] for name, start in starts.items() if name != "CREATED"} == {
        "NAME": "default",
        "VERSION": "1",
        "STATE": "live",
        "CLASSES": "1000",
        "MODEL": "efficientnet-lite0.onnx",
        "DIGEST": cells.split()[-1],
    }
    assert "\t" not in plain + cells


def test_bar(tmp_path: Path) -> None:
    """A bar counts the images, those that have a row already included; a line says what came of them."""
    (tmp_path / "m.onnx").write_bytes(classifier(["a", "b"], winner=0))
    (tmp_path / "images").mkdir()
    words = ("predict", tmp_path / "images", "--model", tmp_path / "m.onnx", "--csv", tmp_path / "rows.csv")
    for number in range(3):
        Image.new("RGB", (8, 8), "red").save(tmp_path / "images" / f"{number}.png")

    first = on_terminal("stderr", *words)
    Image.new("RGB", (8, 8), "red").save(tmp_path / "images" / "3.png")
    second = on_terminal("stderr", *words, "--resume")

    assert re.findall(r"Images +\[[#-]+\] +(\d/\d)", first)[-1] == "3/3"
    assert first.endswith("Images: 3, with an error: 0.\n")
    assert re.findall(r"Images +\[[#-]+\] +(\d/\d)", second)[-1] == "4/4"
    assert "1/4" not in second
    assert second.endswith("Images: 4, with an error: 0.\n")
