"""Choosing the device, with a hand-written NVML."""

import fcntl
import threading
import time
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pytest

from predictor.errors import ConfigError, NotReady
from predictor.model.device import Device, Memory, choose, count, memory, visible_environment
from predictor.model.hardware import Gpu, NoGpu

GB = 1_000_000_000
CPU = Device("cpu")


class FakeNvml:
    """GPUs whose free memory, in GB, is a number; None for one that does not tell."""

    def __init__(self, free: dict[str, float | None], gpus: Iterable[Gpu | None] | None = None) -> None:
        self.free = free
        self.listed = [Gpu(uuid, f"Model of {uuid}") for uuid in free] if gpus is None else list(gpus)
        self.fails_at: str = ""
        self.users = 0

    def start(self) -> None:
        """Count a user."""
        self._fail("start")
        self.users += 1

    def stop(self) -> None:
        """Count one user less."""
        self.users -= 1
        self._fail("stop")

    def gpus(self) -> list[Gpu | None]:
        """The GPUs, while the library is open."""
        assert self.users > 0
        self._fail("gpus")
        return list(self.listed)

    def memory(self, uuid: str) -> Memory:
        """80 GB less what is free."""
        assert self.users > 0
        if (free := self.free[uuid]) is None:
            raise NoGpu("that GPU is silent")
        return Memory(int(free * GB), int((80 - free) * GB), 80 * GB)

    def _fail(self, call: str) -> None:
        if call == self.fails_at:
            raise NoGpu("the NVIDIA driver is out of order")


def pick(setting: str, nvml: FakeNvml, **environment: str) -> Device:
    """`choose` under nothing but the given variables."""
    return choose(setting, nvml=nvml, environment=environment)


@pytest.mark.parametrize("setting", ["auto", "cuda"])
def test_most_free_memory(setting: str) -> None:
    """The GPU with the most free memory is chosen, the first of equals, and the reason says so."""
    device = pick(setting, FakeNvml({"GPU-a": 10, "GPU-b": 60.5, "GPU-c": 60.5}))
    assert (device.kind, device.uuid, device.name) == ("cuda", "GPU-b", "Model of GPU-b")
    assert device.reason == "This visible GPU has the most free memory, 60.5 of 80.0 GB."
    assert device.label == "GPU-b"


def test_invisible_gpu() -> None:
    """A GPU that CUDA_VISIBLE_DEVICES hides is never chosen, however empty it is."""
    nvml = FakeNvml({"GPU-a": 10, "GPU-b": 20, "GPU-c": 80})
    assert pick("auto", nvml, CUDA_VISIBLE_DEVICES="1,0", CUDA_DEVICE_ORDER="PCI_BUS_ID").uuid == "GPU-b"
    assert pick("auto", nvml, CUDA_VISIBLE_DEVICES="GPU-a").uuid == "GPU-a"


def test_numbered_gpu() -> None:
    """`cuda:N` counts visible GPUs from 0 and does not need their memory."""
    nvml = FakeNvml({"GPU-a": None, "GPU-b": None, "GPU-c": 80})
    assert pick("cuda:1", nvml).uuid == "GPU-b"
    assert pick("cuda:1", nvml, CUDA_VISIBLE_DEVICES="GPU-c,GPU-a").uuid == "GPU-a"


def test_numbers_of_different_gpus() -> None:
    """Where CUDA might count the GPUs otherwise, the reason says how they were counted."""
    nvml = FakeNvml({"GPU-a": 10, "GPU-b": 20})
    assert "numbers are those of nvidia-smi" in pick("cuda:1", nvml).reason
    assert "numbers" not in pick("cuda:1", nvml, CUDA_DEVICE_ORDER="PCI_BUS_ID").reason
    assert "numbers" not in pick("auto", nvml).reason


def test_mig_instance() -> None:
    """A divided GPU is used through its emptiest instance."""
    instances = (Gpu("MIG-1", "Slice"), Gpu("MIG-2", "Slice"))
    nvml = FakeNvml(
        {"GPU-a": 1, "MIG-1": 4, "MIG-2": 9}, gpus=[Gpu("GPU-a"), Gpu("GPU-b", instances=instances)]
    )
    assert pick("auto", nvml).uuid == "MIG-2"
    assert pick("auto", nvml, CUDA_VISIBLE_DEVICES="MIG-1").uuid == "MIG-1"


def test_silent_gpu_is_passed_by() -> None:
    """A GPU that fails to tell its memory, or to answer at all, is passed by, and the reason counts it."""
    nvml = FakeNvml({"GPU-a": None, "GPU-b": 5}, gpus=[Gpu("GPU-a"), None, Gpu("GPU-b")])
    device = pick("auto", nvml)
    assert device.uuid == "GPU-b"
    assert device.reason.endswith("2 visible GPUs do not report their memory and were skipped.")


@pytest.mark.parametrize(
    ("nvml", "environment", "clause"),
    [
        (FakeNvml({}), {}, "the NVIDIA driver found no GPU"),
        (FakeNvml({"GPU-a": 1}), {"CUDA_VISIBLE_DEVICES": ""}, "CUDA_VISIBLE_DEVICES leaves no GPU visible"),
        (FakeNvml({"GPU-a": None, "GPU-b": None}), {}, "no visible GPU reports its memory"),
    ],
)
def test_no_gpu(nvml: FakeNvml, environment: dict[str, str], clause: str) -> None:
    """Without a usable GPU `auto` takes the CPU and `cuda` is an error, both for the same stated reason."""
    assert pick("auto", nvml, **environment) == Device("cpu", reason=f"The CPU is used because {clause}.")
    with pytest.raises(NotReady, match=rf"^PREDICTOR_DEVICE is cuda, but {clause}\.$"):
        pick("cuda", nvml, **environment)


def test_number_beyond_the_last() -> None:
    """Asking for a GPU that is not there, or does not answer, is an error and never another device."""
    nvml = FakeNvml({"GPU-a": 1}, gpus=[Gpu("GPU-a"), None])
    with pytest.raises(NotReady, match="the last visible GPU is cuda:1"):
        pick("cuda:2", nvml)
    with pytest.raises(NotReady, match="that GPU does not answer"):
        pick("cuda:1", nvml)


@pytest.mark.parametrize("call", ["start", "gpus", "stop"])
def test_library_is_closed_after_failures(call: str) -> None:
    """Every opening of the library is matched by one closing, whichever call fails."""
    nvml = FakeNvml({"GPU-a": 1})
    nvml.fails_at = call
    assert pick("auto", nvml).kind == ("cuda" if call == "stop" else "cpu")
    assert nvml.users == 0


def test_cpu_setting() -> None:
    """`cpu` is the CPU and opens no library."""
    nvml = FakeNvml({"GPU-a": 80})
    nvml.fails_at = "start"
    assert pick("cpu", nvml) == Device("cpu", reason="PREDICTOR_DEVICE is cpu.")


@pytest.mark.parametrize("setting", ["gpu", "cuda:", "cuda:-1", "cuda:x", "cpu:0", ""])
def test_unknown_setting(setting: str) -> None:
    """A setting of no known form is an error that names the variable."""
    with pytest.raises(ConfigError, match="PREDICTOR_DEVICE"):
        pick(setting, FakeNvml({"GPU-a": 80}))


def test_visible_environment() -> None:
    """A CUDA process is told its GPU by UUID; a CPU process is told nothing."""
    assert visible_environment(Device("cuda", "GPU-b")) == {"CUDA_VISIBLE_DEVICES": "GPU-b"}
    assert visible_environment(CPU) == {}
    assert CPU.label == "cpu"


def test_count() -> None:
    """Visible GPUs that answer are counted, and none where the library fails."""
    nvml = FakeNvml({}, gpus=[Gpu("GPU-a"), None, Gpu("GPU-b", instances=(Gpu("MIG-1"), Gpu("MIG-2")))])
    assert count(nvml=nvml, environment={}) == 3
    assert count(nvml=nvml, environment={"CUDA_VISIBLE_DEVICES": "0"}) == 1
    assert count(nvml=nvml, environment={"CUDA_VISIBLE_DEVICES": "-1"}) == 0
    nvml.fails_at = "gpus"
    assert count(nvml=nvml, environment={}) == 0
    assert nvml.users == 0


def test_memory() -> None:
    """Used and total bytes of a GPU; None on the CPU, for a silent GPU and without the library."""
    nvml = FakeNvml({"GPU-a": 30, "GPU-b": None})
    assert memory(Device("cuda", "GPU-a"), nvml=nvml) == (50 * GB, 80 * GB)
    assert memory(Device("cuda", "GPU-b"), nvml=nvml) is None
    assert memory(CPU, nvml=nvml) is None
    assert nvml.users == 0
    nvml.fails_at = "start"
    assert memory(Device("cuda", "GPU-a"), nvml=nvml) is None


def test_workers_spread_out(tmp_path: Path) -> None:
    """Eight workers that choose and load under one file lock put two on each of four GPUs."""
    nvml = FakeNvml(dict.fromkeys(("GPU-a", "GPU-b", "GPU-c", "GPU-d"), 80.0))
    chosen: list[str | None] = []
    together = threading.Barrier(8)

    def work() -> None:
        together.wait()
        with (tmp_path / "lock").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            device = pick("auto", nvml)
            time.sleep(0.002)  # gives workers without the lock every chance to choose the same GPU
            nvml.free[device.label] = (nvml.free[device.label] or 0) - 3
            chosen.append(device.uuid)

    workers = [threading.Thread(target=work) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert Counter(chosen) == {"GPU-a": 2, "GPU-b": 2, "GPU-c": 2, "GPU-d": 2}
