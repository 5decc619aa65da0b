"""How many processor cores this process may use: by its affinity and by the CPU quotas of its control groups.

A quota may be set on the group of the process or on any group above it, as systemd, Docker and Kubernetes do;
the smallest counts. Both versions of control groups are read (cgroups(7), and the kernel's `cgroup-v2` and
`sched-bwc`): version 2 has one tree, version 1 has one for the controller `cpu`.
"""

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from predictor import mounts

_CONTROLLER = "cpu"
_TREES = {"cgroup2": ("sys/fs/cgroup",), "cgroup": ("sys/fs/cgroup/cpu", "sys/fs/cgroup/cpu,cpuacct")}
"""Where the trees of each kind are mounted by custom, which counts where the table of mounts is missing."""


def cores(root: Path = Path("/")) -> int:
    """Processor cores that this process may use, at least 1.

    Args:
        root: the folder in which `proc` and `sys` lie.
    """
    quotas = [quota for folder in _groups(root) if (quota := _quota(folder)) is not None]
    return max(1, int(min([len(os.sched_getaffinity(0)), *quotas])))


def _groups(root: Path) -> Iterator[Path]:
    """The folders of the control groups of this process, and of all groups above them."""
    for kind, group in _own_groups(root / "proc/self/cgroup"):
        for top, point in _trees(root, kind):
            yield from _upwards(point, _below(group, top))
            yield point


def _own_groups(table: Path) -> Iterator[tuple[str, str]]:
    """The kind of tree and the path of each group that may limit the time on processors."""
    try:
        lines = table.read_text(errors="surrogateescape").splitlines()
    except OSError:
        lines = ["0::/", f"1:{_CONTROLLER}:/"]
    for line in lines:
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            yield "cgroup2", path
        elif _CONTROLLER in controllers.split(","):
            yield "cgroup", path


def _trees(root: Path, kind: str) -> Iterator[tuple[str, Path]]:
    """Each mounted tree: the group that is mounted, and where."""
    for mount in mounts.read(root / "proc/self/mountinfo"):
        if mount.kind == kind and (kind == "cgroup2" or _CONTROLLER in mount.options):
            yield mount.root, root / mount.point.relative_to("/")
    yield from (("/", root / folder) for folder in _TREES[kind])


def _below(group: str, top: str) -> PurePosixPath:
    """The path of a group from the mounted one; a container may see a path that its mount does not have."""
    path = PurePosixPath(group)
    inside = path.is_relative_to(top) and ".." not in path.parts
    return path.relative_to(top) if inside else PurePosixPath()


def _upwards(point: Path, path: PurePosixPath) -> Iterator[Path]:
    """The folder of a group, then those of the groups above it below the mount's."""
    yield from (point / folder for folder in (path, *path.parents) if folder.parts)


def _quota(folder: Path) -> float | None:
    """The cores that a group may use; None if it has no limit, or none that can be read."""
    try:
        if (limit := folder / "cpu.max").exists():
            quota, period = map(int, limit.read_text().split())
        else:
            quota, period = (int((folder / f"cpu.cfs_{name}_us").read_text()) for name in ("quota", "period"))
        return quota / period if quota > 0 and period > 0 else None
    except (OSError, ValueError):
        return None
