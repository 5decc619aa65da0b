"""Which texts of an upload tell a model's labels and its preprocessing, and why others do not."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from predictor.archives import is_hidden, shown
from predictor.config import MEGA
from predictor.discovery.configs import native, roles
from predictor.discovery.configs.roles import USES, Role
from predictor.model.strict_text import decoded

COMPANION_BYTES = 4 * MEGA
"""Most bytes of a file with labels or preprocessing."""

MAX_TEXTS = 64
"""Files of a bundle that are read as texts."""

_SUFFIXES = {"", ".json", ".txt", ".csv", ".tsv", ".yaml", ".yml", ".pbtxt", ".names", ".manifest"}
# Larger texts are judged by their names and forms alone; the check reads them, within its limits.
_READ_CHARACTERS = MEGA // 4
_MAX_READ = 8
_UNIT_PIXELS = "{} has mean and std of pixels from 0 to 1, but no scale: 1/255 is used."


@dataclass(frozen=True)
class Texts:
    """The texts of an upload that are about its model.

    Attributes:
        said: what each of those says that are recognised, and whether its form shows it.
        text: what stands in each; None in those that are called like labels or a preprocessing, but are no
            texts.
        warnings: sentences for the uploader.
    """

    said: Mapping[str, Mapping[Role, bool]]
    text: Mapping[str, str | None]
    warnings: tuple[str, ...]

    @property
    def known(self) -> Collection[str]:
        """Those that are recognised."""
        return [name for name, said in self.said.items() if said]


@dataclass(frozen=True)
class Companion:
    """The file for one use.

    Attributes:
        what: the use.
        name: the file; None if there is none.
        sure: whether it was named so that it is used or refused.
        guessed: whether only its form suggests it.
        written: what is to stand in it; None if it stays as it is.
        warnings: sentences for the uploader.
    """

    what: Role
    name: str | None = None
    sure: bool = True
    guessed: bool = False
    written: str | None = None
    warnings: tuple[str, ...] = ()


def texts(files: Mapping[str, Path], model: str) -> Texts:
    """Read the texts that lie beside a model, those near it first.

    Args:
        files: those that may be texts, by the uploader's paths.
        model: its path.
    """
    said, text, warnings = dict[str, Mapping[Role, bool]](), dict[str, str | None](), list[str]()
    for name in sorted(files, key=lambda name: distance(name, model))[:MAX_TEXTS]:
        named = [what for what in USES if roles.named(what, name)]
        text[name] = read = _text(files[name])
        said[name] = dict.fromkeys(named, False) if read is None else roles.said(name, read)
        if read is not None and not said[name] and (why := roles.unreadable(name, read)):
            warnings.append(f"{shown(name)} is passed over, because it cannot be read: {why}")
    return Texts(said, text, tuple(warnings))


def companion(what: Role, found: Texts, model: str, given: Collection[str]) -> Companion:
    """Choose the file for one use: the first that can be read.

    Args:
        what: the use.
        found: the texts of the upload.
        model: the model's path.
        given: what was sent apart, so that it is not looked for.
    """
    if what in given:
        return Companion(what)
    warnings = list[str]()
    ranked = sorted(
        (name for name, said in found.said.items() if what in said), key=_rank(what, found, model)
    )
    for name in ranked[:_MAX_READ]:
        sure = roles.unmistakable(what, name, found.text[name])
        why = _judged(what, found.text[name], sure=sure)
        if why is None:
            return _companion(what, name, found, warnings, sure=sure)
        warnings.append(f"{shown(name)} is passed over. {why}")
    if refused := [name for name in ranked if roles.unmistakable(what, name, found.text[name])]:
        return Companion(what, refused[0])
    guess = _guess(found, model) if what == "labels" else None
    return Companion(what, guess, guess is None, guess is not None, warnings=tuple(warnings))


def _companion(what: Role, name: str, found: Texts, warnings: list[str], *, sure: bool) -> Companion:
    written = None
    if what == "preprocessing" and not roles.named(what, name):
        written = native.scaled(found.text[name] or "")
    said = [] if written is None else [_UNIT_PIXELS.format(shown(name))]
    return Companion(what, name, sure, written=written, warnings=(*warnings, *said))


def _judged(what: Role, text: str | None, *, sure: bool) -> str | None:
    """Why a text cannot be used; None if it can."""
    if text is None:
        return f"It must be UTF-8 text of at most {COMPANION_BYTES / MEGA:g} MB."
    return None if len(text) > _READ_CHARACTERS else roles.judge(what, text, sure=sure)


def _rank(what: Role, found: Texts, model: str) -> Callable[[str], tuple[bool, int, int, str]]:
    """A key for order: near the model, then what says most of all that it is for this use."""

    def rank(name: str) -> tuple[bool, int, int, str]:
        apart, depth = distance(name, model)
        said = found.said[name]
        about = 0 if roles.named(what, name) else 3 if not said[what] else len(said)
        return apart, about, depth, name

    return rank


def _guess(found: Texts, model: str) -> str | None:
    """The only file that may list names without being called so: called as the model, JSON, or of lines."""
    near = [name for name, text in found.text.items() if text is not None and not distance(name, model)[0]]
    lists = [
        name for name in near if not found.said[name] and roles.may_list_names(name, found.text[name] or "")
    ]
    stem = PurePosixPath(model).stem
    for some in (
        [name for name in lists if PurePosixPath(name).stem == stem],
        [name for name in lists if name.lower().endswith(".json")],
        lists,
    ):
        if some:
            return some[0] if len(some) == 1 else None
    return None


def may_tell(name: str) -> bool:
    """Whether a file may be a text about a model, by its name."""
    return not is_hidden(name) and PurePosixPath(name).suffix.lower() in _SUFFIXES


def distance(name: str, model: str) -> tuple[bool, int]:
    """A key for order: beside the model, in a folder around it, elsewhere."""
    folder = folder_of(name)
    apart = not folder_of(model).is_relative_to(folder)
    depth = len(folder.parts)
    return apart, depth if apart else -depth


def folder_of(name: str) -> PurePosixPath:
    """The folder in which a file of an upload lies."""
    return PurePosixPath(name).parent


def _text(path: Path) -> str | None:
    """The text of a file; None if it has none, or too much."""
    if path.stat().st_size > COMPANION_BYTES:
        return None
    try:
        text = decoded(path.read_bytes())
    except ValueError:
        return None
    return None if "\0" in text else text
