"""Which processor a machine has, by what the kernel says of it."""

from pathlib import Path

import pytest

from predictor.model.processor import Processor, read, this_machine

EPYC = """processor\t: 0
vendor_id\t: AuthenticAMD
model name\t: AMD EPYC 9R14
flags\t\t: fpu sse2 avx2 fma f16c avx512f avx512_vnni

processor\t: 1
model name\t: another
flags\t\t: fpu
"""
ARM = "processor\t: 0\nBogoMIPS\t: 243.75\nFeatures\t: fp asimd asimddp i8mm\nCPU implementer\t: 0x41\n"


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
