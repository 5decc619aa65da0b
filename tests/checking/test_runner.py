"""A model's check may do anything; its answer is believed only if it is whole and the process ended well."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from predictor.checking import process
from predictor.checking.process import run
from predictor.checking.report import Limits, Refused, Report, Request
from predictor.checking.runner import ENVIRONMENT, try_model
from predictor.config import cores
from predictor.errors import Internal, NotReady
from tests.patience import PATIENCE
from tools.sample_models import classifier

pytestmark = pytest.mark.slow

YES = json.dumps(
    {
        "ok": True,
        "spec": {"classes": 3},
        "nodes": 7,
        "load_seconds": 0.1,
        "run_seconds": 0.2,
        "batch": 4,
        "batch_seconds": 0.3,
        "memory_bytes": 100,
        "warnings": ["Look at this."],
    }
)
SECONDS = 60.0


def tried(folder: Path, code: str, seconds: float = SECONDS) -> Report:
    """What is made of a process that runs some code in place of the check."""
    command = (sys.executable, "-c", f"import os, sys, time, signal\nYES = {YES!r}\n{code}")
    request = Request("model.onnx", limits=Limits(seconds=seconds))
    return try_model(folder, request, command=command)


def refused(folder: Path, code: str, seconds: float = SECONDS) -> str:
    """Why such a process's model is refused, in one word."""
    with pytest.raises(Refused) as error:
        tried(folder, code, seconds)
    return error.value.reason


def test_believed(tmp_path: Path) -> None:
    """A whole answer of a process that ended well is what was found."""
    report = tried(tmp_path, "print(YES)")

    assert (report.spec, report.nodes, report.warnings) == ({"classes": 3}, 7, ("Look at this.",))


def test_request(tmp_path: Path) -> None:
    """The process is asked on standard input, in the folder, with nothing of this process's environment."""
    code = """
import json
asked = json.load(sys.stdin)
spec = {"asked": asked["model"], "folder": os.getcwd(), "names": sorted(os.environ)}
print(json.dumps(json.loads(YES) | {"spec": spec}))
"""
    report = tried(tmp_path, code)

    assert (report.spec["asked"], report.spec["folder"]) == ("model.onnx", os.path.realpath(tmp_path))
    assert not set(report.spec["names"]) & {"HOME", "PATH", "USER", "PREDICTOR_ADMIN_TOKEN"}


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("pass", "no_answer"),
        ("print('nonsense')", "no_answer"),
        ("print(YES[:-5])", "no_answer"),
        ("print(YES); sys.exit(3)", "no_answer"),
        ("print(YES.replace('0.2', 'NaN'))", "no_answer"),
        ("print(YES.replace('0.2', '1e999'))", "no_answer"),
        ("print(YES.replace('0.2', '-1'))", "no_answer"),
        ("print(YES.replace('7', '\"7a\"'))", "no_answer"),
        ("print(YES[:-1] + ', \"more\": 1}')", "no_answer"),
        ("print('[' * 60_000)", "no_answer"),
        ("print(YES[:-1] + ' ' * 1_000_000 + '}')", "no_answer"),
        ("sys.stdout.buffer.write(b'\\xff' * 100)", "no_answer"),
        ('print(\'{"ok": false, "code": "unheard", "reason": "x"}\')', "no_answer"),
        ('print(\'{"ok": false, "code": "labels", "reason": "They are wrong."}\')', "labels"),
        ("print(YES, flush=True); os.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
        ("os.abort()", "crashed"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "memory"),
        ("os.kill(os.getpid(), signal.SIGXCPU)", "time"),
    ],
)
def test_not_believed(tmp_path: Path, code: str, reason: str) -> None:
    """Whatever else comes is a refusal with a reason."""
    assert refused(tmp_path, code) == reason


@pytest.mark.parametrize(
    "code",
    [
        "time.sleep(3600)",
        "print(YES, flush=True); time.sleep(3600)",
        "signal.signal(signal.SIGTERM, signal.SIG_IGN); os.close(1); os.close(2); time.sleep(3600)",
        "while True: sys.stderr.write('x' * 100_000)",
    ],
)
def test_time(tmp_path: Path, code: str) -> None:
    """A process that does not end is ended when its time is up, whatever it writes or ignores."""
    assert refused(tmp_path, code, seconds=0.5) == "time"


def test_flood(tmp_path: Path) -> None:
    """An answer without end is not read to its end."""
    assert refused(tmp_path, "while True: print('x' * 100_000)") == "no_answer"


def test_offspring(tmp_path: Path) -> None:
    """What a process leaves running, with its streams open, is neither waited for nor left alive."""
    code = """
child = os.fork()
if child == 0:
    time.sleep(3600)
open('child', 'w').write(str(child))
print(YES, flush=True)
"""
    assert tried(tmp_path, code).nodes == 7

    child = Path("/proc", (tmp_path / "child").read_text())
    deadline = time.monotonic() + PATIENCE
    while child.exists() and "(zombie)" not in (child / "status").read_text() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert not child.exists() or "(zombie)" in (child / "status").read_text()


def test_no_such_command(tmp_path: Path) -> None:
    """If the process cannot be started, that is not the model's fault."""
    with pytest.raises(Internal):
        try_model(tmp_path, Request("model.onnx"), command=("/nonexistent/check",))


def test_busy_machine(tmp_path: Path) -> None:
    """On a machine all of whose cores are taken, a check that hardly gets one gets a share of its own.

    It may wait for a processor for longer than it may work.
    """
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(4 * cores())]
    (tmp_path / "model.onnx").write_bytes(classifier(["one", "other"]))
    try:
        report = try_model(tmp_path, Request(model="model.onnx", limits=Limits(seconds=20)))
    finally:
        for process in busy:
            process.kill()
            process.wait()

    assert report.run_seconds > 0


def test_starving(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that hardly gets a processor because it lets everybody go first begins again as an equal."""
    monkeypatch.setattr(process, "_STARVING_SECONDS", 1.0)
    core = min(os.sched_getaffinity(0))
    code = f"""
import json
asked = json.load(sys.stdin)
if asked["niceness"]:
    os.sched_setaffinity(0, {{{core}}})
    while True:
        pass
spec = {{"niceness": asked["niceness"], "class": os.sched_getscheduler(0)}}
print(json.dumps(json.loads(YES) | {{"spec": spec}}))
"""
    with subprocess.Popen([sys.executable, "-c", "while True: pass"]) as busy:
        os.sched_setaffinity(busy.pid, {core})
        try:
            report = tried(tmp_path, code)
        finally:
            busy.kill()

    assert report.spec == {"niceness": 0, "class": os.SCHED_OTHER}


def test_no_processor(tmp_path: Path) -> None:
    """A process that is not done when the clock says so, though it may work on, is not the model's fault."""
    limits = Limits(seconds=600, wall_seconds=0.5)

    with pytest.raises(NotReady, match="busy"):
        try_model(
            tmp_path,
            Request("model.onnx", limits=limits),
            command=(sys.executable, "-c", "import time; time.sleep(600)"),
        )


def test_gives_way(tmp_path: Path) -> None:
    """The process runs only when nothing else wants the processor, from its first moment."""
    code = "import os, time; time.sleep(0.2); os.write(2, str(os.sched_getscheduler(0)).encode())"

    ending = run(tmp_path, Request(model="model.onnx"), (sys.executable, "-c", code), ENVIRONMENT)

    assert ending.stderr == str(os.SCHED_IDLE).encode()


def test_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process writes right before its end is heard, however late it is noticed that it has ended."""
    exited = process._exited

    def late(process: "subprocess.Popen[bytes]") -> bool:
        time.sleep(0.3)
        return exited(process)

    monkeypatch.setattr(process, "_exited", late)

    assert tried(tmp_path, "time.sleep(0.1); os.write(1, YES.encode()); os._exit(0)").nodes == 7
