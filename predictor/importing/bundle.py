"""What was sent of a model, one file, several, a folder or a ZIP -> what each file is used for."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Literal

from predictor.archives import is_hidden, shown
from predictor.config import MEGA
from predictor.discovery.configs.read import role
from predictor.errors import InvalidModel, InvalidRequest
from predictor.model.strict_text import decoded

COMPANION_BYTES = 4 * MEGA
"""Most bytes of a file with labels or preprocessing."""

Role = Literal["labels", "preprocessing"]

_MODEL = ".onnx"
# What torch, onnx and Optimum call the file with the weights of a model.
_WEIGHTS = re.compile(r"\.onnx[._]data(_\d+)?$|\.data$", re.IGNORECASE)
_MAY_BE_WEIGHTS = re.compile(rf"{_WEIGHTS.pattern}|\.(bin|weights?)$", re.IGNORECASE)
_TEXTS = {"", ".json", ".txt", ".csv", ".tsv", ".yaml", ".yml", ".pbtxt", ".names", ".manifest"}
_MAX_TEXTS = 64
_LISTED = 10
# The places of weights are sent to the check through a pipe, which holds 64 kB and is not read at once.
_PLACES_BYTES = 48_000
_NAMED_BYTES = len(': "data-999", ')
_TELLING: Mapping[Role, re.Pattern[str]] = {
    "labels": re.compile(r"label|class|categor|synset|names", re.IGNORECASE),
    "preprocessing": re.compile(r"process", re.IGNORECASE),
}
"""Names that say what a file is for, so that it goes before one that says it among other things."""
_TORCH = "of PyTorch", 'Export it: torch.onnx.export(model, args, "m.onnx").'
_KERAS = "of Keras", 'Export it: model.export("m.onnx", format="onnx").'
_TENSORFLOW = "of TensorFlow", "Convert it with python -m tf2onnx.convert."
_PADDLE = "of Paddle", "Convert it with paddle2onnx."
_ARCHIVE = "that is an archive", "Send what it holds."
_FOREIGN = {
    **dict.fromkeys(("data.pkl", ".pt", ".pth", ".ckpt", ".safetensors", "pytorch_model.bin"), _TORCH),
    **dict.fromkeys((".keras", ".h5"), _KERAS),
    **dict.fromkeys((".pb", ".tflite"), _TENSORFLOW),
    **dict.fromkeys((".pdmodel", ".pdiparams"), _PADDLE),
    **dict.fromkeys((".zip", ".tar", ".gz", ".7z"), _ARCHIVE),
}
"""What the names of files of other kinds end in, whose they are, and what to do with them."""


@dataclass(frozen=True)
class Bundle:
    """The files of an upload, each by the uploader's path for it.

    Attributes:
        model: the ONNX file.
        labels: what names the classes; None if nothing does.
        preprocessing: what says how an image becomes the model's input; None if nothing does. One file may
            say both.
        data: files that may hold weights of the model, by their paths from the model's folder; those that lie
            elsewhere by their names.
        unused: all others.
    """

    model: str
    labels: str | None
    preprocessing: str | None
    data: Mapping[str, str]
    unused: tuple[str, ...]


def recognise(
    files: Mapping[str, Path],
    *,
    model: str | None = None,
    file: str | None = None,
    given: Collection[str] = (),
) -> Bundle:
    """Say what each file is used for.

    Args:
        files: where each lies, by the uploader's relative path with slashes.
        model: the one that was sent as the model, if that was no archive.
        file: the name of the model's file or the end of its path, if the uploader chose one.
        given: what was sent apart, so that it is not looked for.

    Raises:
        InvalidModel: there is no model among them.
        InvalidRequest: there are several, and none was chosen.
    """
    chosen = _chosen(files, model, file)
    roles = dict(_roles(files, chosen))
    found = {what: None if what in given else _best(what, roles, chosen) for what in _TELLING}
    data = _data(files, {*roles, chosen}, chosen)
    used = {chosen, *found.values(), *data.values()}
    unused = tuple(name for name in files if name not in used)
    return Bundle(chosen, found["labels"], found["preprocessing"], data, unused)


def wanted(sizes: Mapping[str, int | None], file: str | None) -> list[str]:
    """Which files of a place with many belong to its model: itself, its weights, and texts that may say more.

    Args:
        sizes: the bytes of each file by its path; None if they are not known.
        file: as in `recognise`.

    Raises:
        InvalidModel: there is no model among them.
        InvalidRequest: there are several, and none was chosen.
    """
    archives = [name for name in sizes if name.lower().endswith(".zip")]
    if archives and not any(map(_is_model, sizes)):
        return [_only(archives, sizes, None)]
    chosen = _chosen(sizes, None, file)
    # The weights of another model are called as that one is: `model_fp16.onnx_data` of `model_fp16.onnx`.
    others = tuple(name.removesuffix("onnx") for name in sizes if _is_model(name) and name != chosen)
    weights = [
        name
        for name in sizes
        if _WEIGHTS.search(name) and _data_place(name, chosen) and not name.startswith(others)
    ]
    texts = [name for name, size in sizes.items() if _may_tell(name) and (size or 0) <= COMPANION_BYTES]
    nearest = sorted(texts, key=lambda name: _distance(name, chosen))[:_MAX_TEXTS]
    return list(dict.fromkeys([chosen, *weights, *nearest]))


def _may_tell(name: str) -> bool:
    """Whether a file may be a text about a model, by its name."""
    return not is_hidden(name) and PurePosixPath(name).suffix.lower() in _TEXTS


def _chosen(files: Collection[str], model: str | None, wanted: str | None) -> str:
    """The model's name among the files."""
    if wanted is not None:
        ending = [name for name in files if name.endswith(f"/{wanted}")]
        return wanted if wanted in files else _only(ending, files, wanted)
    if model is not None and not _WEIGHTS.search(model):
        return model
    return _only([name for name in files if _is_model(name)], files, None)


def _only(fitting: Sequence[str], files: Collection[str], wanted: str | None) -> str:
    if len(fitting) == 1:
        return fitting[0]
    if fitting:
        found = f"The upload has {len(fitting)} models: {_list(fitting)}."
        raise InvalidRequest(f"{found} Name one in the field file, with its folders.")
    models = [name for name in files if _is_model(name)]
    if wanted is not None and models:
        raise InvalidRequest(f"The upload has no file {shown(wanted)}. Its models are: {_list(models)}.")
    raise InvalidModel(_no_model(files))


def _no_model(files: Iterable[str]) -> str:
    for name in files:
        if _WEIGHTS.search(name):
            return f"{shown(name)} is the weights file of a pair: send the .onnx file too."
    for name in files:
        for end, (whose, advice) in _FOREIGN.items():
            if name.lower().endswith(end):
                return f"The upload has no .onnx file, but one {whose}, {shown(name)}. {advice}"
    return "The upload has no .onnx file."


def _list(names: Sequence[str]) -> str:
    more = len(names) - _LISTED
    return ", ".join(map(shown, names[:_LISTED])) + (f" and {more} more" if more > 0 else "")


def _is_model(name: str) -> bool:
    return name.lower().endswith(_MODEL) and not is_hidden(name)


def _data(files: Collection[str], taken: Collection[str], model: str) -> dict[str, str]:
    """The files that may hold weights by their places, as many as the request of a check has room for."""
    names = [name for name in files if name not in taken and not is_hidden(name)]
    near = {place: name for name in names if (place := _data_place(name, model))}
    # Tools that send files drop folders; of two of one name none is guessed.
    own = _without_others(files, model)
    elsewhere = [name for name in names if _MAY_BE_WEIGHTS.search(name) and name in own]
    parts = Counter(PurePosixPath(name).name for name in elsewhere)
    apart = {PurePosixPath(name).name: name for name in elsewhere if name not in near.values()}
    places = {part: name for part, name in apart.items() if parts[part] == 1} | near
    likely = sorted(places, key=lambda place: (not _WEIGHTS.search(place), place.count("/")))
    ends = itertools.accumulate(len(json.dumps(place)) + _NAMED_BYTES for place in likely)
    return {place: places[place] for place, end in zip(likely, ends, strict=True) if end <= _PLACES_BYTES}


def _without_others(files: Collection[str], model: str) -> set[str]:
    """The files that lie in no folder of another model, or in one that holds the model, too."""
    folders = {_folder(name) for name in files if _is_model(name)}
    foreign = [folder for folder in folders if not _folder(model).is_relative_to(folder)]
    return {name for name in files if not any(map(_folder(name).is_relative_to, foreign))}


def _data_place(name: str, model: str) -> str | None:
    """The path of a file from the model's folder, if it lies in it and may hold weights."""
    folder, path = _folder(model), PurePosixPath(name)
    other = name == model or _is_model(name) or is_hidden(name) or not path.is_relative_to(folder)
    return None if other else path.relative_to(folder).as_posix()


def _roles(files: Mapping[str, Path], model: str) -> Iterator[tuple[str, str]]:
    """What the texts among the files say, those near the model first, as far as it is about it."""
    own = _without_others(files, model)
    texts = [
        name
        for name, path in files.items()
        if name != model and _may_tell(name) and path.stat().st_size <= COMPANION_BYTES and name in own
    ]
    for name in sorted(texts, key=lambda name: _distance(name, model))[:_MAX_TEXTS]:
        text = _text(files[name])
        if text is not None and (said := role(name, text)) is not None:
            yield name, said


def _best(what: Role, roles: Mapping[str, str], model: str) -> str | None:
    """Of the files that say something the one that is near the model and most of all about it."""

    def rank(name: str) -> tuple[bool, int, int, str]:
        apart, depth = _distance(name, model)
        about = 0 if _TELLING[what].search(PurePosixPath(name).name) else 1 if roles[name] == what else 2
        return apart, about, depth, name

    return min((name for name, said in roles.items() if said in {what, "both"}), key=rank, default=None)


def _distance(name: str, model: str) -> tuple[bool, int]:
    """A key for order: beside the model, in a folder around it, elsewhere."""
    folder = _folder(name)
    apart = not _folder(model).is_relative_to(folder)
    depth = len(folder.parts)
    return apart, depth if apart else -depth


def _folder(name: str) -> PurePosixPath:
    return PurePosixPath(name).parent


def _text(path: Path) -> str | None:
    """The text of a file; None if it has none."""
    try:
        text = decoded(path.read_bytes())
    except ValueError:
        return None
    return None if "\0" in text else text
