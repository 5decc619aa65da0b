"""A small network is made faster in real processes, and the report says what was found."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest

from predictor.errors import InvalidModel, InvalidRequest, NotReady
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.runner import Progress
from predictor.image.decode import Limits
from predictor.model.calibration import Calibration
from predictor.model.device import Device
from predictor.model.hardware import KEY, this_machine
from predictor.optimising.job import JUDGED, Job, Judging
from predictor.optimising.optimiser import Optimiser, Source
from predictor.optimising.processes import COMMAND, Processes
from tests.optimising.networks import images, network, spec

pytestmark = pytest.mark.slow
LIMITS = Limits(("PNG",), 1_000_000, 1_000_000)


def optimiser(model: Path, folder: Path, command: tuple[str, ...] = COMMAND) -> Optimiser:
    """What makes the network faster, in a hurry."""
    folder.mkdir(exist_ok=True)
    processes = Processes(folder, Device("cpu"), command)
    return Optimiser(Source(model, spec(), Device("cpu")), folder, processes, pace_seconds=0.1)


def saved(folder: Path, model: onnx.ModelProto) -> Path:
    """The file of a model."""
    path = folder / "model.onnx"
    onnx.save(model, path)
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[Any], Optimiser]:
    """All steps of an optimisation with 24 images, one of them sent twice and one damaged."""
    folder = tmp_path_factory.mktemp("optimise")
    model = network()
    model.metadata_props.add(key="labels", value="kept")
    made = optimiser(saved(folder, model), folder / "work")
    sent = [
        *images(24),
        LabelledImage("twice.png", (), images(1)[0].read),
        LabelledImage("bad.png", (), lambda: b"GIF"),
    ]
    return list(made.steps(sent, LIMITS)), made


def test_report(done: tuple[list[Any], Optimiser]) -> None:
    """Each form has its proof, and so few images recommend nothing."""
    *_, report = done[0]

    assert {"int8", "int8_corrected", "graph"} <= {one["key"] for one in report["candidates"]}
    assert (report["images"], report["calibration_images"] + report["judged_images"]) == (24, 24)
    assert {one["file"] for one in report["problems"]} == {"twice.png", "bad.png"}
    assert report["recommended"] is None
    assert f"{report['judged_images']} judged images are too few" in report["basis"]
    for one in report["candidates"]:
        assert one["bytes"] > 0
        assert one["speed"]["alone"]["ratio"] > 0
        assert one["agreement"]["of"] == report["judged_images"]
        assert one["objections"]
    assert report["processor"]["machine"]


def test_progress(done: tuple[list[Any], Optimiser]) -> None:
    """The progress never falls, and ends where all is done; the report is last."""
    *progress, report = done[0]

    assert isinstance(report, dict)
    assert all(isinstance(step, Progress) for step in progress)
    assert [step.done for step in progress] == sorted(step.done for step in progress)
    assert progress[-1].done == progress[-1].of


def test_file(done: tuple[list[Any], Optimiser]) -> None:
    """A candidate's file has inputs, outputs and metadata of the original, and nearly its answers."""
    _, made = done
    original, faster = (
        onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
        for path in (made.source.path, made.file("int8_corrected"))
    )
    tensors = np.load(made.folder / JUDGED)

    (wanted,), (found,) = (session.run(["scores"], {"image": tensors}) for session in (original, faster))

    assert (wanted.argmax(axis=1) == found.argmax(axis=1)).mean() >= 0.75
    assert np.abs(wanted - found).mean() < 0.1
    assert faster.get_inputs()[0].shape == ["batch", 3, 32, 32]
    said = {one.key: one.value for one in onnx.load(made.file("int8_corrected")).metadata_props}
    assert (said["labels"], json.loads(said[KEY])) == ("kept", this_machine().to_json())
    assert not any(path.is_symlink() for path in made.folder.iterdir())


def test_quantised_already(tmp_path: Path, done: tuple[list[Any], Optimiser]) -> None:
    """A model that is quantised is refused with a sentence."""
    again = optimiser(done[1].file("int8"), tmp_path / "work")

    with pytest.raises(InvalidModel, match="quantised already"):
        list(again.steps(images(4), LIMITS))


def test_calibrated(tmp_path: Path) -> None:
    """Forms of a calibrated version are judged by its own confidences and thresholds."""
    hot = replace(spec(), calibration=Calibration((8.0,), (0.6,)))
    made = optimiser(saved(tmp_path, network()), tmp_path / "work")

    *_, report = replace(made, source=replace(made.source, spec=hot)).steps(images(24), LIMITS)

    assert isinstance(report, dict)
    assert report["original"]["abstained"]["value"] > 0.5
    assert all(one["abstained"]["value"] > 0.5 for one in report["candidates"])
    assert all(one["confidence"]["largest"] < 0.05 for one in report["candidates"])


def test_no_images(tmp_path: Path) -> None:
    """Images of which none can be opened are refused, and the first reason is said."""
    made = optimiser(saved(tmp_path, network()), tmp_path / "work")

    with pytest.raises(InvalidRequest, match=r"bad\.png"):
        list(made.steps([LabelledImage("bad.png", (), lambda: b"GIF")], LIMITS))


@pytest.mark.parametrize("code", ["os._exit(0)", "os.abort()", "print('{}')", "print('[1]')", "sys.exit(3)"])
def test_crash(tmp_path: Path, code: str) -> None:
    """A process that crashes or talks nonsense is an error with a sentence, whatever it wrote."""
    command = (sys.executable, "-c", f"import os, sys; sys.stdin.read(); {code}")
    made = optimiser(saved(tmp_path, network()), tmp_path / "work", command)

    with pytest.raises(InvalidModel, match="without a result"):
        list(made.steps(images(4), LIMITS))


def test_left(tmp_path: Path) -> None:
    """Who stops reading stops the process at once."""
    command = (sys.executable, "-c", "import time; open('pid', 'w').write('x'); time.sleep(600)")
    made = optimiser(saved(tmp_path, network()), tmp_path / "work", command)
    steps = made.steps(images(4), LIMITS)
    while not (made.folder / "pid").exists():
        next(steps)

    steps.close()

    with pytest.raises(NotReady, match="stopped"):
        made.processes.do(Job("judge", ("model.onnx",), ("image", "scores")), Judging)


def test_sandbox(tmp_path: Path) -> None:
    """The process has no environment of ours, and writes in its folder alone."""
    secret, outside = "PREDICTOR_ADMIN_TOKEN", tmp_path / "outside.txt"
    os.environ.setdefault(secret, "secret")
    code = f"""
import json, os, sys
from pathlib import Path
from predictor.checking.sandbox import enter_sandbox
from predictor.optimising.job import LIMITS
sys.stdin.read()
enter_sandbox(LIMITS, 1000, scratch=Path())
Path("inside.txt").write_text("x")
try:
    Path({str(outside)!r}).write_text("x")
except OSError:
    pass
try:
    Path("link").symlink_to("/etc/passwd")
except OSError:
    pass
print(json.dumps({{"ok": False, "reason": str({secret!r} in os.environ)}}))
"""
    made = optimiser(saved(tmp_path, network()), tmp_path / "work", (sys.executable, "-c", code))

    with pytest.raises(InvalidModel, match="False"):
        list(made.steps(images(4), LIMITS))

    assert (made.folder / "inside.txt").exists()
    assert not outside.exists()
