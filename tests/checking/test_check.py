"""The check of an upload: what passes, what is refused and why, each in the real process."""

import dataclasses
import gzip
import json
import os
import pickle
import resource
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from onnx import load_from_string, parser, printer

from predictor.checking import runner
from predictor.checking.report import REASONS, Limits, Provider, Reason, Refused, Report, Request
from predictor.config import BUNDLED_MODEL
from tests.patience import PATIENCE
from tests.processes import trials
from tools import bad_models, endings, external_models, runtime_models, sample_models

pytestmark = pytest.mark.slow

# Far more than any of these checks takes, but less than a stuck test would.
LIMITS = Limits(seconds=120, cpu_seconds=60)
COLOURS = ["red", "green", "blue"]

Check = Callable[..., Report]


@pytest.fixture
def check(tmp_path: Path) -> Check:
    """Check a model, with what came beside it, in a process of its own."""

    def check(model: bytes, *, limits: Limits = LIMITS, loops: bool = False, **beside: str) -> Report:
        (tmp_path / "model.onnx").write_bytes(model)
        for name, text in beside.items():
            (tmp_path / name).write_text(text)
        names = {name: name for name in beside}
        request = Request.from_json({"model": "model.onnx", "allow_control_flow": loops, **names})
        return runner.try_model(tmp_path, dataclasses.replace(request, limits=limits))

    return check


def refusal(check: Check, model: bytes, **more: Any) -> Refused:
    """Why a model is refused, in a sentence that an uploader can read."""
    with pytest.raises(Refused) as raised:
        check(model, **more)
    sentence = raised.value.detail
    assert raised.value.reason in REASONS
    assert sentence[0].isupper()
    assert sentence[-1] == "."
    for foreign in ("/", "Error", "Status", "onnxruntime", "Traceback", "\n"):
        assert foreign not in sentence
    return raised.value


def test_bundled(check: Check) -> None:
    """The bundled model passes, with its tensors, its figures and nothing to warn of."""
    report = check(BUNDLED_MODEL.read_bytes())

    assert report.spec["classes"] == 1000
    assert report.spec["inputs"] == [{"name": "image", "dtype": "uint8", "shape": [-1, 224, 224, 3]}]
    assert report.spec["activation"] == "none"
    assert report.warnings == ()
    assert report.batch == 4
    assert report.nodes > 100
    assert min(report.load_seconds, report.run_seconds, report.batch_seconds) > 0
    assert report.memory_bytes > 2 * BUNDLED_MODEL.stat().st_size


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("dtype", ["float32", "float16", "uint8", "int8"])
def test_inputs(check: Check, layout: sample_models.Layout, dtype: sample_models.DType) -> None:
    """Every layout and element type of images passes."""
    report = check(sample_models.classifier(COLOURS, layout=layout, dtype=dtype))

    assert report.spec["inputs"][0]["dtype"] == dtype
    assert report.spec["preprocessing"]["layout"] == layout
    assert report.spec["classes"] == 3


def test_fixed_batch(check: Check) -> None:
    """A model that takes three images at a time is run with three."""
    report = check(sample_models.classifier(COLOURS, batch=3))

    assert report.batch == 3
    assert report.batch_seconds == report.run_seconds


def test_negative_lengths(check: Check) -> None:
    """Axes of the length -1, as some tools write free ones, are free as they are for the runtime."""
    model: Any = load_from_string(sample_models.classifier(COLOURS, size=8))
    for one in (*model.graph.input, *model.graph.output):
        one.type.tensor_type.shape.dim[0].dim_value = -1

    report = check(model.SerializeToString())

    assert report.spec["inputs"][0]["shape"] == [-1, 3, 8, 8]
    assert report.batch > 1


def test_size_that_nothing_says(check: Check) -> None:
    """A refusal after a run with an assumed size says which one that was, and how to give another."""
    head = '<ir_version: 8, opset_import: ["" : 17]> g (float[N,3,H,W] x) => (float[N,3] y)'
    weights = "w = ConstantOfShape <value = float[1] {1}> (s)"
    body = f"f = Flatten(x) s = Constant<value = int64[2] {{192, 3}}>() {weights} y = MatMul(f, w)"
    model = parser.parse_model(f"{head} {{ {body} }}").SerializeToString()

    refused = refusal(check, model)

    assert refused.reason == "run_failed"
    assert refused.detail.endswith(
        "The model takes any size: 224 x 224 is assumed. If it was made for another, give that one in the "
        'preprocessing, such as {"size": 160}.'
    )
    assert check(model, preprocessing='{"size": 8}').spec["preprocessing"]["size"] == [8, 8]


def test_large(check: Check) -> None:
    """A file's size is added to the memory that a check may use, and all of it is loaded."""
    report = check(
        sample_models.classifier(COLOURS, padding_mb=50), limits=Limits(120, 60, memory_bytes=300_000_000)
    )

    assert report.memory_bytes > 100_000_000


def test_same_twice(check: Check) -> None:
    """Two checks of a model find the same."""
    model = sample_models.classifier(COLOURS)

    one, other = check(model), check(model)

    assert one.spec == other.spec
    assert (one.nodes, one.batch, one.warnings) == (other.nodes, other.batch, other.warnings)


def test_what_came_beside(check: Check) -> None:
    """Labels and preprocessing that came beside a model stand for those that its file lacks."""
    model = sample_models.classifier(COLOURS, metadata=False, size=16)

    report = check(
        model, labels=json.dumps(COLOURS), preprocessing=json.dumps(sample_models.preprocessing(16))
    )

    assert report.spec["classes"] == 3
    assert report.spec["preprocessing"]["size"] == [16, 16]
    assert report.spec["preprocessing"]["resize_to"] == 16


def test_operators_of_the_runtime(check: Check) -> None:
    """What optimisers write, and trees beside whose scores a label stands, is tried like any other model."""
    fused, tree = check(runtime_models.fused_classifier()), check(runtime_models.tree_classifier())

    assert (fused.spec["classes"], fused.warnings) == (3, ())
    assert (tree.spec["classes"], tree.spec["outputs"][0]["name"]) == (3, "probabilities")


def test_loops_allowed(check: Check) -> None:
    """A loop that a trial image does not enter passes if loops are allowed."""
    assert check(bad_models.time_bomb("loop"), loops=True).nodes > 10


@pytest.mark.parametrize("trouble", ["kernel", "crash"])
def test_time_bombs(check: Check, trouble: bad_models.Trouble) -> None:
    """No check foresees trouble with an image that it does not try: workers must be watched too."""
    assert check(bad_models.time_bomb(trouble)).spec["classes"] == 3


@pytest.mark.parametrize(
    ("body", "outputs"),
    [
        ("label = ArgMax<axis = 1, keepdims = 0>(scores)", "float[N,5] scores, int64[N] label"),
        ("m = ArgMax<axis = 1>(scores) label = Cast<to = 6>(m)", "int32[N,1] label, float[N,5] scores"),
        ("sure = Greater(scores, scores)", "bool[N,5] sure, float[N,5] scores"),
    ],
    ids=["int64", "int32", "bool"],
)
def test_beside_the_scores(check: Check, body: str, outputs: str) -> None:
    """Numbers and truth values beside the scores do no harm."""
    report = check(endings.ending(f"{endings.FIVE} {body}", outputs))

    assert (report.spec["classes"], report.spec["outputs"][0]["name"]) == (5, "scores")


@pytest.mark.parametrize("labels", ['{"cats": 0, "dogs": 1}', "dogs", None])
@pytest.mark.parametrize("model", [endings.sigmoid(), endings.logit()], ids=["sigmoid", "logit"])
@pytest.mark.parametrize("shape", ["float[N,1]", "float[N,M]"])
def test_one_score(check: Check, model: bytes, labels: str | None, shape: str) -> None:
    """One score is two classes with two labels, one or none, also where only a run shows that it is one."""
    text = printer.to_text(load_from_string(model)).replace("float[N,1]", shape)
    model = parser.parse_model(text).SerializeToString()

    spec = check(model, **({} if labels is None else {"labels": labels})).spec

    assert (spec["classes"], spec["binary"], spec["multi_label"]) == (2, True, False)
    assert spec["activation"] == ("none" if b"Sigmoid" in model else "sigmoid")


def test_one_score_without_an_axis(check: Check) -> None:
    """What a network gives that squeezes its one score is no other than without."""
    body = f"{endings.ONE} one_axis = Constant<value = int64[1] {{1}}>() y = Squeeze(score, one_axis)"

    spec = check(endings.ending(body, "float[N] y"), labels="cats\ndogs").spec

    assert (spec["classes"], spec["binary"], spec["activation"]) == (2, True, "sigmoid")


def test_training_mode(check: Check) -> None:
    """A model in training mode is served with a warning that says how to export it."""
    half = "half = Constant<value = float {0.5}>() on = Constant<value = bool {1}>()"

    report = check(endings.ending(f"{endings.FIVE} {half} y = Dropout(scores, half, on)", "float[N,5] y"))

    assert [one for one in report.warnings if "in training mode (Dropout)" in one and "model.eval()" in one]


@pytest.mark.promise("M2", "M3", "M8")
@pytest.mark.parametrize(
    ("reason", "model", "words"),
    [
        ("not_onnx", bad_models.TEXT, "not an ONNX model"),
        ("not_onnx", b"\x89HDF\r\n\x1a\n" + bytes(200), 'one of Keras. Export it: model.export("m.onnx"'),
        ("not_onnx", b"\x1c\0\0\0TFL3" + bytes(200), "one of TensorFlow. Convert it with python -m tf2onnx"),
        ("not_onnx", b"\x10\0\0\0\0\0\0\0" + b'{"w": [1, 2, 3]}', "one of PyTorch. Export it"),
        ("not_onnx", pickle.dumps(["a classifier"], protocol=4), "pickle format. Export it"),
        ("not_onnx", b"<?xml version='1.0'?><net/>", "one of OpenVINO. Upload the ONNX file"),
        ("not_onnx", b"PK\3\4" + bytes(200), "one that is an archive. Send what it holds"),
        ("not_onnx", gzip.compress(sample_models.classifier(COLOURS)), "one that is an archive"),
        ("not_onnx", b"7z\xbc\xaf\x27\x1c" + bytes(200), "one that is an archive"),
        ("not_onnx", b"model.onnx".ljust(257, b"\0") + b"ustar\x0000", "one that is an archive"),
        ("not_onnx", b"version https://git-lfs.github.com/spec/v1\nsize 9\n", "a Git LFS pointer. Run"),
        ("not_onnx", b"<!DOCTYPE html><p>Log in.</p>", "one that is an HTML page. Download the model"),
        ("not_onnx", b"", "no ONNX graph"),
        ("not_onnx", bad_models.truncated(), "damaged or incomplete"),
        ("not_onnx", sample_models.classifier(COLOURS).replace(b"scores", b"sc\xffres"), "UTF-8"),
        ("memory", bad_models.huge_constant(), "more memory"),
        ("memory", bad_models.huge_filling(), "more memory"),
        ("memory", bad_models.huge_at_run(), "more memory"),
        ("memory", bad_models.troubled("matrices"), "more memory"),
        ("control_flow", bad_models.troubled("loop"), "Loop"),
        ("control_flow", bad_models.time_bomb("loop"), "Loop"),
        ("crashed", bad_models.troubled("crash"), "crashed"),
        ("too_complex", bad_models.chained_functions(), "1000 functions"),
        ("too_complex", bad_models.chained_functions(100), "too long a chain"),
        ("too_complex", bad_models.multiplied_functions(), "100000 operators"),
        ("operator", bad_models.foreign_operator(), "Magic of the domain example.org"),
        ("not_finite", bad_models.not_finite(), "not all finite"),
        ("image_input", bad_models.no_image(), "no image input"),
        ("class_scores", bad_models.strings(), "must give a number for each class"),
        (
            "class_scores",
            endings.ending(f"{endings.ONE} p = Softmax(score)", "float[N,1] p"),
            "over one score",
        ),
        ("class_scores", bad_models.one_answer(), "images: 4, rows of scores: 1"),
        ("unclear", bad_models.wrong_labels(), "3 classes, but 4 labels"),
        ("class_count", bad_models.wrong_labels_at_run(), "3 class scores, but 4 labels"),
        ("class_count", bad_models.many_classes(), "at most 100000 classes"),
        ("unclear", bad_models.many_classes(declared=True), "at most 100000 classes"),
        (
            "run_failed",
            bad_models.failing(),
            "fails when it is run with 1 image, in the operator Gather. Run it",
        ),
        (
            "run_failed",
            endings.ending("s = Constant<value = int64[2] {1, 3}>() y = Reshape(colours, s)", "float[N,3] y"),
            "with 4 images, in the operator Reshape, which gets or makes the shape 4 x 3 and 1 x 3.",
        ),
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_refused(check: Check, reason: Reason, model: bytes, words: str) -> None:
    """What cannot be served is refused, and the sentence says what is wrong with it."""
    refused = refusal(check, model)

    assert refused.reason == reason
    assert words in refused.detail


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (
            endings.ending("y = StatelessRandomUniformV2(colours)", "float[N,3] y"),
            "no operator StatelessRandomUniformV2 in the domain ai.onnx",
        ),
        (
            endings.ending("y = ai.onnx.ml.Magic(colours)", "float[N,3] y"),
            "no operator Magic in the domain ai.onnx.ml",
        ),
        (
            endings.ending("d = Cast<to = 16>(pooled) y = GlobalMaxPool(d)", "bfloat16[N,3,1,1] y"),
            "GlobalMaxPool does not take the element type bfloat16",
        ),
    ],
    ids=["operator", "domain", "type"],
)
def test_not_loaded(check: Check, model: bytes, words: str) -> None:
    """The sentence about a model that the runtime does not load says what in it is to blame."""
    refused = refusal(check, model)

    assert refused.reason == "load_failed"
    assert words in refused.detail


@pytest.mark.promise("M4", "M5")
@pytest.mark.parametrize("trouble", ["loop", "kernel"])
def test_endless(check: Check, tmp_path: Path, trouble: bad_models.Trouble) -> None:
    """What does not end is ended in time, and no process is left."""
    refused = refusal(check, bad_models.troubled(trouble), limits=Limits(seconds=1.5), loops=True)

    assert refused.reason == "time"
    assert trials(tmp_path) == []


@pytest.mark.promise("M6")
def test_crash_at_load(check: Check) -> None:
    """A chain of functions that brings the runtime down is refused even if its length is allowed."""
    limits = Limits(120, 60, functions=10_000, depth=10_000)

    refused = refusal(check, bad_models.chained_functions(), limits=limits)

    assert refused.reason == "crashed"


@pytest.mark.promise("M1")
@pytest.mark.parametrize("location", external_models.LOCATIONS)
def test_external_data(check: Check, tmp_path: Path, location: str) -> None:
    """Data outside the file is refused however its place is spelled, and although it is there."""
    (tmp_path / "weights.bin").write_bytes(bytes(100))
    (tmp_path / "link").symlink_to("/etc/passwd")

    refused = refusal(check, external_models.external_data(location))

    plain = location in ("weights.bin", "link", "model.onnx")
    assert refused.reason == "external_data"
    assert (f"outside its file, in {location}, which did not come with it." in refused.detail) == plain
    assert plain or "outside its file. Save" in refused.detail
    assert "torch.onnx.export(..., external_data=False)" in refused.detail
    assert 'onnx.save(onnx.load("m.onnx"), "one.onnx")' in refused.detail


def test_external_data_of_an_exporter(check: Check) -> None:
    """The file that an exporter wrote beside the model is named as it is called."""
    model = external_models.external_data("My network (v2).onnx.data")

    assert "outside its file, in My network (v2).onnx.data, which" in refusal(check, model).detail


@pytest.mark.promise("M1")
@pytest.mark.parametrize("place", external_models.PLACES)
def test_external_data_anywhere(check: Check, place: external_models.Place) -> None:
    """Data outside the file is refused wherever in the file it is told of."""
    assert refusal(check, external_models.external_data(place=place)).reason == "external_data"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("labels", bad_models.deep_labels()),
        ("labels", json.dumps([*COLOURS, "black"])),
        ("labels", "[1.5, 2, 3]"),
        ("preprocessing", "[]"),
        ("preprocessing", json.dumps({**sample_models.preprocessing(), "size": [31, 31]})),
    ],
    ids=["deep", "count", "numbers", "list", "size"],
)
def test_bad_companions(check: Check, name: str, text: str) -> None:
    """Labels or a preprocessing that do not fit are refused, whatever the file's metadata say."""
    refused = refusal(check, sample_models.classifier(COLOURS), **{name: text})

    assert refused.reason in {"unclear", "class_count", "labels", "preprocessing"}


def test_companions_of_windows(tmp_path: Path) -> None:
    """Labels and preprocessing in UTF-16 with its mark, as PowerShell writes them, are read."""
    (tmp_path / "model.onnx").write_bytes(sample_models.classifier(COLOURS, metadata=False, size=16))
    (tmp_path / "labels").write_bytes("\r\n".join(COLOURS).encode("utf-16"))
    form = json.dumps(sample_models.preprocessing(16))
    (tmp_path / "preprocessing").write_bytes(form.encode("utf-16"))
    request = Request("model.onnx", labels="labels", preprocessing="preprocessing")

    report = runner.try_model(tmp_path, request)

    assert report.spec["classes"] == 3
    assert report.spec["preprocessing"]["size"] == [16, 16]


@pytest.mark.parametrize("name", ["labels", "preprocessing"])
def test_companions_that_are_no_text(check: Check, tmp_path: Path, name: str) -> None:
    """An image in place of labels is refused, and so is far too long a text."""
    limits = Limits(120, 60, companion_bytes=1000)

    assert (
        refusal(check, sample_models.classifier(COLOURS), limits=limits, **{name: " " * 1001}).reason == name
    )

    (tmp_path / name).write_bytes(b"\x89PNG\r\n\x1a\n")
    with pytest.raises(Refused, match="UTF-8"):
        runner.try_model(tmp_path, Request.from_json({"model": "model.onnx", name: name}))


def test_too_large(check: Check) -> None:
    """A file over the limit is not even read."""
    refused = refusal(check, sample_models.classifier(COLOURS), limits=Limits(120, 60, model_bytes=500))

    assert refused.reason == "too_large"


@pytest.mark.promise("M5")
def test_processor_time(tmp_path: Path) -> None:
    """Without anybody to end it, a check is ended by the processor time that it may use."""
    (tmp_path / "model.onnx").write_bytes(bad_models.troubled("kernel"))
    request = Request("model.onnx", limits=Limits(seconds=60, cpu_seconds=1))

    done = run(runner.COMMAND, tmp_path, json.dumps(request.to_json()))

    assert done.returncode == -24  # SIGXCPU
    assert done.stdout == ""


@pytest.mark.promise("M5")
def test_ends_by_itself(tmp_path: Path) -> None:
    """Without anybody to end it, a check is ended by the clock as well."""
    (tmp_path / "model.onnx").write_bytes(bad_models.troubled("kernel"))
    request = Request("model.onnx", limits=Limits(wall_seconds=0.5))

    done = run(runner.COMMAND, tmp_path, json.dumps(request.to_json()))

    assert done.returncode == -14  # SIGALRM


STARTER = """
import json, os, subprocess, sys
pipe = subprocess.PIPE
check = subprocess.Popen(sys.argv[2:], stdin=pipe, stdout=pipe, stderr=subprocess.DEVNULL)
check.stdin.write(sys.argv[1].encode())
check.stdin.close()
os._exit(0)
"""


@pytest.mark.promise("U6")
def test_ends_with_its_parent(tmp_path: Path) -> None:
    """A check whose parent is gone before it has begun ends as well."""
    (tmp_path / "model.onnx").write_bytes(bad_models.troubled("kernel"))
    request = json.dumps(Request("model.onnx").to_json())

    run((sys.executable, "-c", STARTER, request, *runner.COMMAND), tmp_path)

    assert len(trials(tmp_path)) == 1
    deadline = time.monotonic() + PATIENCE
    while trials(tmp_path):
        assert time.monotonic() < deadline, "it is still there"
        time.sleep(0.05)


PROBE = """
import json, os, resource, socket, sys, threading
before = os.readlink("/proc/self/ns/net")
from predictor.checking import kernel_filters
from predictor.checking.sandbox import enter_sandbox
from predictor.checking.report import Limits
enter_sandbox(Limits(), 1000, sys.argv[2])

def fails(attempt):
    try:
        attempt()
    except (OSError, RuntimeError) as error:
        return type(error).__name__
    return None

def fork():
    if os.fork() == 0:
        os._exit(0)

names = ("AS", "CPU", "NPROC", "CORE", "FSIZE", "NOFILE")
limits = {name: resource.getrlimit(getattr(resource, "RLIMIT_" + name)) for name in names}
parent = f"/proc/{os.getppid()}"
print(json.dumps({
    "alone": os.readlink("/proc/self/ns/net") != before,
    "landlock": kernel_filters.landlock_version(),
    "limits": limits,
    "environment": sorted(os.environ),
    "processes": {
        "fork": fails(fork),
        "thread": fails(threading.Thread(target=print).start),
        # With CUDA nothing forbids it, and it would end this program.
        "program": sys.argv[2] == "cpu" and fails(lambda: os.execv("/bin/true", ["true"])),
        "signal": fails(lambda: os.kill(os.getppid(), 0)),
    },
    "network": {
        "connect": fails(lambda: socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=60)),
        "datagram": fails(lambda: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", ("127.0.0.1", 9))),
        "pair": fails(socket.socketpair),
        "listen": fails(lambda: socket.create_server(("127.0.0.1", 0))),
    },
    "writes": {
        "new": fails(lambda: open("written", "wb", 0).write(b"x")),
        "change": fails(lambda: open("model.onnx", "r+b", 0).write(b"x")),
    },
    "files": {
        "shorten": fails(lambda: os.truncate("model.onnx", 0)),
        "remove": fails(lambda: os.unlink("model.onnx")),
        "rename": fails(lambda: os.rename("model.onnx", "other")),
        "folder": fails(lambda: os.mkdir("folder")),
        "link": fails(lambda: os.symlink("/", "link")),
        "key": fails(lambda: open("../key").read()),
        "list": fails(lambda: os.listdir("..")),
        "passwords": fails(lambda: open("/etc/shadow").read()),
        "environment of the service": fails(lambda: open(parent + "/environ").read()),
        "memory of the service": fails(lambda: open(parent + "/mem", "rb").read(1)),
    },
    "own": fails(lambda: open("model.onnx").read()),
}))
"""


@pytest.fixture
def upload(tmp_path: Path) -> Path:
    """The folder of an upload, with a secret beside it."""
    folder = tmp_path / "upload"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(b"model")
    (tmp_path / "key").write_text("secret")
    return folder


@pytest.fixture
def probe(upload: Path) -> dict[str, Any]:
    """What fails in a confined process, and how."""
    return probed(upload, "cpu")


def probed(folder: Path, provider: Provider) -> dict[str, Any]:
    """What fails in a process that is confined for a provider, and how."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        command = (*runner.COMMAND[:-2], "-c", PROBE, str(server.getsockname()[1]), provider)
        return dict(json.loads(run(command, folder).stdout))


@pytest.mark.promise("M14")
def test_confined(probe: dict[str, Any]) -> None:
    """A check can go over none of its limits, and knows nothing of the service."""
    assert set(probe["environment"]) <= {"LC_CTYPE", "OPENBLAS_NUM_THREADS", "PYTHONPATH"}
    assert probe["limits"] == {
        "AS": [2_000_004_000] * 2,
        "CPU": [30, 31],
        "NPROC": [0, 0],
        "CORE": [0, 0],
        "FSIZE": [0, 0],
        "NOFILE": [32, 32],
    }


def test_alone(probe: dict[str, Any]) -> None:
    """A check starts no process, thread or program, and reaches nobody, not even on this machine."""
    if os.uname().machine not in ("x86_64", "aarch64"):
        pytest.skip("no filter of system calls for this processor")
    assert set(probe["processes"].values()) == {"PermissionError", "RuntimeError"}
    assert set(probe["network"].values()) == {"PermissionError"}


def test_confined_with_cuda(upload: Path) -> None:
    """For CUDA there is more room, as it cannot start without, but no network, no time and no large file."""
    found = probed(upload, "cuda")
    unlimited = {
        name: list(resource.getrlimit(kind))
        for name, kind in {"AS": resource.RLIMIT_AS, "NPROC": resource.RLIMIT_NPROC}.items()
    }

    assert found["limits"] == {
        **unlimited,
        "CPU": [60, 61],
        "CORE": [0, 0],
        "FSIZE": [1_000_000] * 2,
        "NOFILE": [1024, 1024],
    }
    assert found["network"]["connect"] is not None or not found["alone"]


@pytest.mark.promise("M14")
def test_no_network(probe: dict[str, Any]) -> None:
    """A check reaches nobody, not even a server on this machine."""
    if not probe["alone"]:
        pytest.skip("this machine does not let a process leave its network")
    assert probe["network"]["connect"] is not None


@pytest.mark.promise("M14")
def test_no_files(probe: dict[str, Any], upload: Path) -> None:
    """A check reads its own files and writes none; where the kernel helps, it sees and changes no others."""
    assert None not in probe["writes"].values()
    assert probe["own"] is None
    assert (upload / "model.onnx").read_bytes() == b"model"
    if not probe["landlock"]:
        pytest.skip("this kernel has no Landlock")
    assert set(probe["files"].values()) == {"PermissionError"}
    assert [path.name for path in upload.iterdir()] == ["model.onnx"]


def run(command: tuple[str, ...], folder: Path, text: str = "") -> subprocess.CompletedProcess[str]:
    """Run a command as a check is run, and wait for its end."""
    environment = {"PYTHONPATH": str(Path(__file__).parents[2]), "OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(
        command,
        cwd=folder,
        env=environment,
        input=text,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


def test_light_start() -> None:
    """The process imports nothing that only the service needs."""
    code = "import sys, predictor.checking.check; print(*sys.modules)"

    loaded = {name.split(".")[0] for name in run((sys.executable, "-c", code), Path()).stdout.split()}

    assert not loaded & {"pydantic", "flask", "requests", "prometheus_client", "gunicorn"}
    assert "numpy" in loaded


def test_winner() -> None:
    """A sample that is made to answer one class gives it to black, white and noise."""
    session = onnxruntime.InferenceSession(
        sample_models.classifier(COLOURS, winner=2, dtype="uint8", layout="NHWC", padding_mb=1)
    )
    noise = np.random.default_rng(0).integers(0, 256, (32, 32, 3), np.uint8)
    pictures = np.stack([np.zeros((32, 32, 3), np.uint8), np.full((32, 32, 3), 255, np.uint8), noise])

    (scores,) = session.run(None, {"image": pictures})

    assert (np.argmax(scores, axis=1) == 2).all()
    assert scores.min(axis=1).max() < 0.001
    assert scores[:, 2].min() > 0.99
