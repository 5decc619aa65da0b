"""`make bench`, optimised: the bundled model and its recommended integer form, in turns on the same server.

Run as `python -m bench.optimised [IMAGES]`: a folder or CSV file of images, better 300 or more, that
the optimisation gets. Without images it gets 120 parts of one photograph, which say nothing about accuracy:
then the fastest form is uploaded as a model of its own, whatever the report says of it.

With `--load` it measures instead what an optimisation costs those who ask for predictions meanwhile.
"""

import io
import json
import shutil
import statistics
import sys
import tempfile
import time
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from PIL import Image

from bench.run import CONNECTIONS, PICTURE, ROUNDS, load, need_wrk, running
from bench.switch import RATE, percentile
from predictor.config import BUNDLED_MODEL
from predictor.evaluation.images import LabelledImage, on_disk
from predictor.evaluation.predictors import checked
from predictor.model.device import Device
from predictor.optimising.optimiser import Optimiser, Source
from predictor.optimising.processes import Processes
from tests.live.load import Sent
from tests.live.service import Service
from tests.live.steady import steady

_PARTS = 120
_NAMES = ("default", "faster")


def parts(photograph: Path) -> list[LabelledImage]:
    """Parts of a photograph, each another one."""
    with Image.open(photograph) as opened:
        image = opened.convert("RGB")
    side = min(image.size)
    found = []
    for number in range(_PARTS):
        edge = side * (40 + number % 40) // 100
        left, top = (number * 37) % (image.width - edge + 1), (number * 53) % (image.height - edge + 1)
        out = io.BytesIO()
        image.crop((left, top, left + edge, top + edge)).save(out, "PNG")
        found.append(LabelledImage(f"{number}.png", (), out.getvalue))
    return found


@contextmanager
def optimised(pictures: list[LabelledImage]) -> Iterator[tuple[dict[str, Any], Path]]:
    """The report on the bundled model, and the file of its recommended form, else of its fastest."""
    device = Device("cpu")
    with tempfile.TemporaryDirectory() as name, checked(BUNDLED_MODEL, None, None) as model:
        source = Source(model.path, model.load().spec, device)
        optimiser = Optimiser(source, Path(name), Processes(Path(name), device))
        *_, report = optimiser.steps(pictures, model.limits)
        assert isinstance(report, dict)
        fastest = max(report["candidates"], key=lambda one: one["speed"]["all_cores"]["ratio"])
        yield report, optimiser.file(report["recommended"] or fastest["key"])


def int8(path: Path) -> Path:
    """Write the fastest form of the bundled model, as parts of one photograph show its ranges."""
    with optimised(parts(PICTURE)) as (_, made):
        shutil.copyfile(made, path)
    return path


def rates(service: Service) -> dict[str, list[float]]:
    """Images a second of both models in turns, round by round."""
    found: dict[str, list[float]] = {name: [] for name in _NAMES}
    for _ in range(ROUNDS):
        for name in _NAMES:
            found[name].append(load(f"{service.url}/predict?model={name}", CONNECTIONS).rate)
    return found


def zipped(pictures: list[LabelledImage]) -> bytes:
    """The images as a ZIP without labels."""
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        for number, picture in enumerate(pictures):
            archive.writestr(f"{number}{Path(picture.name).suffix}", picture.read())
    return file.getvalue()


def under_load(pictures: list[LabelledImage]) -> None:
    """Print what an optimisation costs predictions, in rounds without and with one."""
    photos, quiet, beside = zipped(pictures), list[Sent](), list[Sent]()
    with running(cache="off") as service:
        for _ in range(ROUNDS):
            start = time.perf_counter()
            with steady(service, PICTURE, RATE) as sent:
                files = {"images": ("photos.zip", photos)}
                service.post("/models/default/optimise", files=files).raise_for_status()
            seconds = time.perf_counter() - start
            beside += sent
            with steady(service, PICTURE, RATE) as alone:
                time.sleep(seconds)
            quiet += alone
            ratio = percentile(sent, 0.99) / percentile(alone, 0.99)
            print(f"p99 {percentile(alone, 0.99):.1f} ms without, {percentile(sent, 0.99):.1f} ms beside")
            print(f"{ratio:.2f} times; the optimisation took {seconds:.0f} s", flush=True)
    failed = sum(one.status != 200 for one in (*quiet, *beside))
    print(f"{RATE} requests a second, {len(pictures)} images, {ROUNDS} rounds; {failed} failed")
    for share, name in ((0.5, "p50"), (0.99, "p99")):
        without, busy = percentile(quiet, share), percentile(beside, share)
        print(f"{name} {without:.1f} ms without, {busy:.1f} ms beside: {busy / without:.2f} times")


def main() -> None:
    """Measure and print."""
    given = [one for one in sys.argv[1:] if one != "--load"]
    pictures = on_disk(Path(given[0])) if given else parts(PICTURE)
    if len(given) < len(sys.argv) - 1:
        under_load(pictures)
        return
    need_wrk()
    with optimised(pictures) as (report, path), running(cache="off") as service:
        files = {"model": (path.name, path.read_bytes())}
        service.post("/upload", files=files, data={"name": "faster"}).raise_for_status()
        found = rates(service)
    _print(report, path.stem, found)


def _print(report: dict[str, Any], key: str, found: dict[str, list[float]]) -> None:
    one = next(candidate for candidate in report["candidates"] if candidate["key"] == key)
    pairs = zip(found["faster"], found["default"], strict=True)
    print(f"\nbundled model and {key}, {CONNECTIONS} connections, {ROUNDS} rounds")
    print(f"recommended: {report['recommended']}; agreement {one['agreement']['value']:.1%}")
    for name in ("alone", "all_cores"):
        print(f"runs {name.replace('_', ' ')}: {one['speed'][name]['ratio']:.2f} times as fast")
    for name in _NAMES:
        print(f"served, {name}: {statistics.median(found[name]):.0f} images/s")
    print(f"served: {statistics.median(fast / slow for fast, slow in pairs):.2f} times as many")
    print(json.dumps({"objections": one["objections"]}))


if __name__ == "__main__":
    main()
