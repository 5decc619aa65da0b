"""A model's check may do anything; its answer is believed only if it is whole and the process ended well."""

import json
import os
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from predictor.background import ENVIRONMENT
from predictor.checking.process import run
from predictor.checking.report import BEGUN, Limits, Refused, Report, Request
from predictor.checking.runner import COMMAND, environment, try_model, try_on
from predictor.config import BUNDLED_MODEL
from predictor.cores import cores
from predictor.errors import Internal, NotReady
from predictor.model.device import Device
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
    """On a machine all of whose cores are taken, a check comes to its end.

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
    """The process lets others go first, from its first moment."""
    code = "import os; os.write(2, str(os.nice(0)).encode())"

    ending = run(tmp_path, Request(model="model.onnx"), (sys.executable, "-c", code), ENVIRONMENT)

    assert int(ending.stderr) == min(os.nice(0) + 5, 19)


def test_gives_way_to_one_that_gives_way(tmp_path: Path) -> None:
    """So it does where the service itself lets others go first, which it may have no right to take back."""
    code = "import os; os.write(2, str(os.nice(0)).encode())"
    request, command = Request(model="model.onnx"), (sys.executable, "-c", code)

    def nicely() -> tuple[int, int]:
        # That of this thread alone.
        own = os.nice(10)
        return own, int(run(tmp_path, request, command, ENVIRONMENT).stderr)

    with ThreadPoolExecutor(1) as pool:
        own, found = pool.submit(nicely).result()

    assert found == min(own + 5, 19)


def test_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a process writes right before its end is heard, however late it is noticed that it has ended."""
    waitid = os.waitid

    def late(*which: int) -> os.waitid_result | None:
        time.sleep(0.3)
        return waitid(*which)

    monkeypatch.setattr(os, "waitid", late)

    assert tried(tmp_path, "time.sleep(0.1); os.write(1, YES.encode()); os._exit(0)").nodes == 7


GPU = Device("cuda", "GPU-aaaa0000-0000-0000-0000-000000000000", "Fake GPU")
BEST = {"classes": [2, 0], "scores": [0.9, 0.1], "spread": 0.9}
CPU = {**json.loads(YES), "best": [BEST]}
CUDA = {**CPU, "load_seconds": 1.5, "run_seconds": 0.02, "batch_seconds": 0.03, "gpu_bytes": 5_000_000}


def tried_on_gpu(folder: Path, code: str, *, device: Device | None = GPU, seconds: float = 20.0) -> Report:
    """What is made of a model that passed on the CPU, and in whose check on the GPU some code runs."""
    command = (
        sys.executable,
        "-c",
        f"""
import json, os, resource, signal, sys, time
BEGUN, CPU, CUDA = {BEGUN!r}, {CPU!r}, {CUDA!r}
asked = json.load(sys.stdin)
if asked["provider"] == "cpu":
    print(json.dumps(CPU))
    sys.exit()
{code}
""",
    )
    return try_on(folder, Request("model.onnx", limits=Limits(seconds=seconds)), device, command=command)


def found(folder: Path, **changes: object) -> Report:
    """The same for a second process that ends well, and answers as on the CPU but for some changes."""
    return tried_on_gpu(folder, f"print(BEGUN, flush=True); print(json.dumps(CUDA | {changes!r}))")


def test_figures(tmp_path: Path) -> None:
    """Its figures stand in the report beside those of the CPU."""
    report = found(tmp_path)

    assert report.run_seconds == 0.2
    assert report.warnings == ("Look at this.",)
    assert report.to_json()["cuda"] == {
        "device": "Fake GPU",
        "load_seconds": 1.5,
        "run_seconds": 0.02,
        "batch": 4,
        "batch_seconds": 0.03,
        "memory_bytes": 5_000_000,
    }


@pytest.mark.parametrize("device", [None, Device("cpu")])
def test_no_gpu(tmp_path: Path, device: Device | None) -> None:
    """Where workers use the CPU there is no second process, and nothing is said of a GPU."""
    report = tried_on_gpu(tmp_path, "open('started', 'w')", device=device)

    assert "cuda" not in report.to_json()
    assert not (tmp_path / "started").exists()


def test_silent_driver(tmp_path: Path) -> None:
    """If the driver does not tell how much memory is used, the rest is there."""
    report = found(tmp_path, gpu_bytes=None)

    assert report.to_json()["cuda"]["memory_bytes"] is None


def test_warnings(tmp_path: Path) -> None:
    """What is new on the GPU is pointed out, and where its answers differ from the CPU's."""
    other = {**BEST, "classes": [0, 2]}

    report = found(tmp_path, warnings=["Look at this.", "Look at that."], best=[other])

    assert report.warnings == (
        "Look at this.",
        "On the GPU: Look at that.",
        "The GPU predicts a different class than the CPU for 1 of 1 test images.",
    )


def test_environment(tmp_path: Path) -> None:
    """The process sees one GPU, and of this environment only what CUDA needs."""
    inherited = {"LD_LIBRARY_PATH": "/cuda", "CUDA_VISIBLE_DEVICES": "0,1", "PREDICTOR_ADMIN_TOKEN": "secret"}

    given = environment(GPU, inherited)

    assert given.keys() == {
        "PYTHONPATH",
        "OPENBLAS_NUM_THREADS",
        "LD_LIBRARY_PATH",
        "CUDA_VISIBLE_DEVICES",
    }
    assert (given["LD_LIBRARY_PATH"], given["CUDA_VISIBLE_DEVICES"]) == ("/cuda", GPU.uuid)
    report = tried_on_gpu(
        tmp_path,
        "print(BEGUN); print(json.dumps(CUDA | {'warnings': [os.environ['CUDA_VISIBLE_DEVICES']]}))",
    )
    assert report.warnings[-1] == f"On the GPU: {GPU.uuid}"


@pytest.mark.parametrize(
    "code",
    [
        "pass",
        "sys.exit('The GPU was chosen, but the CUDA libraries could not be loaded.')",
        "os.abort()",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "print(json.dumps(CUDA))",
        "print(BEGUN + BEGUN)",
        "print('x' * 1_000_000)",
    ],
)
def test_machine_fault(tmp_path: Path, code: str) -> None:
    """Whatever goes wrong before CUDA works is not held against the model, but told."""
    report = tried_on_gpu(tmp_path, code)

    assert report.cuda is None
    assert report.warnings == (
        "Look at this.",
        "The model could not be checked on the GPU: CUDA could not be started.",
    )


def test_slow_driver(tmp_path: Path) -> None:
    """A driver that does not answer is not waited for, and not held against the model either."""
    report = tried_on_gpu(tmp_path, "time.sleep(3600)", seconds=5.0)

    assert report.warnings[-1].endswith("CUDA did not start in time.")


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("os.abort()", "crashed"),
        ("os.kill(os.getpid(), signal.SIGSEGV)", "crashed"),
        ("os.kill(os.getpid(), signal.SIGKILL)", "memory"),
        ("os.kill(os.getpid(), signal.SIGXCPU)", "time"),
        ("time.sleep(3600)", "time"),
        ("sys.exit(1)", "no_answer"),
        ("print(json.dumps(CUDA)[:-1])", "no_answer"),
        ("print(json.dumps(CUDA | {'run_seconds': float('nan')}))", "no_answer"),
        ("print(json.dumps(CUDA | {'best': [{'classes': [], 'scores': [], 'spread': 0}]}))", "no_answer"),
        ("while True: print('x' * 100_000)", "no_answer"),
        ('print(\'{"ok": false, "code": "not_finite", "reason": "They are not."}\')', "not_finite"),
        ('print(\'{"ok": false, "code": "load_failed", "reason": "It cannot."}\')', "load_failed"),
    ],
)
def test_refused(tmp_path: Path, code: str, reason: str) -> None:
    """Whatever goes wrong once CUDA works is a refusal, and the sentence says that it was on the GPU."""
    seconds = 5.0 if "sleep" in code else 120.0

    with pytest.raises(Refused, match=r"^On the GPU: [A-Z].*\.$") as refused:
        tried_on_gpu(tmp_path, f"print(BEGUN, flush=True)\n{code}", seconds=seconds)

    assert refused.value.reason == reason


def test_refused_on_the_cpu(tmp_path: Path) -> None:
    """A model that fails on the CPU is not tried on the GPU."""
    code = "import sys; open(str(len(sys.stdin.read())), 'w'); sys.exit(1)"

    with pytest.raises(Refused, match="without a result"):
        try_on(tmp_path, Request("model.onnx"), GPU, command=(sys.executable, "-c", code))

    assert len(list(tmp_path.iterdir())) == 1


STAND_IN = """
import sys
from predictor.checking import check
from predictor.model import session
from predictor.model.device import Device

used = iter([1_000_000, 5_000_000])

def load(path, device, **options):
    loaded.append(device.kind)
    if loaded == ["cuda"] * %d:
        raise check.NotReady("It is not there.")
    return session.load(path, Device("cpu"))

loaded = []
check.load = load
check.memory = lambda device: None if device.kind == "cpu" else (next(used), 80_000_000)
check.main()
"""
"""The real check, with the CPU in place of the GPU; a given load of it fails as if that were gone."""


def checked(folder: Path, model: bytes, failing: int = 0) -> Report:
    """What the real check finds with the CPU in place of the GPU."""
    (folder / "model.onnx").write_bytes(model)
    command = (*COMMAND[:-2], "-c", STAND_IN % failing)
    return try_on(folder, Request("model.onnx", limits=Limits(120, 60)), GPU, command=command)


def test_real_check(tmp_path: Path) -> None:
    """The check that ends well on the GPU gives the figures of that run, and the same scores."""
    report = checked(tmp_path, classifier(["red", "green", "blue"]))

    assert report.warnings == ()
    assert report.cuda is not None
    assert report.cuda.memory_bytes == 4_000_000
    assert min(report.cuda.load_seconds, report.cuda.run_seconds, report.cuda.batch_seconds) > 0


def test_real_check_without_cuda(tmp_path: Path) -> None:
    """If not even the model that ships with the service loads on the GPU, the machine is to blame."""
    report = checked(tmp_path, classifier(["red", "green", "blue"]), failing=1)

    assert report.cuda is None
    assert report.warnings[-1].endswith("CUDA could not be started.")


def test_real_check_of_a_model_that_does_not_load(tmp_path: Path) -> None:
    """If only the upload does not load on the GPU, it is refused."""
    with pytest.raises(
        Refused, match=r"^On the GPU: The runtime could not load the model, although it loads on the CPU: "
    ) as refused:
        checked(tmp_path, classifier(["red", "green", "blue"]), failing=2)

    assert refused.value.reason == "load_failed"


def test_real_process(tmp_path: Path) -> None:
    """The real check where that GPU is not to be had: the model passes, and the report tells it."""
    (tmp_path / "model.onnx").write_bytes(BUNDLED_MODEL.read_bytes())

    report = try_on(tmp_path, Request("model.onnx", limits=Limits(120, 60)), GPU)

    assert report.spec["classes"] == 1000
    assert [len(one.classes) for one in report.best] == [5] * 4
    assert report.cuda is None
    assert report.warnings == ("The model could not be checked on the GPU: CUDA could not be started.",)
