"""On what kind of file system a folder lies: the store needs one whose locks and memory all workers share.

File locks order the workers, and the stamp is memory that a file stands behind. A file system that several
machines mount keeps neither as the kernel of one machine does, or only while its server answers.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

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
_MOUNTS = Path("/proc/self/mountinfo")
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A mounted file system.

    Attributes:
        point: where it is mounted.
        kind: its type, such as `ext4`.
        options: of the file system itself.
    """

    point: Path
    kind: str
    options: frozenset[str]

    @property
    def shared(self) -> bool:
        """Whether other machines may mount it too, or its locks are those of a program."""
        if self.kind == "9p":
            return not self.options & _LOCAL_9P
        return self.kind in _NETWORK or (self.kind.startswith("fuse.") and self.kind not in _LOCAL_FUSE)


def unfit(folder: Path, mounts: str | None = None) -> str | None:
    """The type of a folder's file system, if it is one that a store cannot lie on; else None.

    Args:
        folder: it may not be there yet.
        mounts: the text of `/proc/self/mountinfo`; by default that of this process. Where there is none,
            every folder is fit.
    """
    if mounts is None:
        try:
            mounts = _MOUNTS.read_text(errors="surrogateescape")
        except OSError:
            return None
    # Later mounts lie over earlier ones, and those deeper in the tree over those further up.
    path, found = Path(os.path.realpath(folder)), None
    for mount in _parse(mounts):
        if path.is_relative_to(mount.point) and (found is None or mount.point.is_relative_to(found.point)):
            found = mount
    return found.kind if found is not None and found.shared else None


def _parse(text: str) -> list[Mount]:
    """The lines of a mountinfo, as proc(5) describes them; what is no such line is passed by."""
    mounts = []
    for line in text.splitlines():
        before, dash, after = line.partition(" - ")
        fields, described = before.split(" "), after.split(" ")
        if dash and len(fields) >= 6 and len(described) >= 3:
            options = frozenset(described[2].split(","))
            mounts.append(Mount(Path(_unescaped(fields[4])), described[0], options))
    return mounts


def _unescaped(text: str) -> str:
    return _ESCAPED.sub(lambda found: chr(int(found[1], 8)), text)
