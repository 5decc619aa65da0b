"""A model of 3 GB in two files: uploaded, checked, served by two workers, and removed.

Run as `python -m bench.large [MEGABYTES]`; writes bench/results/large.md. It needs curl, and three times the
size of the model as free disk. The weights are random; the answer of the service is held against the
runtime's own answer for the same files.
"""

import io
import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import onnxruntime
import requests
from onnx import TensorProto, helper
from PIL import Image

from bench.machine import machine
from bench.run import RESULTS, running
from tests.live.service import Service

Array = npt.NDArray[Any]

SIDE, CLASSES = 32, 10
_INPUTS = 3 * SIDE * SIDE
_NAME = "large"
_PREPARED = json.dumps({"resize": "stretch", "scale": 1 / 255})
_TEXT = """\
# A model of {size:.2f} GB in two files

{machine}

`PREDICTOR_MAX_MODEL_MB={limit}`, two workers; uploaded with
`curl -F model=@large.onnx -F files=@large.onnx.data -F labels=@labels.txt -F preprocessing=@scale.json`.

| what | measured |
| --- | ---: |
| the upload answered, with the check and two loads, after | {upload:.1f} s |
| a prediction, the first of each worker | {first} s |
| largest difference from the runtime's own answer | {difference:.1e} |
| resident in each worker before, MB | {before} |
| resident in each worker after | {resident} |
| of these shared with the other one | {shared} |
| its own | {own} |
| files of the version, GB | {files} |
| removed; left in the folder of its name | {left} |
| resident in each worker then | {then} |
"""


def write(folder: Path, megabytes: int) -> Path:
    """Write a classifier whose two layers have random weights, in a graph and a file of data."""
    width = megabytes * 1_000_000 // (2 * 4 * _INPUTS)
    noise, data = np.random.default_rng(0), folder / f"{_NAME}.onnx.data"
    shapes = {"up": (_INPUTS, width), "down": (width, _INPUTS)}
    weights, offset = list[TensorProto](), 0
    with data.open("wb") as file:
        for name, (rows, columns) in shapes.items():
            for begin in range(0, rows, 1024):
                part = noise.standard_normal((min(1024, rows - begin), columns), np.float32)
                file.write((part / np.sqrt(rows)).astype(np.float32).tobytes())
            weights.append(_external(name, (rows, columns), data.name, offset))
            offset = file.tell()
    last = noise.standard_normal((_INPUTS, CLASSES)).astype(np.float32)
    nodes = [
        helper.make_node("Flatten", ["image"], ["flat"]),
        helper.make_node("MatMul", ["flat", "up"], ["wide"]),
        helper.make_node("Relu", ["wide"], ["kept"]),
        helper.make_node("MatMul", ["kept", "down"], ["narrow"]),
        helper.make_node("MatMul", ["narrow", "last"], ["logits"]),
        helper.make_node("Softmax", ["logits"], ["scores"]),
    ]
    image = helper.make_tensor_value_info("image", TensorProto.FLOAT, ["N", 3, SIDE, SIDE])
    scores = helper.make_tensor_value_info("scores", TensorProto.FLOAT, ["N", CLASSES])
    weights.append(onnx.numpy_helper.from_array(last, "last"))
    graph = helper.make_graph(nodes, _NAME, [image], [scores], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path = folder / f"{_NAME}.onnx"
    path.write_bytes(model.SerializeToString())
    return path


def _external(name: str, shape: tuple[int, int], file: str, offset: int) -> TensorProto:
    tensor = TensorProto(name=name, data_type=TensorProto.FLOAT, dims=shape)
    tensor.data_location = TensorProto.EXTERNAL
    for key, value in (("location", file), ("offset", offset), ("length", 4 * shape[0] * shape[1])):
        tensor.external_data.add(key=key, value=str(value))
    return tensor


def measure(folder: Path, megabytes: int) -> str:
    """Upload a model, ask both workers for it, remove it; the table."""
    path = write(folder, megabytes)
    picture = _picture()
    limit = 2 * megabytes
    with running(max_model_mb=limit, cache="off") as service:
        before = _memory(service.workers())
        start = time.monotonic()
        _upload(service, path)
        upload = time.monotonic() - start
        answers = [_predict(service, picture) for _ in range(8)]
        loaded = _memory(service.workers())
        kept = list((service.data / "models" / _NAME).rglob("*"))
        files = {one.stat().st_ino: (one.name, one.stat().st_size) for one in kept if one.is_file()}
        requests.delete(f"{service.url}/models/{_NAME}", timeout=60).raise_for_status()
        left = [str(one) for one in (service.data / "models").glob(f"{_NAME}/*")]
        time.sleep(5)
        then = _memory(service.workers())
    return _TEXT.format(
        size=sum(one.stat().st_size for one in folder.iterdir()) / 1e9,
        machine=machine(),
        limit=limit,
        upload=upload,
        first=", ".join(
            f"{seconds:.2f}" for seconds in sorted((one[0] for one in answers), reverse=True)[:2]
        ),
        difference=max(float(np.abs(one[1] - _reference(path, picture)).max()) for one in answers),
        before=_listed(one["Rss"] for one in before),
        resident=_listed(one["Rss"] for one in loaded),
        shared=_listed(one["Shared_Clean"] + one["Shared_Dirty"] for one in loaded),
        own=_listed(one["Private_Clean"] + one["Private_Dirty"] for one in loaded),
        files=", ".join(f"{name} {size / 1e9:.2f}" for name, size in files.values() if size > 1e6),
        left=", ".join(left) or "nothing",
        then=_listed(one["Rss"] for one in then),
    )


def _upload(service: Service, path: Path) -> None:
    labels = path.with_name("labels.txt")
    labels.write_text("\n".join(f"class {number}" for number in range(CLASSES)))
    prepared = path.with_name("preprocessing.json")
    prepared.write_text(_PREPARED)
    form = [f"model=@{path}", f"files=@{path}.data", f"labels=@{labels}", f"preprocessing=@{prepared}"]
    command = ["curl", "-sS", *(part for one in [*form, f"name={_NAME}"] for part in ("-F", one))]
    done = subprocess.run([*command, f"{service.url}/upload"], capture_output=True, check=True).stdout
    if "version" not in json.loads(done):
        raise RuntimeError(done.decode())


def _predict(service: Service, picture: bytes) -> tuple[float, Array]:
    start = time.monotonic()
    answer = service.post(
        f"/predict?model={_NAME}&top_k={CLASSES}", data=picture, headers={"Content-Type": "image/png"}
    )
    answer.raise_for_status()
    found = {one["label"]: one["confidence"] for one in answer.json()["predictions"]}
    return time.monotonic() - start, np.array([found[f"class {number}"] for number in range(CLASSES)])


def _reference(path: Path, picture: bytes) -> Array:
    """What the runtime itself answers."""
    pixels = np.asarray(Image.open(io.BytesIO(picture)), np.float32).transpose(2, 0, 1)
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"image": pixels[None] / 255})[0][0])


def _picture() -> bytes:
    pixels = np.random.default_rng(1).integers(0, 255, (SIDE, SIDE, 3), np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _memory(pids: Iterable[int]) -> list[dict[str, int]]:
    """Kilobytes of each process, by the names of `smaps_rollup`."""
    texts = [Path(f"/proc/{pid}/smaps_rollup").read_text() for pid in pids]
    return [
        {name: int(size) for name, size in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}
        for text in texts
    ]


def _listed(kilobytes: Iterable[int]) -> str:
    return ", ".join(f"{one / 1000:.0f}" for one in kilobytes)


def main() -> None:
    """Measure, print and write the table."""
    megabytes = int(sys.argv[1]) if len(sys.argv) > 1 else 3000
    with tempfile.TemporaryDirectory() as folder:
        text = measure(Path(folder), megabytes)
    (RESULTS / "large.md").write_text(text)
    print(text)


if __name__ == "__main__":
    main()
