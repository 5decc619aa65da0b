"""Models of a hub are fetched at a commit, whole, with what belongs to them and nothing else."""

from collections.abc import Mapping
from pathlib import Path

import pytest
from huggingface_hub import HfApi, hf_hub_download

from predictor.config import Settings
from predictor.errors import FetchError, InvalidModel, InvalidRequest, ModelTooLarge, PredictorError
from predictor.sources.pull import Pulled, pull
from tests.sources.hub import BUNDLE, COMMIT, MODEL, Files, Hub, serving


def pulled(
    hub: Hub, settings: Settings, folder: Path, source: str = "hf:org/name", **more: str
) -> dict[str, bytes]:
    """The bytes of each file that is fetched."""
    found = _pull(hub, settings, folder, source, more.pop("file", None), more)
    return {one.name: one.path.read_bytes() for one in found.files}


def _pull(
    hub: Hub, settings: Settings, folder: Path, source: str, file: str | None, more: Mapping[str, str]
) -> Pulled:
    folder.mkdir(exist_ok=True)
    return pull(source, folder, settings, {"HF_ENDPOINT": hub.url, **more}, file=file)


def test_form(hub: Hub, tmp_path: Path) -> None:
    """The hub of these tests has the form that Hugging Face's own client reads."""
    info = HfApi(endpoint=hub.url).model_info("org/name", revision="main", files_metadata=True)
    path = hf_hub_download("org/name", "onnx/model.onnx", endpoint=hub.url, cache_dir=tmp_path)

    assert info.sha == COMMIT
    assert {one.rfilename: one.size for one in info.siblings or []} == {
        name: len(body) for name, body in BUNDLE.items()
    }
    assert Path(path).read_bytes() == MODEL


@pytest.mark.parametrize(
    "source", ["hf:org/name", "hf:org/name@main", f"hf:org/name@{COMMIT}", "hf://org/name"]
)
def test_bundle(hub: Hub, settings: Settings, tmp_path: Path, source: str) -> None:
    """The model comes with the texts beside it; weights of other frameworks do not come."""
    found = pulled(hub, settings, tmp_path / "in", source)

    assert found == {name: BUNDLE[name] for name in BUNDLE if name.endswith((".json", ".onnx"))}


def test_commit(hub: Hub, settings: Settings, tmp_path: Path) -> None:
    """All files are those of one commit, which is the revision, whatever happens to the branch meanwhile."""
    found = _pull(hub, settings, tmp_path / "in", "hf:org/name@main", None, {})

    assert found.to_json() == {"source": "hf:org/name@main", "revision": COMMIT}
    assert all(f"/{COMMIT}/" in path for _, path, _ in hub.asked if "/resolve/" in path)


def test_token(storage: Files, settings: Settings, tmp_path: Path) -> None:
    """The token goes to the hub, and not to the storage that the hub sends its clients to."""
    hub = Hub(BUNDLE, storage, token="hf_secret")
    with serving(hub):
        with pytest.raises(FetchError, match="credentials"):
            pulled(hub, settings, tmp_path / "refused", HF_TOKEN="hf_other")
        assert "onnx/model.onnx" in pulled(hub, settings, tmp_path / "in", HF_TOKEN="hf_secret")

    assert storage.asked
    assert not [headers for _, _, headers in storage.asked if "Authorization" in headers]


def test_several(hub: Hub, settings: Settings, tmp_path: Path) -> None:
    """Of several models none is guessed; the one that is chosen comes with its own weights."""
    hub.files |= {
        "onnx/model.onnx_data": b"weights",
        "onnx/model_fp16.onnx": MODEL,
        "onnx/model_fp16.onnx_data": b"other weights",
    }
    with pytest.raises(InvalidRequest, match=r"2 models: onnx/model.onnx and onnx/model_fp16.onnx"):
        pulled(hub, settings, tmp_path / "refused")

    found = pulled(hub, settings, tmp_path / "in", file="model_fp16.onnx")

    assert {name for name in found if name.startswith("onnx/")} == {
        "onnx/model_fp16.onnx",
        "onnx/model_fp16.onnx_data",
    }


@pytest.mark.parametrize(
    ("files", "error", "sentence"),
    [
        ({"pytorch_model.bin": b"x" * 11_000_000}, InvalidModel, r"of PyTorch"),
        ({"../model.onnx": MODEL}, FetchError, r"path cannot be used"),
        ({"model.onnx": MODEL, "a.data": b"x" * 11_000_000}, ModelTooLarge, r"at most 10 MB"),
    ],
)
def test_refused(
    hub: Hub,
    settings: Settings,
    tmp_path: Path,
    files: dict[str, bytes],
    error: type[PredictorError],
    sentence: str,
) -> None:
    """A repository without a model, with a path that leads outside, or with too many bytes is refused."""
    hub.files = files

    with pytest.raises(error, match=sentence):
        pulled(hub, settings, tmp_path / "in")


def test_other_bytes(hub: Hub, storage: Files, settings: Settings, tmp_path: Path) -> None:
    """A file whose bytes are not those of the list is refused."""
    pulled(hub, settings, tmp_path / "in")
    storage.files = dict.fromkeys(storage.files, b"x" * len(MODEL))

    with pytest.raises(FetchError, match="digest"):
        pulled(hub, settings, tmp_path / "refused")


@pytest.mark.parametrize("source", ["hf:", "hf:a/b/c", "hf:org/name@", "hf:org/../name", "hf:org/name?x"])
def test_forms(hub: Hub, settings: Settings, tmp_path: Path, source: str) -> None:
    """What is no repository is refused before anything is asked."""
    with pytest.raises(InvalidRequest, match="hf:org/name"):
        pulled(hub, settings, tmp_path / "in", source)
    assert hub.asked == []


def test_no_such(hub: Hub, settings: Settings, tmp_path: Path) -> None:
    """A revision that is not there is told with what may be wrong."""
    with pytest.raises(FetchError, match=r"404 \(Not Found\): it has no such model"):
        pulled(hub, settings, tmp_path / "in", "hf:org/name@v2")
