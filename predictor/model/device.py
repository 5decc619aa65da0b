"""Which GPU this process computes on, or the CPU. The only user of NVML.

NVML lists every GPU of the machine in PCI order and ignores `CUDA_VISIBLE_DEVICES`; CUDA obeys it and counts
in an order of its own. The two meet in the UUID: `visible_environment` names the chosen GPU by its UUID, so
CUDA's ordinal 0 is that GPU whatever the order.
"""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import pynvml

from predictor.errors import ConfigError, NotReady
from predictor.model.hardware import ORDER, VISIBLE, Gpu, NoGpu, numbers_unclear, visible

GB = 1_000_000_000


@dataclass(frozen=True)
class Device:
    """What a model runs on; `reason` says in plain words why this one was chosen."""

    kind: Literal["cpu", "cuda"]
    uuid: str | None = None
    name: str = "CPU"
    reason: str = ""

    @property
    def label(self) -> str:
        """The value of the metrics' label `device`: `cpu`, or the UUID."""
        return self.uuid or self.kind


@dataclass(frozen=True)
class Memory:
    """The memory of a GPU, in bytes."""

    free: int
    used: int
    total: int


class Nvml(Protocol):
    """What is asked of NVML. Every call may raise NoGpu."""

    def start(self) -> None:
        """Open the library; each `start` that returns is followed by one `stop`."""

    def stop(self) -> None:
        """Close the library."""

    def gpus(self) -> Sequence[Gpu | None]:
        """Every GPU of the machine in PCI order, None for one that does not answer."""

    def memory(self, uuid: str) -> Memory:
        """The memory of the GPU or MIG instance with that UUID."""


def choose(setting: str, *, nvml: Nvml | None = None, environment: Mapping[str, str] | None = None) -> Device:
    """The device that `setting` stands for, now.

    Without a number it is the visible GPU with the most free memory, the first of equals; processes that
    start together must hold one lock from before this call until their model is loaded. `cuda:N` counts
    visible GPUs from 0 and needs no memory report.

    Args:
        setting: `auto`, `cpu`, `cuda` or `cuda:N`; only `auto` may end on the CPU without being told to.
        nvml: by default the NVIDIA driver's library.
        environment: where CUDA's variables are read; by default this process's.

    Raises:
        NotReady: `cuda` or `cuda:N` is not there; the sentence says why.
        ConfigError: the setting is none of the above.
    """
    if not re.fullmatch(r"auto|cpu|cuda(:[0-9]+)?", setting):
        raise ConfigError("PREDICTOR_DEVICE must be auto, cpu, cuda or cuda:N.")
    if setting == "cpu":
        return Device("cpu", reason="PREDICTOR_DEVICE is cpu.")
    try:
        return _choose_gpu(setting, nvml or PyNvml(), os.environ if environment is None else environment)
    except NoGpu as error:
        if setting == "auto":
            return Device("cpu", reason=f"The CPU is used because {error}.")
        raise NotReady(f"PREDICTOR_DEVICE is {setting}, but {error}.") from error


def visible_environment(device: Device) -> dict[str, str]:
    """What to set before CUDA starts, so that its ordinal 0 is exactly this GPU; nothing for the CPU."""
    return {VISIBLE: device.uuid} if device.uuid else {}


def memory(device: Device, *, nvml: Nvml | None = None) -> tuple[int, int] | None:
    """Used and total bytes of the device's memory; None on the CPU or when NVML does not tell."""
    if device.uuid is None:
        return None
    try:
        with _opened(nvml or PyNvml()) as library:
            report = library.memory(device.uuid)
    except NoGpu:
        return None
    return report.used, report.total


def count(*, nvml: Nvml | None = None, environment: Mapping[str, str] | None = None) -> int:
    """How many GPUs are visible and answer, each MIG instance counted as one; 0 where there is no driver."""
    try:
        with _opened(nvml or PyNvml()) as library:
            candidates = visible(library.gpus(), os.environ if environment is None else environment)
    except NoGpu:
        return 0
    return sum(gpu is not None for gpu in candidates)


@contextmanager
def _opened(nvml: Nvml) -> Iterator[Nvml]:
    nvml.start()
    try:
        yield nvml
    finally:
        with suppress(NoGpu):
            nvml.stop()


def _choose_gpu(setting: str, nvml: Nvml, environment: Mapping[str, str]) -> Device:
    number = setting.partition(":")[2]
    with _opened(nvml):
        if not (gpus := nvml.gpus()):
            raise NoGpu("the NVIDIA driver found no GPU")
        candidates = visible(gpus, environment)
        gpu, reason = _numbered(candidates, int(number)) if number else _emptiest(candidates, nvml)
    if numbers_unclear(gpus, environment, numbered=bool(number)):
        reason += f" The GPUs differ and {ORDER} is not PCI_BUS_ID: numbers are those of nvidia-smi."
    return Device("cuda", gpu.uuid, gpu.name, reason)


def _numbered(candidates: Sequence[Gpu | None], number: int) -> tuple[Gpu, str]:
    if number >= len(candidates):
        raise NoGpu(f"the last visible GPU is cuda:{len(candidates) - 1}")
    if (gpu := candidates[number]) is None:
        raise NoGpu("that GPU does not answer")
    return gpu, f"PREDICTOR_DEVICE is cuda:{number}."


def _emptiest(candidates: Sequence[Gpu | None], nvml: Nvml) -> tuple[Gpu, str]:
    reports: list[tuple[Gpu, Memory]] = []
    for gpu in candidates:
        with suppress(NoGpu):
            if gpu is not None:
                reports.append((gpu, nvml.memory(gpu.uuid)))
    if not reports:
        raise NoGpu("no visible GPU reports its memory")
    gpu, report = max(reports, key=lambda item: item[1].free)
    amount = f"{report.free / GB:.1f} of {report.total / GB:.1f} GB"
    reason = f"This visible GPU has the most free memory, {amount}."
    if silent := len(candidates) - len(reports):
        reason += f" {silent} visible GPUs do not report their memory and were skipped."
    return gpu, reason


class PyNvml:
    """NVML through the bindings of nvidia-ml-py, whose errors become NoGpu here."""

    def start(self) -> None:
        """Load and initialise the driver's library, which counts its users."""
        with _translated():
            pynvml.nvmlInit()

    def stop(self) -> None:
        """Give the library back."""
        with _translated():
            pynvml.nvmlShutdown()

    def gpus(self) -> list[Gpu | None]:
        """Every GPU in PCI order, None for one that does not answer."""
        with _translated():
            count = pynvml.nvmlDeviceGetCount()
        return [self._gpu(index) for index in range(count)]

    def memory(self, uuid: str) -> Memory:
        """The memory of a GPU or MIG instance."""
        with _translated():
            report = pynvml.nvmlDeviceGetMemoryInfo(pynvml.nvmlDeviceGetHandleByUUID(uuid.encode()))
        return Memory(int(report.free), int(report.used), int(report.total))

    def _gpu(self, index: int) -> Gpu | None:
        with suppress(pynvml.NVMLError):
            handle = pynvml.nvmlDeviceGetHandleByIndex(index)
            uuid: str = pynvml.nvmlDeviceGetUUID(handle)
            return Gpu(uuid, self._name(handle), instances=self._instances(handle, uuid))
        return None

    def _name(self, handle: Any) -> str:
        with suppress(pynvml.NVMLError):
            return str(pynvml.nvmlDeviceGetName(handle))
        return Gpu.name

    def _instances(self, handle: Any, parent: str) -> tuple[Gpu, ...] | None:
        # Most GPUs, and drivers older than MIG, answer these questions with an error.
        with suppress(pynvml.NVMLError):
            if pynvml.nvmlDeviceGetMigMode(handle)[0] == pynvml.NVML_DEVICE_MIG_ENABLE:
                slots = range(pynvml.nvmlDeviceGetMaxMigDeviceCount(handle))
                return tuple(gpu for slot in slots if (gpu := self._instance(handle, slot, parent)))
        return None

    def _instance(self, handle: Any, slot: int, parent: str) -> Gpu | None:
        with suppress(pynvml.NVMLError):
            instance = pynvml.nvmlDeviceGetMigDeviceHandleByIndex(handle, slot)
            uuid: str = pynvml.nvmlDeviceGetUUID(instance)
            return Gpu(uuid, self._name(instance), self._alias(instance, parent))
        return None

    def _alias(self, instance: Any, parent: str) -> str | None:
        with suppress(pynvml.NVMLError):
            gpu_instance = pynvml.nvmlDeviceGetGpuInstanceId(instance)
            return f"MIG-{parent}/{gpu_instance}/{pynvml.nvmlDeviceGetComputeInstanceId(instance)}"
        return None


_CLAUSES = {
    pynvml.NVML_ERROR_LIBRARY_NOT_FOUND: "no NVIDIA driver was found",
    pynvml.NVML_ERROR_DRIVER_NOT_LOADED: "the NVIDIA driver is not loaded",
    pynvml.NVML_ERROR_NO_PERMISSION: "this process may not use the NVIDIA driver",
    pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the NVIDIA driver was replaced while it was loaded",
}


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except pynvml.NVMLError as error:
        clauses = (
            clause for code, clause in _CLAUSES.items() if isinstance(error, pynvml.nvmlExceptionClass(code))
        )
        other = f"the NVIDIA driver answered with {type(error).__name__}"
        raise NoGpu(next(clauses, other)) from error
