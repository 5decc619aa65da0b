"""On a file system whose locks are not those of one machine the service does not start, and says why."""

import ctypes
import os
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.live.service import Service
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
_DETACH = 2
# Of Linux's header fuse.h.
_REQUEST, _ANSWER, _INIT = struct.Struct("=IIQ"), struct.Struct("=IiQ"), 26
_VERSION = struct.pack("=IIIIHHI", 7, 31, 0, 0, 0, 0, 4096).ljust(64, b"\0")
_NO_SUCH_CALL = -38


def _serve(descriptor: int) -> None:
    """Be a file system that can do nothing, until it is unmounted."""
    while True:
        try:
            request = os.read(descriptor, 1 << 20)
        except OSError:
            return
        _, call, number = _REQUEST.unpack_from(request)
        answer = _VERSION if call == _INIT else b""
        os.write(
            descriptor,
            _ANSWER.pack(_ANSWER.size + len(answer), 0 if answer else _NO_SUCH_CALL, number) + answer,
        )


@pytest.fixture
def foreign(tmp_path: Path) -> Iterator[Path]:
    """A folder on a file system that this program makes, as one of a network may be."""
    if os.geteuid() != 0 or not Path("/dev/fuse").exists():
        pytest.skip("mounting a file system of a program's needs root and FUSE")
    folder, libc = tmp_path / "foreign", ctypes.CDLL(None, use_errno=True)
    folder.mkdir()
    descriptor = os.open("/dev/fuse", os.O_RDWR)
    options = f"fd={descriptor},rootmode=40000,user_id=0,group_id=0".encode()
    try:
        if libc.mount(b"nowhere", bytes(folder), b"fuse.nowhere", 0, options):
            pytest.skip("a file system of a program's cannot be mounted here")
        server = threading.Thread(target=_serve, args=(descriptor,), daemon=True)
        server.start()
        try:
            yield folder
        finally:
            libc.umount2(bytes(folder), _DETACH)
            server.join(PATIENCE)
    finally:
        os.close(descriptor)


@pytest.mark.promise("U11")
def test_does_not_start(foreign: Path, tmp_path: Path) -> None:
    """One sentence names the setting and the type of the file system; nothing was tried on it."""
    (tmp_path / "data").symlink_to(foreign)
    service = Service(tmp_path / "data")
    service.first = True

    with pytest.raises(AssertionError, match=r"PREDICTOR_DATA=.* type fuse\.nowhere"), service:
        pass

    assert "Traceback" not in service.log
    assert service.log.count("\n") == 1
    assert not service.alive
