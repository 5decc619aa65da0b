"""The table of mounted file systems, `/proc/self/mountinfo` of proc(5), and on which of them a store can lie.

The store needs a file system whose locks and memory all workers share: file locks order the workers, and the
stamp is memory that a file stands behind. A file system that several machines mount keeps neither as the
kernel of one machine does, or only while its server answers.
"""

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

TABLE = Path("/proc/self/mountinfo")
"""That of this process; where there is no `/proc`, no file."""
_ESCAPED = re.compile(r"\\([0-7]{3})")

_NETWORK = {
    "9p",
    "afs",
    "beegfs",
    "ceph",
    "cifs",
    "coda",
    "fuse",
    "gfs2",
    "gpfs",
    "lustre",
    "ncpfs",
    "nfs",
    "nfs4",
    "ocfs2",
    "orangefs",
    "pvfs2",
    "smb2",
    "smb3",
    "smbfs",
}
# What containers without a superuser have for their own disk.
_LOCAL_FUSE = {"fuse.fuse-overlayfs"}
# Ways in which a virtual machine or a sandbox shares a folder with its host only.
_LOCAL_9P = {"trans=virtio", "trans=fd", "trans=xen"}


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


def _shared(mount: Mount) -> bool:
    """Whether other machines may mount a file system too, or its locks are those of a program."""
    if mount.kind == "9p":
        return not mount.options & _LOCAL_9P
    return mount.kind in _NETWORK or (mount.kind.startswith("fuse.") and mount.kind not in _LOCAL_FUSE)


def unfit(folder: Path, table: str | None = None) -> str | None:
    """The type of a folder's file system, if it is one that a store cannot lie on; else None.

    Args:
        folder: it may not be there yet.
        table: the text of `/proc/self/mountinfo`; by default that of this process. Where there is none,
            every folder is fit.
    """
    # Later mounts lie over earlier ones, and those deeper in the tree over those further up.
    path, found = Path(os.path.realpath(folder)), None
    for mount in read() if table is None else parse(table):
        if path.is_relative_to(mount.point) and (found is None or mount.point.is_relative_to(found.point)):
            found = mount
    return found.kind if found is not None and _shared(found) else None
