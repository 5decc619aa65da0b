"""What the names of files and folders say of the classes of images, and which image a table means."""

import posixpath
import re
from collections.abc import Iterable
from pathlib import PurePosixPath

# What stands between the words of a name; the number at the end may follow without.
_BETWEEN = re.compile(r"[\s_\-.,()\[\]]+|(?<=[^\W\d_])(?=\d+$)")
_NUMBERED = re.compile(r"(\d+)[\s_\-.]+(.+)", re.DOTALL)
_DRIVE = re.compile(r"^[A-Za-z]:")
_MOST_WORDS = 12
# So many names at the end of a path are compared.
_DEEPEST = 6


def of_folder(name: str) -> tuple[str, ...]:
    """What a folder's name may say: a class, perhaps behind an identifier or a number.

    A number is the index of a class if nothing else is one, as it may as well count the folders; one at the
    end, as in `batch_1`, does.
    """
    if found := _NUMBERED.fullmatch(name):
        return name, *filter(_has_letters, [found[2]]), found[1]
    before, line, after = name.partition("_")
    return tuple(filter(None, (name, before, after if _has_letters(after) else "") if line else (name,)))


def of_file(path: PurePosixPath) -> tuple[str, ...]:
    """What an image's own name may say, then what its folder's may, the surest first.

    A name begins with the class, perhaps behind an identifier: the longest beginning that is a class counts.
    A number counts only where more follows it, as in `281_tabby.jpg`, and comes last: one that is the whole
    name, or its end, as in `1.jpg` and `IMG_0001.jpg`, counts the files of the folder.
    """
    number, _, more = path.stem.partition("_")
    behind = _BETWEEN.split(path.stem, maxsplit=1)[1:]
    own = filter(_has_letters, [*_beginnings(path.stem), *_beginnings("".join(behind))])
    last = [number] if number.isdecimal() and more else []
    return tuple(dict.fromkeys([*own, *of_folder(path.parent.name), *last]))


def _has_letters(name: str) -> bool:
    return any(map(str.isalpha, name))


def _beginnings(name: str) -> list[str]:
    """A name, and what it begins with, the longest first."""
    ends = [found.start() for found in _BETWEEN.finditer(name)][:_MOST_WORDS]
    return [one for one in (name, *(name[:end] for end in reversed(ends))) if one]


class Images:
    """Finds the image that a table means, whose paths may be those of another place or another system.

    Args:
        paths: of all images, with slashes.
        folders: of all tables; empty for the top. A table means images below another table's folder by
            their whole paths only.
    """

    def __init__(self, paths: Iterable[str], folders: Iterable[str] = ()) -> None:
        self._paths, self._folders = set(paths), set(folders) - {""}
        self._alike: dict[str, str] = {}
        self._ends: dict[str, str | None] = {}
        for path in sorted(self._paths):
            whole = path.casefold()
            without = posixpath.splitext(whole)[0]
            # The numbers of a list of classes are no files.
            for name in (whole, without) if _has_letters(posixpath.basename(without)) else (whole,):
                self._alike.setdefault(name, path)
                parts = name.split("/")[-_DEEPEST:]
                for start in range(len(parts)):
                    end = "/".join(parts[start:])
                    self._ends[end] = path if self._ends.setdefault(end, path) == path else None

    def find(self, folder: str, named: str) -> str | None:
        """Find the image that a table names. Returns its path, or None if no image or several images fit.

        One of both paths may be the end of the other. The case does not count, and the ending of the last
        name may be missing if that is more than a number.

        Args:
            folder: of the table; empty at the top.
            named: a path, as `path_of` gives it.
        """
        if (exact := posixpath.normpath(posixpath.join(folder, named))) in self._paths:
            return exact
        alike = self._find_alike(folder, named.casefold())
        return alike if alike and self._folder_of(alike) in (None, folder) else None

    def _folder_of(self, path: str) -> str | None:
        """The folder of the nearest table above an image; None if that is the top."""
        above = (parent.as_posix() for parent in PurePosixPath(path).parents)
        return next((folder for folder in above if folder in self._folders), None)

    def _find_alike(self, folder: str, wanted: str) -> str | None:
        if wanted in self._ends:
            return self._ends[wanted]
        parts = wanted.split("/")[1:][-_DEEPEST:]
        ends = ("/".join(parts[start:]) for start in range(len(parts)))
        places = (posixpath.join(place, end) for end in ends for place in (folder.casefold(), ""))
        return next((self._alike[place] for place in places if place in self._alike), None)


def path_of(text: str) -> str:
    """A path in a table, perhaps of Windows, with slashes and from a folder that is not known."""
    path = _DRIVE.sub("", text.strip().replace("\\", "/")).lstrip("/")
    return path.removeprefix("./")
