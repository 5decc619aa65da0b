"""`predict --cluster` on two nodes of Ray gives the rows of this machine, whatever dies on the way."""

import dataclasses
import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from PIL import Image

from bench import ray_nodes
from bench.ray_nodes import ROOT, Nodes
from tests.patience import PATIENCE

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(ray_nodes.environment() is None, reason="needs tools/install_ray.sh"),
]

IMAGES = 400
MODEL = ROOT / "tests" / "data" / "exports" / "timm_softmax.onnx"


@pytest.fixture(scope="module")
def folder(cat: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of small parts of a photograph, two of them damaged."""
    made = tmp_path_factory.mktemp("images")
    whole = Image.open(cat)
    for number in range(IMAGES):
        whole.crop((number % 90, number // 9, 64 + number % 90, 64 + number // 9)).save(
            made / f"{number:04}.jpg"
        )
    (made / "0123.jpg").write_bytes(b"\xff\xd8\xff")
    (made / "0321.jpg").write_bytes(b"GIF")
    return made


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    """A cluster of two nodes with a CPU each."""
    with ray_nodes.started(1, 1) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def here(nodes: Nodes, folder: Path, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The JSON lines of this machine."""
    out = tmp_path_factory.mktemp("here") / "rows.jsonl"
    assert predict(nodes, folder, out)[0] == 3
    return out.read_bytes()


def started(nodes: Nodes, images: Path, out: Path, *options: object) -> subprocess.Popen[str]:
    """Start `predict`."""
    words = [images, "--out", out, "--model", MODEL, "--shard", 25, *options]
    command = [str(nodes.python), "-m", "predictor", "predict", *map(str, words)]
    return subprocess.Popen(command, cwd=ROOT, env=nodes.variables, stderr=subprocess.PIPE, text=True)


def predict(nodes: Nodes, images: Path, out: Path, *options: object) -> tuple[int, str]:
    """Run `predict`; its exit code, and what it said."""
    process = started(nodes, images, out, *options)
    said = process.communicate(timeout=2 * PATIENCE)[1]
    return process.returncode, said


def shards(out: Path) -> int:
    """How many shards of a run are whole."""
    return len(list(out.with_name(f"{out.name}.parts").glob("0*")))


def wait(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_same_rows(nodes: Nodes, folder: Path, here: bytes, tmp_path: Path) -> None:
    """Both ways to the cluster give the bytes of this machine."""
    for number, address in enumerate([nodes.address, f"ray://127.0.0.1:{nodes.client_port}"]):
        out = tmp_path / f"{number}.jsonl"
        code, said = predict(nodes, folder, out, "--cluster", address)
        assert code == 3, said
        assert f"Images: {IMAGES}, with an error: 2, " in said
        assert out.read_bytes() == here


def test_parquet(nodes: Nodes, folder: Path, here: bytes, tmp_path: Path) -> None:
    """A table has a line for each image."""
    out = tmp_path / "rows.parquet"
    assert predict(nodes, folder, out, "--cluster", nodes.address)[0] == 3

    program = (
        "import sys, json, pyarrow.parquet as p; print(json.dumps(p.read_table(sys.argv[1]).to_pylist()))"
    )
    rows = subprocess.run([nodes.python, "-c", program, out], capture_output=True, check=True).stdout

    expected = [json.loads(line) for line in here.splitlines()]
    assert [(row["name"], row["confidence"]) for row in json.loads(rows)] == [
        (row["name"], row.get("confidence")) for row in expected
    ]


def test_token(nodes: Nodes, folder: Path, tmp_path: Path) -> None:
    """Where the cluster wants a token, a sentence says how to give it."""
    other = dataclasses.replace(nodes, token="0" * 32)
    code, said = predict(other, folder, tmp_path / "rows.csv", "--cluster", nodes.address)

    assert code == 1
    assert "Error: The Ray cluster asks for a token: set RAY_AUTH_MODE=token" in said


def test_no_cluster(nodes: Nodes, folder: Path, tmp_path: Path) -> None:
    """Where no cluster answers, a sentence says so, without a stack."""
    code, said = predict(nodes, folder, tmp_path / "rows.csv", "--cluster", "127.0.0.1:1")

    assert code == 1
    assert "No Ray cluster can be reached at this address." in said
    assert "Connection refused" in said
    assert "Traceback" not in said


def test_no_room(nodes: Nodes, folder: Path, tmp_path: Path) -> None:
    """A cluster without room for a process ends the run with a sentence instead of a silent wait."""
    options = ("--gpus", "1", "--no-progress", "20", "--threads", "1")
    code, said = predict(nodes, folder, tmp_path / "rows.csv", "--cluster", nodes.address, *options)

    assert code == 1
    assert "The cluster may have no room for its processes" in said


def test_node_and_driver_killed(nodes: Nodes, folder: Path, tmp_path: Path) -> None:
    """A node is killed, then the driver: the resumed run has one row for each of its inputs."""
    out, images = tmp_path / "rows.jsonl", tmp_path / "listed.txt"
    held = tmp_path / "held.jpg"  # its reading never ends, so the run cannot end before it is killed
    os.mkfifo(held)
    images.write_text("\n".join([*map(str, sorted(folder.iterdir()) * 10), str(held)]))
    driver = started(nodes, images, out, "--cluster", nodes.address)
    wait(lambda: shards(out) >= 3)
    nodes.nodes.pop().kill()
    before = shards(out)
    wait(lambda: shards(out) >= before + 2)
    driver.kill()
    driver.communicate()
    # The process that reads it can only be ended by Ray when the reading ends.
    os.close(os.open(held, os.O_RDWR | os.O_NONBLOCK))
    held.unlink()
    held.write_bytes((folder / "0000.jpg").read_bytes())

    code, said = predict(nodes, images, out, "--cluster", nodes.address, "--resume")
    nodes.add(1)

    assert driver.returncode == -signal.SIGKILL
    assert code == 3, said
    assert predict(nodes, images, tmp_path / "here.jsonl")[0] == 3
    assert out.read_bytes() == (tmp_path / "here.jsonl").read_bytes()
    assert len(out.read_bytes().splitlines()) == 10 * IMAGES + 1
