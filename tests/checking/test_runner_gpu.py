"""A second process tries a model on the GPU: what it finds, and what counts against the model."""

import sys
from pathlib import Path

import pytest

from predictor.checking.report import BEGUN, Limits, Refused, Report, Request
from predictor.checking.runner import COMMAND
from predictor.checking.runner_gpu import environment, try_on
from predictor.config import BUNDLED_MODEL
from predictor.model.device import Device
from tools.sample_models import classifier

pytestmark = pytest.mark.slow

GPU = Device("cuda", "GPU-aaaa0000-0000-0000-0000-000000000000", "Fake GPU")
BEST = {"classes": [2, 0], "scores": [0.9, 0.1], "spread": 0.9}
CPU = {
    "ok": True,
    "spec": {"classes": 3},
    "nodes": 7,
    "load_seconds": 0.1,
    "run_seconds": 0.2,
    "batch": 4,
    "batch_seconds": 0.3,
    "memory_bytes": 100,
    "warnings": ["Look at this."],
    "best": [BEST],
}
CUDA = {**CPU, "load_seconds": 1.5, "run_seconds": 0.02, "batch_seconds": 0.03, "gpu_bytes": 5_000_000}


def tried(folder: Path, code: str, *, device: Device | None = GPU, seconds: float = 20.0) -> Report:
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
    return tried(folder, f"print(BEGUN, flush=True); print(json.dumps(CUDA | {changes!r}))")


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
    report = tried(tmp_path, "open('started', 'w')", device=device)

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
    report = tried(
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
    report = tried(tmp_path, code)

    assert report.cuda is None
    assert report.warnings == (
        "Look at this.",
        "The model could not be checked on the GPU: CUDA could not be started.",
    )


def test_slow_driver(tmp_path: Path) -> None:
    """A driver that does not answer is not waited for, and not held against the model either."""
    report = tried(tmp_path, "time.sleep(3600)", seconds=5.0)

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
        tried(tmp_path, f"print(BEGUN, flush=True)\n{code}", seconds=seconds)

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
    with pytest.raises(Refused, match=r"^On the GPU: The runtime could not load the model\.$") as refused:
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
