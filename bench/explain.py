"""How good the explanations of the included model are, and what they cost.

    python -m bench.explain FOLDER
    python -m bench.explain --speed

The first measures insertion and deletion on the images of FOLDER (by default parts of the page's example
image) and writes `bench/results/explain.md`: as the parts that a map calls the most important are uncovered
in a blurred image, the confidence should rise early, and as they are made grey, it should fall early. A blob
in the middle and a random map are the opponents; a method is as good as its difference from them, image by
image. The second measures a running service: the seconds of an explanation by masks, and the p99 of
predictions beside it.
"""

import hashlib
import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from threading import Event

import click
import numpy as np
import numpy.typing as npt
from PIL import Image

from bench.machine import machine
from bench.run import PICTURE, RESULTS, running
from predictor.config import BUNDLED_MODEL
from predictor.discovery.discover import discover
from predictor.explaining import methods
from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import to_tensor
from predictor.model.device import Device
from predictor.model.session import Session, load, load_with
from tests.live.load import Sent
from tests.live.service import Service
from tests.live.steady import steady

STEPS = 10
ROUNDS, SECONDS, RATE = 5, 20.0, 20.0
GREY = 127
# The names of tensors of the included model.
FEATURES, WEIGHTS = "head.relu6", "classifier.weight"
_PARTS, _PART_SIDE = 20, 240
_RESAMPLES = 10_000

Array = npt.NDArray[np.float64]
Pixels = npt.NDArray[np.uint8]
METHODS = ("masks", "class activation map", "centre blob", "random")


def images(folder: Path | None) -> Iterator[Pixels]:
    """The model's input for each image, of shape [224, 224, 3]."""
    form = discover(load(BUNDLED_MODEL, Device("cpu")).graph).preprocessing
    if folder is not None:
        for path in sorted(
            path for path in folder.iterdir() if path.suffix.lower() in (".jpg", ".jpeg", ".png")
        ):
            yield to_tensor(decode_scaled(path.read_bytes(), Limits(), form.shortest), form)
        return
    rng = np.random.default_rng(0)
    with Image.open(PICTURE) as image:
        for _ in range(_PARTS):
            left, top = rng.integers(0, (image.width - _PART_SIDE, image.height - _PART_SIDE)).tolist()
            part = image.crop((left, top, left + _PART_SIDE, top + _PART_SIDE)).convert("RGB")
            yield to_tensor(part, form)


class Judge:
    """Judges maps of one image by the confidence of its class.

    Args:
        session: the included model with its features and weights as outputs.
        pixels: the model's input.
    """

    def __init__(self, session: Session, pixels: Pixels) -> None:
        self._session = session
        self._pixels = pixels
        self._masker = methods.Masker(pixels, "NHWC")
        scores, features, weights = session.run_to(
            pixels[None], "image", ["probabilities", FEATURES, WEIGHTS]
        )
        self._index = int(scores[0].argmax())
        self._cam = np.tensordot(weights[self._index].astype(np.float64), features[0].astype(np.float64), 1)

    def maps(self, seed: int) -> dict[str, Array]:
        """The maps, each of shape [7, 7]."""
        rng = np.random.default_rng(seed)
        digest = hashlib.sha256(self._pixels.tobytes()).digest()
        shown = methods.patterns(256, int.from_bytes(digest[:8], "big"))
        hidden = np.array([self._confidence(self._masker.hidden(pattern)) for pattern in shown])
        across = (np.arange(7) - 3) ** 2
        blob = -np.add.outer(across, across).astype(np.float64)
        return dict(
            zip(METHODS, (methods.fit(shown, hidden).grid, self._cam, blob, rng.random((7, 7))), strict=True)
        )

    def insertion(self, grid: Array) -> float:
        """Mean confidence as the most important pixels of a blurred image are uncovered."""
        return self._curve(grid, self._masker.mixed)

    def deletion(self, grid: Array) -> float:
        """Mean confidence as the most important pixels are made grey."""
        return self._curve(grid, lambda mask: np.where(mask[:, :, None] > 0, np.uint8(GREY), self._pixels))

    def _curve(self, grid: Array, changed: Callable[[npt.NDArray[np.float32]], Pixels]) -> float:
        height, width = self._pixels.shape[:2]
        large = Image.fromarray(grid.astype(np.float32)).resize((width, height), Image.Resampling.BILINEAR)
        order = np.argsort(-np.asarray(large).ravel(), kind="stable")
        found = []
        for step in range(STEPS + 1):
            mask = np.zeros(height * width, np.float32)
            mask[order[: step * len(order) // STEPS]] = 1
            found.append(self._confidence(changed(mask.reshape(height, width))))
        return float(np.trapezoid(found, dx=1 / STEPS))

    def _confidence(self, pixels: Pixels) -> float:
        return float(self._session.run(pixels[None], ("image", "probabilities"))[0, self._index])


def quality(folder: Path | None) -> str:
    """The table of insertion and deletion, as Markdown."""
    session = load_with(BUNDLED_MODEL, [FEATURES, WEIGHTS])
    rows: dict[str, list[tuple[float, float]]] = {name: [] for name in METHODS}
    for number, pixels in enumerate(images(folder)):
        judge = Judge(session, pixels)
        for name, grid in judge.maps(number).items():
            rows[name].append((judge.deletion(grid), judge.insertion(grid)))
        print(f"\r{number + 1} images", end="", flush=True)
    print()
    return table({name: np.array(found) for name, found in rows.items()})


def table(found: dict[str, Array]) -> str:
    """Deletion and insertion of each image by method, as a table of means with intervals."""
    lines = [
        "| method | deletion | insertion | insertion - deletion | over the blob | over the random map |",
        "| --- | ---: | ---: | --- | --- | --- |",
    ]
    difference = {name: values[:, 1] - values[:, 0] for name, values in found.items()}
    for name, values in found.items():
        deletion, insertion = values.mean(axis=0)
        over = (_interval(difference[name] - difference[other]) for other in METHODS[2:])
        cells = [f"{deletion:.3f}", f"{insertion:.3f}", _interval(difference[name]), *over]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def _interval(values: Array) -> str:
    """A mean with its 95 % interval by the bootstrap, and for how many images the value is above 0."""
    rng = np.random.default_rng(0)
    means = values[rng.integers(0, len(values), (_RESAMPLES, len(values)))].mean(axis=1)
    low, high = np.quantile(means, (0.025, 0.975))
    return f"{values.mean():+.3f} ({low:+.3f} to {high:+.3f}; {(values > 0).sum()} of {len(values)})"


def explain(service: Service) -> float:
    """The seconds of one explanation by masks."""
    start = time.perf_counter()
    answer = service.post(
        "/explain?method=masks", data=PICTURE.read_bytes(), headers={"Content-Type": "image/jpeg"}
    )
    answer.raise_for_status()
    return time.perf_counter() - start


class _Explaining:
    """Explains again and again while a block lasts."""

    def __init__(self, service: Service) -> None:
        self._service = service
        self._ended = Event()
        self._pool = ThreadPoolExecutor(1)
        self.seconds = list[float]()

    def __enter__(self) -> "_Explaining":
        self._work = self._pool.submit(self._explain)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        self._work.result()

    def _explain(self) -> None:
        while not self._ended.is_set():
            self.seconds.append(explain(self._service))


def _p99(sent: list[Sent]) -> float:
    times = sorted(1000 * (one.answered - one.due) for one in sent)
    return times[min(len(times) - 1, int(0.99 * len(times)))]


def _load(service: Service, beside: AbstractContextManager[object]) -> list[Sent]:
    with beside, steady(service, PICTURE, RATE) as sent:
        time.sleep(SECONDS)
    return sent


def speed() -> str:
    """The seconds of an explanation and the p99 of predictions beside it, as Markdown."""
    alone, ratios, busy = list[float](), list[float](), list[float]()
    with running(cache="off") as service:
        explain(service)
        alone += [explain(service) for _ in range(5)]
        for number in range(ROUNDS):
            explaining = _Explaining(service)
            # In turn, so that what else the machine does falls on both.
            order: list[AbstractContextManager[object]] = [nullcontext(), explaining]
            loads = [_p99(_load(service, beside)) for beside in order[:: -1 if number % 2 else 1]]
            without, beside = loads[:: -1 if number % 2 else 1]
            ratios.append(beside / without)
            busy += explaining.seconds
            print(f"p99 {without:.1f} ms without, {beside:.1f} ms beside explanations: {ratios[-1]:.2f}")
    figures = {
        "seconds of an explanation by masks, alone": alone,
        f"the same beside {RATE:g} predictions a second": busy,
        f"p99 of predictions beside explanations over that without, {ROUNDS} rounds": ratios,
    }
    rows = (f"| {what} | {statistics.median(one):.2f} | {max(one):.2f} |" for what, one in figures.items())
    return "\n".join(["| figure | median | largest |", "| --- | ---: | ---: |", *rows])


@click.command()
@click.argument("folder", required=False, type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--speed", "only_speed", is_flag=True, help="Measure a running service instead.")
def main(folder: Path | None, *, only_speed: bool) -> None:
    """Measure the explanations of the included model."""
    title, part = ("Speed", speed()) if only_speed else ("Insertion and deletion", quality(folder))
    path = RESULTS / "explain.md"
    parts = path.read_text().split("\n## ") if path.exists() else ["# Explanations of the included model\n"]
    section = f"{title}\n\n{machine()}\n\n{part}\n"
    others = [one for one in parts[1:] if not one.startswith(f"{title}\n")]
    path.write_text("\n## ".join([parts[0], *sorted([section, *others])]))
    print(part)


if __name__ == "__main__":
    main()
