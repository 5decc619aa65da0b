"""The stamp is two numbers that all processes on a machine see at once."""

import subprocess
import sys
from pathlib import Path

from predictor.store.stamp import Stamp

_OTHER = """
import sys
from pathlib import Path
from predictor.store.stamp import Stamp
stamp = Stamp(Path(sys.argv[1]))
print(stamp.live, stamp.preparing)
stamp.commit(8)
"""


def test_starts_at_nothing(tmp_path: Path) -> None:
    """A fresh stamp says that nothing was ever changed."""
    stamp = Stamp(tmp_path / "stamp")

    assert (stamp.shared, stamp.live, stamp.preparing) == (True, 0, 0)


def test_other_process(tmp_path: Path) -> None:
    """What one process announces another sees, and the reverse, without opening anything again."""
    stamp = Stamp(tmp_path / "stamp")
    stamp.commit(6)
    stamp.prepare(7)

    command = [sys.executable, "-c", _OTHER, str(tmp_path / "stamp")]
    seen = subprocess.run(command, capture_output=True, text=True, check=True).stdout

    assert seen.split() == ["6", "7"]
    assert (stamp.live, stamp.preparing) == (8, 8)


def test_has_its_room(tmp_path: Path) -> None:
    """The file takes its room at once: a later want of it would end the process."""
    Stamp(tmp_path / "stamp")

    assert (tmp_path / "stamp").stat().st_blocks * 512 >= 4096


def test_damaged(tmp_path: Path) -> None:
    """Numbers that no change can ever have had are forgotten: there would be none after them."""
    (tmp_path / "stamp").write_bytes(b"\xff" * 4096)

    stamp = Stamp(tmp_path / "stamp")

    assert (stamp.live, stamp.preparing) == (0, 0)


def test_no_folder(tmp_path: Path) -> None:
    """Where the file cannot be made the numbers are the process's own, and it says so."""
    stamp = Stamp(tmp_path / "missing" / "stamp")
    stamp.commit(3)

    assert (stamp.shared, stamp.live) == (False, 3)
