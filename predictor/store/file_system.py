"""On what kind of file system a folder lies: the store needs one whose locks and memory all workers share.

File locks order the workers, and the stamp is memory that a file stands behind. A file system that several
machines mount keeps neither as the kernel of one machine does, or only while its server answers.
"""

import os
from pathlib import Path

from predictor import mounts
from predictor.mounts import Mount

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
    for mount in mounts.read() if table is None else mounts.parse(table):
        if path.is_relative_to(mount.point) and (found is None or mount.point.is_relative_to(found.point)):
            found = mount
    return found.kind if found is not None and _shared(found) else None
