"""Which processor a machine has, by what the kernel says of it."""

from pathlib import Path

import pytest

from predictor.model.hardware import Gpu, NoGpu, Processor, numbers_unclear, read, this_machine, visible

EPYC = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 9R14
flags\t\t: fpu sse2 avx2 fma f16c avx512f avx512_vnni

processor\t: 1
model name\t: another
flags\t\t: fpu
"""
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd asimddp i8mm\nCPU implementer\t: 0x41\n"

FIRST = Gpu("GPU-70c1a3d2-5b1e-4c8f-9d60-0a1b2c3d4e5f", "Model A")
SECOND = Gpu("GPU-7f2b6e94-1d3c-4a57-8be2-5f60718293a4", "Model A")
THIRD = Gpu("GPU-2e9d8c7b-6a5f-4e3d-a2c1-b0f9e8d7c6b5", "Model A")
GPUS = (FIRST, SECOND, THIRD)
SLICE = Gpu("MIG-11111111-0000-0000-0000-000000000000", "Model A MIG 1g", f"MIG-{SECOND.uuid}/1/0")
OTHER_SLICE = Gpu("MIG-22222222-0000-0000-0000-000000000000", "Model A MIG 1g", f"MIG-{SECOND.uuid}/11/0")
DIVIDED = Gpu(SECOND.uuid, SECOND.name, instances=(SLICE, OTHER_SLICE))

# Expected are the rules of the CUDA programming guide, "CUDA environment variables"; "driver" marks what it
# leaves open and PyTorch's test of the same variable found driver 525.60.13 to do.
LISTS = {
    "0": [FIRST],
    "2,1": [THIRD, SECOND],
    " 2 , 0 ": [THIRD, FIRST],
    "0,2,-1,1": [FIRST, THIRD],
    "1,5,0": [SECOND],
    "1st,2nd": [SECOND, THIRD],  # driver
    "2,+1,-0": [THIRD, SECOND, FIRST],  # driver
    "2,one,1": [THIRD],  # driver
    "0,,1": [FIRST],
    FIRST.uuid: [FIRST],
    f"{THIRD.uuid},{FIRST.uuid}": [THIRD, FIRST],
    "GPU-7f2b6e94": [SECOND],
    "GPU-7f2b6e94, GPU-2": [SECOND, THIRD],
    "GPU-2e,GPU-7,GPU-70": [THIRD],
    "GPU-2e,GPU-1234,GPU-70": [THIRD],
    "GPU-2e,1": [THIRD],  # driver
    "1,GPU-2e": [SECOND],  # driver
}
NOTHING = [
    "",
    " ",
    "-1",
    "5",
    "none",
    "NoDevFiles",
    "GPU-1234",
    "GPU-7",
    "MIG-1234",
    "0,1,0",
    "GPU-2e,GPU-2e9d",
]


@pytest.mark.parametrize(
    ("text", "machine", "expected"),
    [
        (EPYC, "x86_64", ("AMD EPYC 9R14", ("avx2", "fma", "f16c", "avx512f", "avx512_vnni"))),
        (ARM, "aarch64", ("0x41", ("asimd", "asimddp", "i8mm"))),
        ("", "riscv64", ("riscv64", ())),
    ],
)
def test_read(tmp_path: Path, text: str, machine: str, expected: tuple[str, tuple[str, ...]]) -> None:
    """The first processor's name and instruction sets are read; without them the architecture remains."""
    path = tmp_path / "cpuinfo"
    path.write_text(text)

    found = read(path, machine)

    assert (found.name, found.instruction_sets, found.machine) == (*expected, machine)


def test_no_file(tmp_path: Path) -> None:
    """A system without that file still has an architecture."""
    assert read(tmp_path / "none", "x86_64") == Processor("x86_64", "x86_64", ())


def test_differs() -> None:
    """Another architecture or other instruction sets differ; another name alone does not."""
    old = Processor("Milan", "x86_64", ("avx2",))
    new = Processor("Genoa", "x86_64", ("avx2", "avx512_vnni"))

    assert new.differs(old.to_json())
    assert Processor("Milan", "aarch64", ("avx2",)).differs(old.to_json())
    assert not Processor("Rome", "x86_64", ("avx2",)).differs(old.to_json())
    assert not any(old.differs(value) for value in (None, "avx2", {}, {"name": "Genoa"}))
    assert not this_machine().differs(this_machine().to_json())


def test_unset_variable() -> None:
    """Without the variable every GPU is visible, in PCI order."""
    assert visible(GPUS, {}) == list(GPUS)


@pytest.mark.parametrize("listed", LISTS)
def test_list(listed: str) -> None:
    """A list gives its GPUs in its own order, up to the first entry that names none or more than one."""
    assert visible(GPUS, {"CUDA_VISIBLE_DEVICES": listed}) == LISTS[listed]


@pytest.mark.parametrize("listed", NOTHING)
def test_list_of_nothing(listed: str) -> None:
    """An empty list, one that begins with no GPU, or one that names a GPU twice leaves none visible."""
    with pytest.raises(NoGpu, match="CUDA_VISIBLE_DEVICES leaves no GPU visible"):
        visible(GPUS, {"CUDA_VISIBLE_DEVICES": listed})


def test_silent_gpu_keeps_its_number() -> None:
    """A GPU that does not answer still counts, so the numbers after it stay right."""
    assert visible((FIRST, None, THIRD), {"CUDA_VISIBLE_DEVICES": "1,2"}) == [None, THIRD]
    assert visible((None, None, THIRD), {"CUDA_VISIBLE_DEVICES": "GPU-2e"}) == [THIRD]


@pytest.mark.parametrize(
    ("listed", "expected"),
    [
        ("1", [SLICE, OTHER_SLICE]),
        ("1,0", [SLICE, OTHER_SLICE, FIRST]),
        (SECOND.uuid, [SLICE, OTHER_SLICE]),
        (OTHER_SLICE.uuid, [OTHER_SLICE]),
        (f"{OTHER_SLICE.uuid},{SLICE.uuid}", [OTHER_SLICE, SLICE]),
        (SLICE.alias, [SLICE]),
        (f"{OTHER_SLICE.uuid},{FIRST.uuid}", [OTHER_SLICE]),
    ],
)
def test_mig_instances(listed: str, expected: list[Gpu]) -> None:
    """A divided GPU stands for its instances, and an instance may be named by its UUID or its older name."""
    assert visible((FIRST, DIVIDED, THIRD), {"CUDA_VISIBLE_DEVICES": listed}) == expected


def test_mig_without_instances() -> None:
    """A GPU in MIG mode that has no instance cannot be used, and the reason says so."""
    with pytest.raises(NoGpu, match="no MIG instance"):
        visible([Gpu(FIRST.uuid, instances=())], {})


@pytest.mark.parametrize(
    ("environment", "numbered", "unclear"),
    [
        ({"CUDA_VISIBLE_DEVICES": "1"}, False, True),
        ({"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "FASTEST_FIRST"}, False, True),
        ({"CUDA_VISIBLE_DEVICES": "1", "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, False, False),
        ({"CUDA_VISIBLE_DEVICES": "GPU-2e"}, True, False),
        ({}, True, True),
        ({}, False, False),
    ],
)
def test_numbers_of_different_models(environment: dict[str, str], numbered: bool, unclear: bool) -> None:
    """Numbers are unclear only where GPUs differ, one is picked by number and the order is not fixed."""
    different = (FIRST, SECOND, Gpu(THIRD.uuid, "Model B"))
    assert numbers_unclear(different, environment, numbered=numbered) is unclear
    assert not numbers_unclear(GPUS, environment, numbered=numbered)
