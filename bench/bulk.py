"""`predict --out` of 10 000 small images, here and on two nodes of Ray, against the bare loop.

Run as `python -m bench.bulk [--images 10000] [--few 500]`; writes bench/results/bulk.md. It needs Ray
(tools/install_ray.sh) and some minutes. One run loses a node and its driver, and is resumed. Of each run the
memory is watched: of the command, of the processes that it starts, and of those of Ray that predict.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image

from bench import ray_nodes
from bench.machine import machine, versions
from bench.ray_nodes import ROOT, Nodes
from predictor.config import BUNDLED_MODEL

OUT = ROOT / "bench" / "results" / "bulk.md"
SMALL = ROOT / "tests" / "data" / "exports" / "timm_softmax.onnx"
SHARD = 100
_LOOP = """
import sys, time
from pathlib import Path
from predictor.evaluation.predictors import opened
model = opened(Path(sys.argv[1]), None, None)
names = Path(sys.argv[2]).read_text().splitlines()
start = time.perf_counter()
for name in names:
    model.predictions(Path(name).read_bytes(), 5)
print(len(names) / (time.perf_counter() - start))
"""
_HEADING = """\
# Bulk prediction: here and on two nodes of Ray

{machine}
{ray}; both nodes on this machine, one CPU each.

The images are JPEGs of 64 x 64 pixels. images/s are those between the first and the last shard of 100 images
that was seen; "with its start" counts from the start of the command to its end, with the check of the model
and the start of processes. The bare loop reads, decodes and predicts one image after the other in one
process, its start not counted; it writes no rows.

| model, images | way | images/s | with its start | command, MB at 25, 50, 75, 99 % | process, MB |
| --- | --- | ---: | ---: | ---: | ---: |
"""
_SAME = """
The files of both ways have the same bytes, with one row for each image.
"""
_KILLED = """
One node was killed (SIGKILL of its raylet) when a quarter of the {number} images was done, the command
(SIGKILL) when half was: {left} of {shards} shards were whole. The resumed run, on the node that was
left, took {seconds:.1f} s ({rate} images/s with its start) and left {rows} rows, one for each image,
with the bytes of the run here.
"""


class Seen(NamedTuple):
    """What was seen of a run at a moment: its time, whole shards, megabytes of the command and a process."""

    time: float
    shards: int
    command: float
    process: float


class Run(NamedTuple):
    """A run that came to its end: its seconds, and what was seen of it."""

    seconds: float
    seen: list[Seen]

    def rate(self, images: int) -> str:
        """Images per second from the start of the command to its end, for so many images."""
        return f"{images / self.seconds:.1f}"

    @property
    def steady(self) -> float:
        """Images per second between the first and the last shard that was seen; 0 if there are too few."""
        # Shards that are joined are removed, perhaps while they are counted.
        last = max((one.shards for one in self.seen), default=0)
        if not self.seen or last == self.seen[0].shards:
            return 0.0
        end = next(one.time for one in self.seen if one.shards == last)
        return SHARD * (last - self.seen[0].shards) / (end - self.seen[0].time)

    @property
    def memory(self) -> str:
        """Two cells of the table: the memory of the command and of a process, at quarters of the run."""
        if not self.seen:
            return " | "
        wanted = [part * self.seen[-1].shards / 4 for part in (1, 2, 3, 4)]
        # At the end of a run, processes may be gone already.
        alive = [one for one in self.seen if one.process] or self.seen
        near = [min(alive, key=lambda one, at=at: abs(one.shards - at)) for at in wanted]  # type: ignore[misc]
        return " | ".join(
            ", ".join(f"{size:.0f}" for size in sizes)
            for sizes in ([one.command for one in near], [one.process for one in near])
        )


def main() -> None:
    """Measure, and write the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--few", type=int, default=500)
    parser.add_argument("--out", type=Path, default=OUT)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="bulk-") as place, ray_nodes.started(1, 1) as nodes:
        work = Path(place)
        many, few = _made(work, given.images), work / "few.txt"
        few.write_text("\n".join(many.read_text().splitlines()[: given.few]))
        ray = versions(nodes.python, ["ray", "pyarrow"])
        text = _HEADING.format(machine=machine(), ray=ray)
        text += "".join(_rows(work, nodes, SMALL, many)) + "".join(_rows(work, nodes, BUNDLED_MODEL, few))
        given.out.write_text(text + _SAME + _killed(work, nodes, many))
    print(given.out.read_text())


def _made(work: Path, number: int) -> Path:
    """Images of 64 x 64 pixels, and their list."""
    noise = np.random.default_rng(1)
    folder = work / "images"
    folder.mkdir()
    for index in range(number):
        small = Image.fromarray(noise.integers(0, 255, (8, 8, 3), np.uint8))
        small.resize((64, 64)).save(folder / f"{index:06}.jpg")
    listed = work / "many.txt"
    listed.write_text("\n".join(map(str, sorted(folder.iterdir()))))
    return listed


def _rows(work: Path, nodes: Nodes, model: Path, listed: Path) -> Iterator[str]:
    """The rows of the table for a model; both ways must give the same."""
    number = len(listed.read_text().splitlines())
    title = f"| {model.stem}, {number} |"
    yield f"{title} bare loop, one process | {_loop(model, listed):.0f} | | | |\n"
    written = list[bytes]()
    for way, options in (("here, 2 processes", ["--threads", "2"]), ("Ray, 2 nodes", _on(nodes))):
        out = work / f"{model.stem}-{len(written)}.jsonl"
        run = _run(nodes, model, listed, out, *options)
        written.append(out.read_bytes())
        yield f"{title} {way} | {run.steady:.0f} | {run.rate(number)} | {run.memory} |\n"
    assert written[0] == written[1], "the rows differ"
    assert written[0].count(b"\n") == number


def _on(nodes: Nodes) -> list[str]:
    return ["--cluster", nodes.address]


def _loop(model: Path, listed: Path) -> float:
    command = [sys.executable, "-c", _LOOP, str(model), str(listed)]
    return float(subprocess.run(command, cwd=ROOT, capture_output=True, check=True).stdout)


def _run(nodes: Nodes, model: Path, listed: Path, out: Path, *options: str) -> Run:
    """Run `predict` to its end."""
    seen, start = list[Seen](), time.monotonic()
    with _started(nodes, model, listed, out, *options) as process:
        while process.poll() is None:
            if shards := _whole(out):
                largest = max([0.0, *map(_resident, _predicting(process.pid))])
                seen.append(Seen(time.monotonic(), shards, _resident(process.pid), largest))
            time.sleep(0.3)
        assert process.stderr is not None
        said = process.stderr.read().strip().splitlines()[-1]
    if process.returncode not in {0, 3}:
        raise RuntimeError(said)
    return Run(time.monotonic() - start, seen)


def _started(nodes: Nodes, model: Path, listed: Path, out: Path, *options: str) -> subprocess.Popen[str]:
    words = [str(listed), "--out", str(out), "--model", str(model), "--shard", str(SHARD), *options]
    command = [str(nodes.python), "-m", "predictor", "predict", *words]
    return subprocess.Popen(command, cwd=ROOT, env=nodes.variables, stderr=subprocess.PIPE, text=True)


def _whole(out: Path) -> int:
    """How many shards are whole."""
    return len(list(out.with_name(f"{out.name}.parts").glob("0*")))


def _predicting(process: int) -> Iterator[int]:
    """The processes that predict: those that a process has started, and those of Ray."""
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            command = (entry / "cmdline").read_bytes()
        except OSError:
            continue
        if parent == process or command.startswith(b"ray::Process"):
            yield int(entry.name)


def _resident(process: int) -> float:
    """Megabytes of a process; 0 if it is gone."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except OSError:
        return 0.0
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _killed(work: Path, nodes: Nodes, listed: Path) -> str:
    """A node is killed when a quarter is done, the command when half is, and the run resumed."""
    out, number = work / "killed.jsonl", len(listed.read_text().splitlines())
    shards = -(-number // SHARD)
    with _started(nodes, SMALL, listed, out, *_on(nodes)) as command:
        _wait(lambda: _whole(out) >= shards // 4)
        nodes.nodes.pop().kill()
        _wait(lambda: _whole(out) >= shards // 2)
        command.kill()
    left = _whole(out)
    run = _run(nodes, SMALL, listed, out, *_on(nodes), "--resume")
    names = [json.loads(line)["name"] for line in out.read_text().splitlines()]
    assert names == listed.read_text().splitlines()
    assert out.read_bytes() == (work / f"{SMALL.stem}-0.jsonl").read_bytes()
    figures = {"number": number, "left": left, "shards": shards, "rows": len(names)}
    return _KILLED.format(**figures, seconds=run.seconds, rate=run.rate(number - left * SHARD))


def _wait(condition: Callable[[], bool]) -> None:
    while not condition():
        time.sleep(0.01)


if __name__ == "__main__":
    main()
