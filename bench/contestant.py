"""A contestant of `make bench`: what its file says of it, its virtual environment, and how it is started."""

import os
import re
import signal
import subprocess
import sys
import time
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import onnxruntime
import requests

from bench.request import IMAGE, best_class, request
from bench.run import PICTURE, ROOT
from predictor.config import BUNDLED_MODEL
from tests.live.service import free_port

FOLDER = ROOT / "bench" / "contestants"
ENVIRONMENTS = ROOT / "bench" / ".venvs"
_START_SECONDS = 60.0
_STOP_SECONDS = 20.0
_METADATA = re.compile(r"^# /// script$\n((?:^#(?: .*)?$\n)+?)^# ///$", re.MULTILINE)


class CannotTakePart(Exception):
    """A contestant could not be set up or started; the sentence says why."""


@dataclass(frozen=True)
class Contestant:
    """One server; it is ready when it has answered the image.

    Attributes:
        key: the name of its file.
        name: how the table calls it.
        command: the arguments of Python that start it on loopback; `{port}` stands for the port.
        dependencies: what pip installs for it; None if it runs in the project's own environment and folder.
        environment: variables besides those that there are; `{port}` and `{folder}` (its data) are replaced.
        path: where the image is posted to.
        computes: whether each answer takes a run of the model.
        many: whether it takes a form with many images, too.
        form: of its requests, as `bench.request` names it.
        uploads: whether another model than the bundled one is uploaded to it; others read `BENCH_MODEL`.
    """

    key: str
    name: str
    command: tuple[str, ...]
    dependencies: tuple[str, ...] | None = None
    environment: Mapping[str, str] = field(default_factory=dict, hash=False)
    path: str = "/predict"
    computes: bool = True
    many: bool = False
    form: str = IMAGE
    uploads: bool = False


@dataclass(frozen=True)
class Started:
    """A contestant that runs.

    Attributes:
        url: where the image is posted to.
        seconds: from its start to its first answer.
        index: the class that it found.
        process: the first of its processes.
    """

    url: str
    seconds: float
    index: int
    process: int

    def processes(self) -> list[int]:
        """All its processes, whoever started them."""
        return _family(self.process)


def contestants() -> list[Contestant]:
    """All of them, by the names of their files."""
    files = sorted(FOLDER.glob("*.py"))
    return [found for file in files if (found := read(file.stem, file.read_text())) is not None]


def read(key: str, text: str) -> Contestant | None:
    """What a file says of its contestant; None if it is none."""
    block = _METADATA.search(text)
    if block is None:
        return None
    described = tomllib.loads(re.sub(r"^# ?", "", block[1], flags=re.MULTILINE))
    fields = described["tool"]["bench"]
    dependencies = described.get("dependencies")
    return Contestant(
        key=key,
        command=tuple(fields.pop("command")),
        dependencies=None if dependencies is None else tuple(map(_same_runtime, dependencies)),
        **fields,
    )


def _same_runtime(dependency: str) -> str:
    """The servers are compared, not the releases of the runtime."""
    return f"onnxruntime=={onnxruntime.__version__}" if dependency == "onnxruntime" else dependency


def python(contestant: Contestant) -> Path:
    """The interpreter of its virtual environment, which is made if there is none of these dependencies.

    Raises:
        CannotTakePart: pip could not install what it needs.
    """
    if contestant.dependencies is None:
        return Path(sys.executable)
    folder = ENVIRONMENTS / contestant.key
    interpreter, made = folder / "bin" / "python", folder / "made-of.txt"
    wanted = "\n".join(contestant.dependencies)
    if made.exists() and made.read_text() == wanted:
        return interpreter
    try:
        subprocess.run(
            [sys.executable, "-m", "venv", "--clear", str(folder)], check=True, capture_output=True
        )
        install = [str(interpreter), "-m", "pip", "install", "--quiet", *contestant.dependencies]
        subprocess.run(install, check=True, capture_output=True, text=True)
    except subprocess.CalledProcessError as error:
        lines = str(error.stderr).strip().splitlines() or ["it cannot be installed"]
        raise CannotTakePart(lines[-1]) from error
    made.write_text(wanted)
    return interpreter


@contextmanager
def started(
    contestant: Contestant, interpreter: Path, folder: Path, model: Path = BUNDLED_MODEL
) -> Iterator[Started]:
    """Start a contestant, wait for its first answer, and end all its processes afterwards.

    Args:
        contestant: who.
        interpreter: of its virtual environment.
        folder: where it may write.
        model: what it serves, if its code asks which; see `Contestant.uploads`.

    Raises:
        CannotTakePart: it gave no answer.
    """
    port = free_port()
    words = {"port": str(port), "folder": str(folder / "data")}
    log = folder / "log.txt"
    begin = time.perf_counter()
    with log.open("wb") as out:
        process = subprocess.Popen(
            [str(interpreter), *(argument.format(**words) for argument in contestant.command)],
            cwd=ROOT if contestant.dependencies is None else folder,
            env={**_environment(contestant, words), "BENCH_MODEL": str(model)},
            stdout=out,
            stderr=out,
            start_new_session=True,
        )
    try:
        url = f"http://127.0.0.1:{port}{contestant.path}"
        index = _first_answer(process, url, contestant.form, log)
        yield Started(url, time.perf_counter() - begin, index, process.pid)
    finally:
        _stop(process)


def _family(*first: int) -> list[int]:
    """These processes, those of their sessions, and all that they started, as far as they run."""
    parents, found = dict[int, int](), set[int]()
    for status in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):  # it may have ended meanwhile
            process = int(status.parent.name)
            fields = status.read_text().rpartition(")")[2].split()
            parents[process] = int(fields[1])
            # One that has ended stands there until its parent has asked for it.
            if fields[0] not in "ZX" and (process in first or int(fields[3]) in first):
                found.add(process)
    while more := {process for process, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def _environment(contestant: Contestant, words: Mapping[str, str]) -> dict[str, str]:
    inherited = {name: value for name, value in os.environ.items() if not name.startswith("PREDICTOR_")}
    own = {name: value.format(**words) for name, value in contestant.environment.items()}
    return {**inherited, "PYTHONPATH": str(ROOT), **own}


def _first_answer(process: "subprocess.Popen[bytes]", url: str, form: str, log: Path) -> int:
    """The class that the first answer names."""
    posted, deadline = request(PICTURE.read_bytes(), form), time.monotonic() + _START_SECONDS
    while time.monotonic() < deadline and process.poll() is None:
        with suppress(requests.ConnectionError):
            answer = requests.post(url, posted.body, headers=posted.headers, timeout=30)
            if answer.ok:
                return best_class(answer.json())
        time.sleep(0.02)
    lines = log.read_text().strip().splitlines() or ["it gave no answer"]
    raise CannotTakePart(lines[-1])


def _stop(process: "subprocess.Popen[bytes]") -> None:
    before = _family(process.pid)
    process.send_signal(signal.SIGTERM)
    with suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_SECONDS)
    # It may have started another one meanwhile. Those that it left behind end a moment after they are killed.
    deadline = time.monotonic() + _STOP_SECONDS
    while (family := _family(process.pid, *before)) and time.monotonic() < deadline:
        for each in family:
            with suppress(ProcessLookupError):
                os.kill(each, signal.SIGKILL)
        time.sleep(0.02)
    process.wait()
