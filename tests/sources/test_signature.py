"""Where a key is set, only what its owner has signed is taken, file by file."""

import shutil
from collections.abc import Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from model_signing import hashing, signing

from predictor.errors import ConfigError, InvalidModel
from predictor.sources.signature import check_key, signed


@pytest.fixture(scope="module")
def keys(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """The files of a private and a public key."""
    return make_keys(tmp_path_factory.mktemp("keys"))


def make_keys(folder: Path) -> tuple[Path, Path]:
    """A new pair of keys, in files."""
    key = ec.generate_private_key(ec.SECP256R1())
    pem, plain = serialization.Encoding.PEM, serialization.NoEncryption()
    private, public = folder / "key", folder / "key.pub"
    private.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, plain))
    public.write_bytes(key.public_key().public_bytes(pem, serialization.PublicFormat.SubjectPublicKeyInfo))
    return private, public


def sign(files: Mapping[str, bytes], private: Path, folder: Path) -> bytes:
    """The signature of files in a new folder."""
    for name, content in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
    signature = folder.parent / "model.sig"
    signing.Config().use_elliptic_key_signer(private_key=private).sign(folder, signature)
    return signature.read_bytes()


@pytest.fixture
def bundle(tmp_path: Path, keys: tuple[Path, Path]) -> dict[str, Path]:
    """The files of a signed model, whose file `notes.txt` is not signed."""
    folder = tmp_path / "model"
    (folder / "onnx").mkdir(parents=True)
    (folder / "onnx" / "model.onnx").write_bytes(b"model")
    (folder / "labels.txt").write_text("a\nb\n")
    signature = folder / "model.sig"
    hashed = hashing.Config().set_ignored_paths(paths=[signature, folder / "notes.txt"])
    signing.Config().use_elliptic_key_signer(private_key=keys[0]).set_hashing_config(hashed).sign(
        folder, signature
    )
    (folder / "notes.txt").write_text("not signed")
    return files(folder)


def files(folder: Path) -> dict[str, Path]:
    """The files of a folder by their paths, in places whose names say nothing."""
    named = {path.relative_to(folder).as_posix(): path for path in folder.rglob("*") if path.is_file()}
    moved = {name: folder.parent / f"part-{number}" for number, name in enumerate(sorted(named))}
    for name, path in moved.items():
        shutil.copyfile(named[name], path)
    return moved


def test_signed(bundle: dict[str, Path], keys: tuple[Path, Path], tmp_path: Path) -> None:
    """The files that are signed are kept, those that the signer left out are not; nothing else is left."""
    before = set(tmp_path.iterdir())

    found = signed(bundle, keys[1], tmp_path)

    assert found == {name: bundle[name] for name in ("labels.txt", "onnx/model.onnx")}
    assert set(tmp_path.iterdir()) == before


def test_in_a_folder(bundle: dict[str, Path], keys: tuple[Path, Path], tmp_path: Path) -> None:
    """A signed folder may lie in another one, as in a ZIP, but not beside files that it does not sign."""
    inside = {f"vit/{name}": path for name, path in bundle.items()}

    assert set(signed(inside, keys[1], tmp_path)) == {"vit/labels.txt", "vit/onnx/model.onnx"}
    with pytest.raises(InvalidModel, match="folder"):
        signed({**inside, "labels.txt": bundle["labels.txt"]}, keys[1], tmp_path)


def test_alone(keys: tuple[Path, Path], tmp_path: Path) -> None:
    """A model may be signed as the file that it is."""
    model, signature = tmp_path / "m.onnx", tmp_path / "m.onnx.sig"
    model.write_bytes(b"model")
    signing.Config().use_elliptic_key_signer(private_key=keys[0]).sign(model, signature)

    assert signed({"m.onnx": model, "m.onnx.sig": signature}, keys[1], tmp_path) == {"m.onnx": model}


@pytest.mark.parametrize("change", ["changed", "added", "missing", "renamed", "unsigned", "twice", "damaged"])
def test_refused(bundle: dict[str, Path], keys: tuple[Path, Path], tmp_path: Path, change: str) -> None:
    """A file that was changed, added, removed or renamed since is refused, and so is what has none."""
    if change == "changed":
        bundle["onnx/model.onnx"].write_bytes(b"m0del")
    elif change == "added":
        bundle["other.txt"] = bundle["notes.txt"]
    elif change == "missing":
        del bundle["labels.txt"]
    elif change == "renamed":
        bundle["names.txt"] = bundle.pop("labels.txt")
    elif change == "unsigned":
        del bundle["model.sig"]
    elif change == "twice":
        bundle["second.sig"] = bundle["notes.txt"]
    else:
        bundle["model.sig"].write_text("{}")

    with pytest.raises(InvalidModel, match=r"sign"):
        signed(bundle, keys[1], tmp_path)


def test_of_another_key(bundle: dict[str, Path], tmp_path: Path) -> None:
    """The signature of another key is refused."""
    (tmp_path / "other").mkdir()
    with pytest.raises(InvalidModel, match="another key"):
        signed(bundle, make_keys(tmp_path / "other")[1], tmp_path)


def test_keys(keys: tuple[Path, Path], tmp_path: Path) -> None:
    """A file that holds no public key is refused at the start, in a sentence that names the setting."""
    check_key(keys[1])
    for wrong in (keys[0], tmp_path / "gone"):
        with pytest.raises(ConfigError, match="PREDICTOR_SIGNING_KEY"):
            check_key(wrong)
