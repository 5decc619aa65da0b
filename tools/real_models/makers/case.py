"""What a tool writes for one case: its files, its own answers, and what a person would send of them."""

import argparse
import json
import shutil
import traceback
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
from PIL import Image

CLASSES = 12
_SPREAD = 1.5
_SIDES = (120, 200, 280)
_DECIMALS = 7

Array = npt.NDArray[Any]
Answer = Callable[[Path], Array]
"""From a photograph to the confidences of its classes, shape [classes]."""


class Case:
    """One model of a tool, in a folder of its own.

    Args:
        folder: where it is written; `files` in it has what the tool writes.
        tool: the tool's name.
        versions: the versions of its packages.
        photographs: the images that are asked about.
    """

    def __init__(self, folder: Path, tool: str, versions: str, photographs: Sequence[Path]) -> None:
        self.folder = folder
        self.files = folder / "files"
        self.photographs = photographs
        self._about = {"tool": tool, "versions": versions}
        shutil.rmtree(folder, ignore_errors=True)
        self.files.mkdir(parents=True)

    def path(self, name: str) -> Path:
        """Where the tool writes a file, whose name may have folders in it."""
        path = self.files / name
        path.parent.mkdir(parents=True, exist_ok=True)
        return path

    def save(  # noqa: PLR0913 - each is a choice of its own, made by name
        self,
        what: str,
        answer: Answer | None,
        *,
        send: Sequence[str] | None = None,
        labels: str | None = None,
        preprocessing: str | None = None,
        choose: str | None = None,
        expected: bool = True,
        names: Sequence[str] | None = None,
    ) -> None:
        """Write the tool's answers, and what is to be sent.

        Args:
            what: what is special about the model, for the table.
            answer: the tool's own way from a photograph to confidences; None if it has none.
            send: the files that a person sends, all by default.
            labels: the file that goes into the field `labels`.
            preprocessing: the file that goes into the field `preprocessing`.
            choose: which of several ONNX files is meant, for the field `file`.
            expected: whether a user may expect that the service takes it.
            names: the names that the tool gives to the classes, if its files tell them.
        """
        written = sorted(
            str(path.relative_to(self.files)) for path in self.files.rglob("*") if path.is_file()
        )
        sent = list(send or [name for name in written if name not in (labels, preprocessing)])
        answers = {
            one.name: np.round(np.asarray(answer(one), np.float64), _DECIMALS).tolist()
            for one in self.photographs
            if answer is not None
        }
        self._write("expected.json", {"names": names and list(names), "answers": answers})
        fields = {"labels": labels, "preprocessing": preprocessing, "file": choose}
        self._write("case.json", {**self._about, "what": what, "expected": expected, "send": sent, **fields})

    def _write(self, name: str, value: object) -> None:
        (self.folder / name).write_text(json.dumps(value, indent=1) + "\n")


Maker = Callable[[Case], None]


def run(tool: str, packages: Sequence[str], makers: Mapping[str, Maker]) -> None:
    """Make the cases of one module that are not there yet; one that fails does not stop the others.

    Args:
        tool: how the table calls the tool.
        packages: those whose versions are told.
        makers: what makes each case, by its name.
    """
    parser = argparse.ArgumentParser(description=f"Classifiers of {tool}.")
    for name in ("--out", "--photographs"):
        parser.add_argument(name, type=Path, required=True)
    given = parser.parse_args()
    photographs = sorted(given.photographs.iterdir())
    versions = ", ".join(f"{name} {version(name)}" for name in packages)
    for name, make in makers.items():
        folder = given.out / name
        if not (folder / "case.json").exists():
            print(f"{name}: {_made(make, folder, Case(folder, tool, versions, photographs))}", flush=True)


def _made(make: Maker, folder: Path, case: Case) -> str:
    try:
        make(case)
    except Exception as error:  # noqa: BLE001 - a tool may fail in any way; its other cases are made
        (folder / "error.txt").write_text(traceback.format_exc())
        return f"not made: {type(error).__name__}: {str(error)[:300]}"
    return "made"


def labels(count: int = CLASSES) -> list[str]:
    """Names of classes that no tool makes up by itself."""
    return [f"thing {'abcdefghijklmnopqrstuvwxyz'[index]}" for index in range(count)]


def opened(photograph: Path) -> Image.Image:
    """A photograph as Pillow decodes it."""
    return Image.open(photograph).convert("RGB")


def samples(photographs: Sequence[Path]) -> list[Image.Image]:
    """Parts of the photographs, by which a network's last layer is set."""
    chance = np.random.default_rng(5)
    parts = []
    for image in map(opened, photographs):
        for side in _SIDES * 3:
            x, y = (int(chance.integers(0, length - side)) for length in image.size)
            parts.append(image.crop((x, y, x + side, y + side)))
    return parts


def last_layer(features: Array, classes: int = CLASSES) -> tuple[Array, Array]:
    """Weight [features, classes] and bias of a last layer whose scores differ from image to image."""
    weight = np.random.default_rng(11).normal(size=(features.shape[1], classes))
    scores = features.astype(np.float64) @ weight
    weight *= _SPREAD / np.maximum(scores.std(axis=0), 1e-9)
    return weight.astype(np.float32), -(features @ weight).mean(axis=0).astype(np.float32)


def softmax(scores: Array) -> Array:
    """Confidences of one image from its logits, shape [classes]."""
    powers = np.exp(scores - scores.max())
    return np.asarray(powers / powers.sum())


def sigmoid(scores: Array) -> Array:
    """Confidences of classes that do not exclude each other, shape [classes]."""
    return np.asarray(1 / (1 + np.exp(-scores)))


def two_classes(scores: Array) -> Array:
    """Confidences of the two classes of a binary classifier with one logit, shape [2]."""
    (second,) = sigmoid(scores)
    return np.array([1 - second, second])
