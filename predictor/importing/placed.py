"""The files of a bundle in a folder of ours, as a check and a version have them."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from predictor.importing.bundle import Bundle
from predictor.importing.unpacking import Sent
from predictor.model_files import DATA, LABELS, MODEL, PREPROCESSING

Move = Callable[[Path, Path], object]
"""Brings a file from one path to another, such as `Path.rename` or `shutil.copyfile`."""

COMPANIONS = {"labels": LABELS, "preprocessing": PREPROCESSING}
"""The name in the folder of what says more of a model, by its role."""


@dataclass(frozen=True)
class Placed:
    """What lies in the folder.

    Attributes:
        files: the uploader's path for each file, by its name in the folder.
        data: the names in the folder of those that may hold weights, by their paths from the model's folder.
    """

    files: Mapping[str, str]
    data: Mapping[str, str]


def placed(
    folder: Path, files: Mapping[str, Path], bundle: Bundle, given: Mapping[str, Sent], move: Move
) -> Placed:
    """Give each file that may be used its name in a folder.

    Args:
        folder: where they are to lie.
        files: where each lies now, by the uploader's path for it.
        bundle: what each is used for.
        given: the labels and the preprocessing that were sent apart, by their roles.
        move: how a file comes into the folder.

    Raises:
        OSError: a file cannot be read or written.
    """
    named = {MODEL: bundle.model}
    found = {"labels": bundle.labels, "preprocessing": bundle.preprocessing}
    for role, target in COMPANIONS.items():
        own = found[role]
        if role in given:
            move(given[role].path, folder / target)
            named[target] = given[role].name
        elif own is not None:
            # One file may be both.
            shutil.copyfile(files[own], folder / target)
            if role == "preprocessing" and bundle.written is not None:
                (folder / target).write_text(bundle.written, "utf-8")
            named[target] = own
    move(files[bundle.model], folder / MODEL)
    data = {place: f"{DATA}{number}" for number, place in enumerate(bundle.data)}
    for place, target in data.items():
        move(files[bundle.data[place]], folder / target)
        named[target] = bundle.data[place]
    return Placed(named, data)
