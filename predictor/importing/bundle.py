"""What was sent of a model, one file, several, a folder or a ZIP -> what each file is used for."""

import itertools
import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from predictor.archives import is_hidden, shown
from predictor.discovery.configs.roles import USES
from predictor.errors import InvalidModel, InvalidRequest
from predictor.importing import foreign
from predictor.importing.companions import (
    COMPANION_BYTES,
    MAX_TEXTS,
    companion,
    distance,
    folder_of,
    may_tell,
    texts,
)
from predictor.model.strict_text import some

_MODEL = ".onnx"
# What torch, onnx and Optimum call the file with the weights of a model.
_WEIGHTS = re.compile(r"\.onnx[._]data(_\d+)?$|\.data$", re.IGNORECASE)
_MAY_BE_WEIGHTS = re.compile(rf"{_WEIGHTS.pattern}|\.(bin|weights?)$", re.IGNORECASE)
_LISTED = 10
# The places of weights are sent to the check through a pipe, which holds 64 kB and is not read at once.
_PLACES_BYTES = 48_000
_NAMED_BYTES = len(': "data-999", ')


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
        unsure: which of labels and preprocessing nobody named, so that they are used only if they fit.
        guessed: whether the labels' file is called like nothing in particular, so that what stands in the
            model goes before it.
        written: what is to stand in the file with the preprocessing; None if it stays as it is.
        warnings: sentences for the uploader.
    """

    model: str
    labels: str | None
    preprocessing: str | None
    data: Mapping[str, str]
    unused: tuple[str, ...]
    unsure: Mapping[str, str] = field(default_factory=dict)
    guessed: bool = False
    written: str | None = None
    warnings: tuple[str, ...] = ()


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
    about = texts(_own(files, chosen), chosen)
    labels, preprocessing = (companion(what, about, chosen, given) for what in USES)
    data = _data(files, {*about.known, labels.name or chosen, chosen}, chosen)
    used = {chosen, labels.name, preprocessing.name, *data.values()}
    return Bundle(
        chosen,
        labels.name,
        preprocessing.name,
        data,
        tuple(name for name in files if name not in used),
        {one.what: one.name for one in (labels, preprocessing) if one.name and not one.sure},
        labels.guessed,
        preprocessing.written,
        (*about.warnings, *labels.warnings, *preprocessing.warnings),
    )


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
    texts = [name for name, size in sizes.items() if may_tell(name) and (size or 0) <= COMPANION_BYTES]
    nearest = sorted(texts, key=lambda name: distance(name, chosen))[:MAX_TEXTS]
    return list(dict.fromkeys([chosen, *weights, *nearest]))


def may_be_weights(name: str) -> bool:
    """Whether a file is called as those are that hold weights of a model."""
    return bool(_MAY_BE_WEIGHTS.search(name))


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
        found = f"There are {len(fitting)} models: {some(list(map(shown, fitting)), _LISTED)}."
        raise InvalidRequest(f"{found} Name one as file, with its folders.")
    models = [name for name in files if _is_model(name)]
    if wanted is not None and models:
        raise InvalidRequest(
            f"There is no file {shown(wanted)}. The models are: {some(list(map(shown, models)), _LISTED)}."
        )
    raise InvalidModel(_no_model(files))


def _no_model(files: Iterable[str]) -> str:
    for name in files:
        if _WEIGHTS.search(name):
            return f"{shown(name)} is the weights file of a pair: send the .onnx file too."
    for name in files:
        if (known := foreign.by_name(name)) is not None:
            whose, advice = known
            return f"There is no .onnx file, but one {whose}, {shown(name)}. {advice}"
    return "There is no .onnx file."


def _is_model(name: str) -> bool:
    return name.lower().endswith(_MODEL) and not is_hidden(name)


def _data(files: Collection[str], taken: Collection[str], model: str) -> dict[str, str]:
    """The files that may hold weights by their places, as many as the request of a check has room for."""
    names = [name for name in files if name not in taken and not is_hidden(name)]
    near = {place: name for name in names if (place := _data_place(name, model))}
    # Tools that send files drop folders; of two of one name none is guessed.
    own = _without_others(files, model)
    elsewhere = [name for name in names if may_be_weights(name) and name in own]
    parts = Counter(PurePosixPath(name).name for name in elsewhere)
    apart = {PurePosixPath(name).name: name for name in elsewhere if name not in near.values()}
    places = {part: name for part, name in apart.items() if parts[part] == 1} | near
    likely = sorted(places, key=lambda place: (not _WEIGHTS.search(place), place.count("/")))
    ends = itertools.accumulate(len(json.dumps(place)) + _NAMED_BYTES for place in likely)
    return {place: places[place] for place, end in zip(likely, ends, strict=True) if end <= _PLACES_BYTES}


def _own(files: Mapping[str, Path], model: str) -> dict[str, Path]:
    """The files that may be texts about the model: not those in the folder of another one."""
    own = _without_others(files, model)
    return {name: path for name, path in files.items() if name != model and may_tell(name) and name in own}


def _without_others(files: Collection[str], model: str) -> set[str]:
    """The files that lie in no folder of another model, or in one that holds the model, too."""
    folders = {folder_of(name) for name in files if _is_model(name)}
    foreign = [folder for folder in folders if not folder_of(model).is_relative_to(folder)]
    return {name for name in files if not any(map(folder_of(name).is_relative_to, foreign))}


def _data_place(name: str, model: str) -> str | None:
    """The path of a file from the model's folder, if it lies in it and may hold weights."""
    folder, path = folder_of(model), PurePosixPath(name)
    other = name == model or _is_model(name) or is_hidden(name) or not path.is_relative_to(folder)
    return None if other else path.relative_to(folder).as_posix()
