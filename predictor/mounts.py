"""The table of mounted file systems, `/proc/self/mountinfo` of proc(5)."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")
"""That of this process; where there is no `/proc`, no file."""
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A mounted file system.

    Attributes:
        root: the folder of the file system that is mounted, `/` for all of it.
        point: where it is mounted.
        kind: its type, such as `ext4`.
        options: of the file system itself.
    """

    root: str
    point: Path
    kind: str
    options: frozenset[str]


def read(table: Path = TABLE) -> list[Mount]:
    """The mounts of a table, later ones over earlier ones; none if it cannot be read."""
    try:
        return parse(table.read_text(errors="surrogateescape"))
    except OSError:
        return []


def parse(text: str) -> list[Mount]:
    """The mounts in the text of a table; a line of another form is skipped."""
    return list(_parsed(text))


def _parsed(text: str) -> Iterator[Mount]:
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        fields, described = before.split(" "), after.split(" ")
        if dash and len(fields) >= 6 and len(described) >= 3:
            root, point = (_unescaped(field) for field in fields[3:5])
            yield Mount(root, Path(point), described[0], frozenset(described[2].split(",")))


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
