"""A store on a file system that several machines share is found out by the table of mounts."""

from pathlib import Path

import pytest

from predictor.mounts import unfit

MOUNTS = """\
27 1 254:0 / / rw,relatime - ext4 /dev/vda rw,discard
31 27 0:28 / /srv/models rw,relatime shared:9 - {kind} server:/export {options}
32 27 0:29 / /srv/models/local rw,relatime shared:10 master:2 - xfs /dev/vdb rw
33 27 0:30 / /srv/two\\040words rw - nfs4 server:/export rw
34 27 0:31 / /srv/covered rw - nfs4 server:/export rw
35 34 0:32 / /srv/covered rw - tmpfs tmpfs rw
36 27 0:33 / /srv/later rw - tmpfs tmpfs rw
a line of another kind
"""


def found(folder: str, kind: str = "nfs4", options: str = "rw") -> str | None:
    """What is said of a folder."""
    return unfit(Path(folder), MOUNTS.format(kind=kind, options=options))


@pytest.mark.promise("U11")
@pytest.mark.parametrize(
    "kind",
    [
        "nfs",
        "nfs4",
        "cifs",
        "smb3",
        "9p",
        "ceph",
        "lustre",
        "gfs2",
        "ocfs2",
        "fuse",
        "fuse.sshfs",
        "fuse.glusterfs",
        "fuse.s3fs",
    ],
)
def test_unfit(kind: str) -> None:
    """A network's file system, and one that a program makes, is named."""
    assert found("/srv/models/data", kind) == kind


@pytest.mark.parametrize(
    "kind",
    [
        "ext4",
        "xfs",
        "btrfs",
        "tmpfs",
        "zfs",
        "overlay",
        "virtiofs",
        "f2fs",
        "fuseblk",
        "ramfs",
        "fuse.fuse-overlayfs",
        "new",
    ],
)
def test_fit(kind: str) -> None:
    """A disk of this machine, and what is not known to be shared, is fine."""
    assert found("/srv/models/data", kind) is None


@pytest.mark.parametrize(
    ("options", "expected"),
    [("rw,trans=tcp,port=564", "9p"), ("rw,trans=virtio", None), ("rw,trans=fd,rfdno=4", None)],
)
def test_9p(options: str, expected: str | None) -> None:
    """9P is fine between a virtual machine and its host, and unfit over a network."""
    assert found("/srv/models", "9p", options) == expected


@pytest.mark.parametrize(
    ("folder", "expected"),
    [
        ("/srv/models", "nfs4"),
        ("/srv/models/not/there/yet", "nfs4"),
        ("/srv/models/local/data", None),
        ("/srv/models-2", None),
        ("/srv/two words/data", "nfs4"),
        ("/srv/covered/data", None),
        ("/srv/later/../models", "nfs4"),
        ("/", None),
    ],
)
def test_which_mount(folder: str, expected: str | None) -> None:
    """A folder belongs to the deepest mount above it, of several the last."""
    assert found(folder) == expected


def test_link(tmp_path: Path) -> None:
    """A link is followed to where it leads."""
    (tmp_path / "data").symlink_to("/srv/models/data")

    assert unfit(tmp_path / "data", MOUNTS.format(kind="nfs4", options="rw")) == "nfs4"


def test_this_machine(tmp_path: Path) -> None:
    """The folder of these tests is fit, and so is any where there is no table."""
    assert unfit(tmp_path) is None
    assert unfit(tmp_path, "") is None
