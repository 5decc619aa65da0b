"""A model comes as a file, a ZIP or a folder, and all files of the person stay as they are."""

import json
import os
import shutil
import tempfile
from pathlib import Path

import onnx
import pytest

from predictor.config import Settings
from predictor.errors import InvalidModel, InvalidRequest, ModelTooLarge
from predictor.evaluation.local_files import files_of, tried, without_archives
from predictor.evaluation.predictors import opened
from predictor.importing.bundle import recognise
from predictor.importing.unpacking import Sent
from tools.sample_models import classifier

LABELS = ["red", "green", "blue"]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder as Hugging Face's tools write it, with weights in a file of their own, and a checkpoint."""
    made = tmp_path / "vit"
    (made / "onnx").mkdir(parents=True)
    model = onnx.load_from_string(classifier(LABELS, winner=1, metadata=False))
    path = made / "onnx" / "model.onnx"
    onnx.save(model, path, save_as_external_data=True, location="model.onnx_data", size_threshold=0)
    config = {"id2label": dict(enumerate(LABELS)), "model_type": "vit"}
    (made / "config.json").write_text(json.dumps(config))
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}}
    (made / "preprocessor_config.json").write_text(json.dumps(processor))
    (made / "model.safetensors").write_bytes(bytes(2_000_000))
    return made


def contents(folder: Path) -> dict[str, bytes]:
    """What lies in a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("zipped", [False, True], ids=["folder", "ZIP"])
def test_folder(folder: Path, tmp_path: Path, cat: Path, zipped: bool) -> None:
    """Labels, preprocessing and weights are found in a folder or a ZIP, and all files stay as they were."""
    path = Path(shutil.make_archive(str(tmp_path / "vit"), "zip", folder)) if zipped else folder
    before = contents(tmp_path)

    model = opened(path, None, None)

    assert [label.name for label in model.spec.labels] == LABELS
    assert model.spec.preprocessing.mean == (0.5, 0.5, 0.5)
    assert model.predictions(cat.read_bytes(), 1)[0]["label"] == "green"
    assert model.title == path.name
    assert contents(tmp_path) == before


def test_file_of_a_folder(folder: Path) -> None:
    """What lies beside a file is about no certain model, but for its weights, and is not read."""
    model = opened(folder / "onnx" / "model.onnx", None, None)

    assert [label.name for label in model.spec.labels] != LABELS
    assert model.spec.warnings


def test_archive_beside(folder: Path) -> None:
    """Neither a ZIP file of a model nor a copy of it is taken for its weights."""
    path = folder / "onnx" / "model.onnx"
    shutil.make_archive(str(path), "zip", folder / "onnx")
    shutil.copy(path, folder / "onnx" / "model.onnx.bak")

    assert files_of(path).keys() == {"model.onnx", "model.onnx_data"}
    assert opened(path, None, None).spec.warnings


def test_given_apart(folder: Path, tmp_path: Path) -> None:
    """Labels that are given go before those of the folder."""
    (tmp_path / "mine.txt").write_text("a\nb\nc\n")

    model = opened(folder, tmp_path / "mine.txt", None)

    assert [label.name for label in model.spec.labels] == ["a", "b", "c"]
    assert model.spec.preprocessing.mean == (0.5, 0.5, 0.5)


def test_several(folder: Path) -> None:
    """Of several models none is guessed; the one that is named is taken."""
    (folder / "onnx" / "model_int8.onnx").write_bytes(classifier(LABELS, winner=2, metadata=False))

    with pytest.raises(
        InvalidRequest, match=r"There are 2 models: onnx/model\.onnx and onnx/model_int8\.onnx"
    ):
        opened(folder, None, None)
    chosen = files_of(folder, "model_int8.onnx")

    assert chosen.keys() == {"onnx/model_int8.onnx", "config.json", "preprocessor_config.json"}
    assert [label.name for label in opened(folder, None, None, file="model_int8.onnx").spec.labels] == LABELS


def test_no_model(tmp_path: Path) -> None:
    """A folder without a model says what was looked for."""
    (tmp_path / "model.safetensors").write_bytes(b"x")

    with pytest.raises(InvalidModel, match=r"There is no \.onnx file, but one of PyTorch"):
        files_of(tmp_path)


def test_limit(folder: Path, tmp_path: Path) -> None:
    """The files that are used may have no more bytes than an upload; a checkpoint is not counted."""
    files = files_of(folder)

    assert "model.safetensors" not in files
    assert without_archives(files, folder, tmp_path, 1_000_000) == files
    with pytest.raises(ModelTooLarge):
        without_archives(files, folder, tmp_path, 100)


@pytest.mark.parametrize("role", ["model", "labels"])
def test_no_end(folder: Path, tmp_path: Path, role: str) -> None:
    """A pipe and a device are refused before a byte of them is copied."""
    os.mkfifo(tmp_path / "m.onnx")
    paths = {"model": folder / "onnx" / "model.onnx", "labels": None}

    for path in (Path("/dev/zero"), tmp_path / "m.onnx"):
        with pytest.raises(InvalidRequest, match=f"{path.name} is a pipe or a device"):
            opened(**paths | {role: path}, preprocessing=None)  # type: ignore[arg-type]


@pytest.mark.parametrize("zipped", [False, True], ids=["file", "ZIP"])
def test_too_large_to_copy(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, zipped: bool
) -> None:
    """Nothing is copied of a file, or a ZIP file, that is larger than the limit."""
    path = folder / "onnx" / "model.onnx"
    if zipped:
        path = Path(shutil.make_archive(str(tmp_path / "vit"), "zip", folder))
    os.truncate(path, 2_000_000)
    (tmp_path / "copies").mkdir(mode=0o500)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "copies"))

    with pytest.raises(ModelTooLarge, match="has more than 1 MB"):
        opened(path, None, None, settings=Settings(max_model_mb=1))


def test_weights_too_large(folder: Path) -> None:
    """Weights in another file count as well."""
    os.truncate(folder / "onnx" / "model.onnx_data", 2_000_000)

    with pytest.raises(ModelTooLarge, match="1 MB together"):
        opened(folder / "onnx" / "model.onnx", None, None, settings=Settings(max_model_mb=1))


@pytest.mark.parametrize("metadata", [False, True])
def test_name_of_bytes(tmp_path: Path, cat: Path, metadata: bool) -> None:
    """A model works whose file name is not UTF-8."""
    path = tmp_path / os.fsdecode(b"bad\xff.onnx")
    path.write_bytes(classifier(LABELS, winner=1, metadata=metadata))

    model = opened(path, None, None)

    assert len(model.predictions(cat.read_bytes(), 3)) == 3
    assert model.title == "bad\\udcff.onnx"


def test_file_that_is_not_there(folder: Path) -> None:
    """A name that fits no file is an error, also where there is one model only."""
    for model in (folder, folder / "onnx" / "model.onnx"):
        with pytest.raises(InvalidRequest, match=r"There is no file zz\. The models are: "):
            opened(model, None, None, file="zz")

    chosen = opened(folder / "onnx" / "model.onnx", None, None, file="model.onnx")
    assert chosen.title == "model.onnx"


def test_as_an_upload(folder: Path, tmp_path: Path) -> None:
    """Labels that were only found are passed over where they do not fit, as for an upload."""
    (folder / "config.json").unlink()
    (folder / "notes.txt").write_text("one\ntwo\n")
    files = files_of(folder)
    bundle = recognise(files)

    report = tried(tmp_path / "check", files, bundle, {}, Settings())
    with pytest.raises(InvalidModel):
        tried(
            tmp_path / "again",
            files,
            bundle,
            {"labels": Sent("notes.txt", folder / "notes.txt")},
            Settings(),
        )

    assert report.spec["classes"] == 3
