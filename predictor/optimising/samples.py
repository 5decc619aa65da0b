"""Images -> the tensors of two halves in files: one shows the ranges of numbers, the other judges."""

import hashlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from predictor.archives import shown
from predictor.errors import InvalidImage, InvalidRequest, PredictorError
from predictor.evaluation.classes import Classes
from predictor.evaluation.images import LabelledImage
from predictor.evaluation.runner import Progress, no_class
from predictor.evaluation.tune import sample
from predictor.image.decode import Limits, decode_scaled
from predictor.image.preprocess import to_tensor
from predictor.model.spec import ModelSpec
from predictor.optimising.job import CALIBRATION, JUDGED

MOST_IMAGES = 1000
"""Images that are used at most; more would take longer and show little more."""
_MOST_BYTES = 600_000_000
_MAX_PROBLEMS = 20


@dataclass(frozen=True)
class Halves:
    """The images of both halves, whose tensors lie in `CALIBRATION` and `JUDGED`.

    Attributes:
        calibration: how many show the ranges.
        truths: the classes of each image that judges; None where they are not known.
        problems: why images were left out, by their names.
        without_class: why images are used without their classes, by their names.
        left_out: how many cannot be used.
        tried: how many there were to prepare.
    """

    calibration: int
    truths: Sequence[tuple[int, ...] | None]
    problems: dict[str, str]
    without_class: dict[str, str]
    left_out: int
    tried: int

    @property
    def images(self) -> int:
        """How many are used."""
        return self.calibration + len(self.truths)

    def to_json(self) -> dict[str, Any]:
        """Counts, and the first of the problems."""
        return {
            "images": self.images,
            "calibration_images": self.calibration,
            "judged_images": len(self.truths),
            "labelled": any(truth is not None for truth in self.truths),
            "left_out": self.left_out,
            "problems": _listed(self.problems),
            "without_class": _listed(self.without_class),
        }


def _listed(problems: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"file": name, "problem": problem} for name, problem in problems.items()][:_MAX_PROBLEMS]


def prepared(
    sent: Sequence[LabelledImage], spec: ModelSpec, limits: Limits, folder: Path, steps: int
) -> Generator[Progress, None, Halves]:
    """Decode and preprocess images, one after the other, into the files of both halves.

    Args:
        sent: what was sent.
        spec: of the model.
        limits: of images.
        folder: where the files are written.
        steps: how many steps of the progress come afterwards.

    Raises:
        InvalidRequest: fewer than two images can be used.
    """
    form, classes = spec.preprocessing, Classes(spec.labels, independent=spec.independent)
    bytes_each = int(np.prod(form.shape)) * np.dtype(form.dtype).itemsize
    chosen = sample(sent, min(MOST_IMAGES, max(2, _MOST_BYTES // bytes_each)), classes)
    problems = {one.name: one.left_out for one in chosen if one.left_out}
    images = [one for one in chosen if not one.left_out]
    truths = [_truths(one, classes) for one in images]
    first = set(half([truth[0] if truth else None for truth in truths]))
    files = [_File(folder / name, spec) for name in (CALIBRATION, JUDGED)]
    kept, seen, without_class = list[tuple[int, ...] | None](), dict[str, str](), dict[str, str]()
    for place, (image, truth) in enumerate(zip(images, truths, strict=True)):
        yield Progress(place, len(images) + steps)
        try:
            files[place not in first].add(_tensor(image, spec, limits, seen))
        except PredictorError as error:
            problems[image.name] = error.detail
            continue
        if place not in first:
            kept.append(truth)
        if image.truth and not truth:
            without_class[image.name] = no_class(image)
    if not all(file.rows for file in files):
        raise InvalidRequest(_too_few(problems))
    for file in files:
        file.close()
    left_out = len(chosen) - sum(file.rows for file in files)
    return Halves(files[0].rows, kept, problems, without_class, left_out, len(images))


def _truths(image: LabelledImage, classes: Classes) -> tuple[int, ...] | None:
    """The classes that apply to an image; None if they are not known."""
    found = classes.all_of(image.said)
    return found if found or (image.classless and classes.independent) else None


def half(truths: Sequence[int | None]) -> list[int]:
    """The places of one half of the images, always the same: of each class every second one."""
    order = np.random.default_rng(0).permutation(len(truths)).tolist()
    # Of the classes one after the other, so that those with one image alternate as well.
    order.sort(key=lambda place: -1 if truths[place] is None else truths[place])
    return sorted(order[::2])


class _File:
    """A file of tensors, written one after the other.

    It is written as any file is: into mapped memory for which the disk has no room the process would end.
    """

    def __init__(self, path: Path, spec: ModelSpec) -> None:
        self.rows = 0
        self._path = path
        self._form = spec.preprocessing
        self._file = path.open("wb")
        self._write_header()

    def add(self, tensor: npt.NDArray[Any]) -> None:
        with self._named():
            self._file.write(tensor.tobytes())
        self.rows += 1

    def close(self) -> None:
        """Have the header say how many there are: numpy leaves room in it for any number."""
        with self._named():
            self._file.seek(0)
            self._write_header()
            self._file.close()

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Have an error of the disk name the file."""
        try:
            yield
        except OSError as error:
            error.filename = str(self._path)
            raise

    def _write_header(self) -> None:
        descr, shape = np.dtype(self._form.dtype).str, (self.rows, *self._form.shape)
        header = {"descr": descr, "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_1_0(self._file, header)


def _tensor(
    labelled: LabelledImage, spec: ModelSpec, limits: Limits, seen: dict[str, str]
) -> npt.NDArray[Any]:
    data = labelled.read()
    digest = hashlib.sha256(data).hexdigest()
    # In the other half it would be judged by what it has shown.
    if (other := seen.get(digest)) is not None:
        raise InvalidImage(f"It is the same image as {shown(other)}.")
    seen[digest] = labelled.name
    image = decode_scaled(data, limits, mode=spec.preprocessing.mode)
    return to_tensor(image, spec.preprocessing, exact=True)


def _too_few(problems: dict[str, str]) -> str:
    name, problem = next(iter(problems.items()), ("", ""))
    first = f" The first that cannot be used is {shown(name)}: {problem}" if name else ""
    return f"At least two images that can be opened are needed.{first}"
