"""The files of a model on this machine, tried as an upload of them would be."""

import math
import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path

from predictor.archives import shown
from predictor.checking.report import Limits, Report, Request
from predictor.checking.runner import try_model
from predictor.config import MEGA, Settings
from predictor.errors import InvalidRequest, ModelTooLarge
from predictor.importing.bundle import Bundle, may_be_weights, wanted
from predictor.importing.placed import Move, placed
from predictor.importing.unpacking import Sent, unpacked
from predictor.model_files import LABELS, MODEL, PREPROCESSING


def refuse_others(paths: Iterable[Path], most: float = math.inf) -> None:
    """Refuse what is neither a folder nor a file of at most so many bytes: a device has no end to copy.

    Raises:
        InvalidRequest: one is a pipe or a device.
        ModelTooLarge: one has more bytes.
        OSError: one cannot be looked at.
    """
    for path in paths:
        found = path.stat()
        if not (stat.S_ISREG(found.st_mode) or stat.S_ISDIR(found.st_mode)):
            raise InvalidRequest(
                f"{shown(path.name)} is a pipe or a device. A model is an .onnx file, a ZIP file or a "
                "folder, and labels and preprocessing are regular files."
            )
        if stat.S_ISREG(found.st_mode) and found.st_size > most:
            raise ModelTooLarge(
                f"{shown(path.name)} has more than {most / MEGA:g} MB. PREDICTOR_MAX_MODEL_MB allows more."
            )


def files_of(model: Path, file: str | None = None) -> dict[str, Path]:
    """The files that belong to a model: those beside it with its weights, or those of its folder.

    Args:
        model: an .onnx file, a ZIP file or a folder.
        file: which .onnx file of several in a folder is the model.

    Returns:
        Where each lies, by its path from the folder.

    Raises:
        InvalidModel: the folder has no model.
        InvalidRequest: it has several, and none was chosen.
        OSError: the folder cannot be read.
    """
    if model.is_dir():
        inside = sorted(path for path in model.rglob("*") if path.is_file())
        found = {path.relative_to(model).as_posix(): path for path in inside}
        return {name: found[name] for name in wanted({n: p.stat().st_size for n, p in found.items()}, file)}
    # Exporters name the file of a model's weights after the model: m.onnx.data, model.onnx_data.
    named = sorted(path for path in model.parent.iterdir() if path.name.startswith(model.name))
    weights = [path for path in named if path != model and may_be_weights(path.name) and path.is_file()]
    return {path.name: path for path in (model, *weights)}


def without_archives(files: Mapping[str, Path], model: Path, folder: Path, most: int) -> dict[str, Path]:
    """Where each file lies by its name, in the place of an archive the files in it.

    Args:
        files: as `files_of` gives them.
        model: as there.
        folder: where files of archives are written.
        most: bytes of all files together.

    Raises:
        InvalidRequest: an archive cannot be read, or there are too many files.
        ModelTooLarge: the files have more bytes.
        OSError: the disk does not take them.
    """
    sent = [Sent(name, path, model=path == model) for name, path in files.items()]
    return unpacked((_linked(one, folder) if one.is_archive() else one for one in sent), folder, most)


def tried(
    folder: Path,
    files: Mapping[str, Path],
    bundle: Bundle,
    given: Mapping[str, Sent],
    settings: Settings,
    move: Move = shutil.copyfile,
) -> Report:
    """Try a model as the service tries an upload.

    Args:
        folder: a new one for the files of the check.
        files: where each lies, by its path from the model's folder or archive.
        bundle: what each is used for.
        given: labels and preprocessing that are given apart, by their roles.
        settings: limits.
        move: how a file comes into the folder.

    Raises:
        InvalidModel: it cannot be served; the sentence says why.
        OSError: a file cannot be read or written.
    """
    folder.mkdir()
    lies = placed(folder, files, bundle, given, move)
    request = Request(
        MODEL,
        labels=LABELS if LABELS in lies.files else None,
        preprocessing=PREPROCESSING if PREPROCESSING in lies.files else None,
        data=lies.data,
        unsure=bundle.unsure,
        guessed=bundle.guessed,
        limits=Limits(model_bytes=settings.max_model_bytes),
        allow_control_flow=settings.allow_loops == "on",
    )
    return try_model(folder, request)


def _linked(archive: Sent, folder: Path) -> Sent:
    """A link to an archive, which may be removed once that is unpacked."""
    (folder / "archive").symlink_to(archive.path.absolute())
    return Sent(archive.name, folder / "archive", model=True)
