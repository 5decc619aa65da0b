"""The cores that a process may use: the least of its affinity and the CPU quotas of its control groups."""

from pathlib import Path

import pytest

from predictor.cores import cores

FREE = 10_000
"""More cores than any machine has, so that the affinity of this process does not count."""
V1 = "30 20 0:26 {root} {point} rw - cgroup cgroup rw,{controllers}\n"
V2 = "31 20 0:27 {root} {point} rw - cgroup2 cgroup2 rw\n"


@pytest.fixture(autouse=True)
def many(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine has many processors."""
    monkeypatch.setattr("os.sched_getaffinity", lambda _: range(FREE))


def machine(root: Path, groups: str, mounts: str, files: dict[str, str]) -> Path:
    """A folder with the files that describe the control groups of a process."""
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(groups)
    (root / "proc/self/mountinfo").write_text(mounts)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


def v1(point: str = "/sys/fs/cgroup/cpu", root: str = "/", controllers: str = "cpu") -> str:
    """A line of the table of mounts for a tree of version 1."""
    return V1.format(point=point, root=root, controllers=controllers)


def v2(point: str = "/sys/fs/cgroup", root: str = "/") -> str:
    """A line of the table of mounts for the tree of version 2."""
    return V2.format(point=point, root=root)


def quota(folder: str, quota: int, period: int = 100_000) -> dict[str, str]:
    """The files of a group of version 1."""
    return {f"{folder}/cpu.cfs_quota_us": f"{quota}\n", f"{folder}/cpu.cfs_period_us": f"{period}\n"}


@pytest.mark.parametrize(
    ("limit", "expected"),
    [
        ("200000 100000\n", 2),
        ("150000 100000\n", 1),
        ("50000 100000\n", 1),
        ("30000 10000", 3),
        ("max 100000\n", FREE),
        ("0 100000", FREE),
        ("200000 0", FREE),
        ("-1 100000", FREE),
        ("200000", FREE),
        ("many few", FREE),
        ("", FREE),
        ("\x00\xff", FREE),
    ],
)
def test_version_2(tmp_path: Path, limit: str, expected: int) -> None:
    """In a container the mounted group is its own; what is no quota limits nothing."""
    assert cores(machine(tmp_path, "0::/\n", v2(), {"cpu.max": limit})) == expected


@pytest.mark.parametrize(
    "files",
    [
        {"system.slice/a.service/cpu.max": "300000 100000"},
        {"system.slice/cpu.max": "300000 100000", "system.slice/a.service/cpu.max": "max 100000"},
        {"system.slice/cpu.max": "500000 100000", "system.slice/a.service/cpu.max": "300000 100000"},
        {"system.slice/cpu.max": "300000 100000", "system.slice/a.service/cpu.max": "500000 100000"},
        {"system.slice/cpu.max": "300000 100000", "other.slice/cpu.max": "100000 100000"},
        {"cpu.max": "300000 100000", "system.slice/cpu.max": "nonsense"},
    ],
)
def test_own_group_and_those_above(tmp_path: Path, files: dict[str, str]) -> None:
    """The quota of the process's own group counts and those of all groups above it, the least of them."""
    assert cores(machine(tmp_path, "0::/system.slice/a.service\n", v2(), files)) == 3


@pytest.mark.parametrize(
    ("groups", "mounts", "folder"),
    [
        ("4:cpu:/\n", v1(), "cpu"),
        ("4:cpu:/a/b\n", v1(), "cpu/a/b"),
        ("4:cpu:/a/b\n", v1(), "cpu/a"),
        ("4:cpu:/a/b\n", v1(), "cpu"),
        ("4:cpu,cpuacct:/a\n", v1("/sys/fs/cgroup/cpu,cpuacct", controllers="cpu,cpuacct"), "cpu,cpuacct/a"),
        ("4:cpuacct,cpu:/a\n", v1("/sys/fs/cgroup/elsewhere", controllers="cpuacct,cpu"), "elsewhere/a"),
        ("4:cpu:/docker/f00\n", v1(root="/docker/f00"), "cpu"),
        ("4:cpu:/docker/f00/job\n", v1(root="/docker/f00"), "cpu/job"),
        ("4:cpu:/docker/f00\n", v1(root="/"), "cpu"),
        ("4:cpu:/../outside\n", v1(), "cpu"),
        ("5:memory:/x\n4:cpu:/a\n0::/y\n", v1() + v2("/sys/fs/cgroup/unified"), "cpu/a"),
        ("4:cpu:/a\n", "no table\n", "cpu/a"),
        ("4:cpu:/a\n", "", "cpu,cpuacct"),
        ("4:cpu:/a:b\n", v1(), "cpu/a:b"),
    ],
)
def test_version_1(tmp_path: Path, groups: str, mounts: str, folder: str) -> None:
    """The tree of the controller `cpu` is found under any name, also where a container sees a part of it."""
    assert cores(machine(tmp_path, groups, mounts, quota(folder, 300_000))) == 3


@pytest.mark.parametrize("values", [(-1, 100_000), (0, 100_000), (100_000, 0)])
def test_version_1_without_a_limit(tmp_path: Path, values: tuple[int, int]) -> None:
    """A quota of -1 is none."""
    assert cores(machine(tmp_path, "4:cpu:/\n", v1(), quota("cpu", *values))) == FREE


def test_both_versions(tmp_path: Path) -> None:
    """With a tree of each version, quotas of both count."""
    mounts = v1() + v2("/sys/fs/cgroup/unified")
    files = {**quota("cpu/a", 500_000), "unified/b/cpu.max": "300000 100000"}

    assert cores(machine(tmp_path, "4:cpu:/a\n0::/b\n", mounts, files)) == 3


def test_groups_of_another_tree(tmp_path: Path) -> None:
    """The quota of a group that has the same path in the tree of another controller does not count."""
    mounts = v1() + v1("/sys/fs/cgroup/memory", controllers="memory")

    root = machine(
        tmp_path, "4:cpu:/a\n5:memory:/b\n", mounts, quota("memory/a", 100_000) | quota("cpu/b", 100_000)
    )

    assert cores(root) == FREE


@pytest.mark.parametrize("text", ["", "nonsense", "::", "4:cpu", "\n\n"])
def test_malformed_tables(tmp_path: Path, text: str) -> None:
    """Tables of another form limit nothing."""
    assert cores(machine(tmp_path, text, text, {})) == FREE


def test_no_proc(tmp_path: Path) -> None:
    """Without `/proc`, the group that is mounted at the usual place counts."""
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    (tmp_path / "sys/fs/cgroup/cpu.max").write_text("200000 100000")

    assert cores(tmp_path) == 2


def test_affinity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of affinity and quota the smaller one counts; there is at least one core."""
    root = machine(tmp_path, "0::/\n", v2(), {"cpu.max": "800000 100000"})
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {3, 5, 7})

    assert cores(root) == 3
    (root / "sys/fs/cgroup/cpu.max").write_text("1000 100000")
    assert cores(root) == 1


def test_this_machine() -> None:
    """There is at least one core to use here."""
    assert cores() >= 1
