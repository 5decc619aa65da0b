"""What lies on the disk is found again, whatever happened to it."""

import hashlib
import json
from typing import Any

import pytest

from predictor.config import BUNDLED_MODEL
from predictor.errors import InvalidModel, ModelNotFound
from predictor.model_files import LABELS, MODEL
from predictor.store.golden import INDEX
from predictor.store.manifest import described
from predictor.store.registry import DEFAULT, Registry


def test_fresh(store: Any) -> None:
    """A fresh store serves the bundled model as version 1 of default."""
    version = store.registry.version(DEFAULT, 1)

    assert store.registry.read().live() == {DEFAULT: 1}
    assert (version.path, version.manifest) == (BUNDLED_MODEL, None)


def test_other_process(store: Any) -> None:
    """A registry sees what another one wrote."""
    other = Registry(store.data, BUNDLED_MODEL)
    assert other.read().live() == {DEFAULT: 1}

    store.upload()

    assert other.read().live() == {DEFAULT: 2}


@pytest.mark.parametrize("damage", ["missing", "truncated", "changed", "manifest"])
def test_damaged_version(store: Any, damage: str) -> None:
    """A version whose files are not what was uploaded is told."""
    version = store.upload(b"0123456789")
    if damage == "missing":
        version.path.unlink()
    elif damage == "manifest":
        (version.path.parent / "manifest.json").write_bytes(b"{")
    else:
        version.path.write_bytes(b"01234" if damage == "truncated" else b"0123456780")

    with pytest.raises(InvalidModel, match="missing or damaged"):
        store.registry.version(DEFAULT, 2).verify()


def test_version_of_a_later_release(store: Any) -> None:
    """What only a later release knows of a version keeps this one from nothing when it is put back."""
    path = store.upload(b"0123456789").path.parent / "manifest.json"
    path.write_text(json.dumps(json.loads(path.read_bytes()) | {"later": "known only there"}))

    found = store.registry.version(DEFAULT, 2)

    found.verify()
    assert found.path.read_bytes() == b"0123456789"


def test_back_from_a_former_release(store: Any) -> None:
    """Golden images outlast a release that did not know them and wrote the state without them."""
    kept = store.data / "golden" / DEFAULT / ("0a" * 32)
    kept.mkdir(parents=True)
    (kept / INDEX).write_bytes(b"{}")
    store.upload()
    written = store.registry.read().to_json()
    del written["names"][DEFAULT]["golden"]
    text = json.dumps(written)
    summed = {"sha256": hashlib.sha256(text.encode()).hexdigest(), "state": text}
    (store.data / "state.json").write_text(json.dumps(summed))

    registry = Registry(store.data, BUNDLED_MODEL)
    registry.remove_unknown(registry.read())

    assert registry.read().names[DEFAULT].golden == kept.name
    assert (kept / INDEX).exists()


class TestLostState:
    """Without its state a store serves the newest complete version of each name."""

    def lose(self, store: Any) -> None:
        """Damage both copies of the state."""
        for name in ("state.json", "state.copy.json"):
            (store.data / name).write_bytes(b"?")

    def test_newest(self, store: Any) -> None:
        """All names and versions are there again."""
        store.upload(b"a")
        store.upload(b"b")
        store.upload(name="dogs")
        self.lose(store)

        state = store.registry.read()

        assert state.live() == {DEFAULT: 3, "dogs": 1}
        assert state.names[DEFAULT].versions == (1, 2, 3)
        assert store.publisher.rollback(DEFAULT).version == 2

    def test_newest_is_damaged(self, store: Any) -> None:
        """A version that is not complete is passed by, and its number is not given again."""
        store.upload(b"a")
        store.upload(b"b").path.write_bytes(b"")
        self.lose(store)

        assert store.registry.read().live() == {DEFAULT: 2}
        assert store.upload().version == 4

    def test_nothing_left(self, store: Any) -> None:
        """With everything damaged the bundled model serves."""
        store.upload(b"a").path.unlink()
        self.lose(store)

        assert store.registry.read().live() == {DEFAULT: 1}


def test_unknown(store: Any) -> None:
    """Names and versions that are not there are told apart from damage."""
    for name, version in (("dogs", 1), (DEFAULT, 2)):
        with pytest.raises(ModelNotFound):
            store.registry.version(name, version)


def test_digest_covers_all_files(store: Any) -> None:
    """The same model with other labels is another version; alone it has its file's own digest."""
    digests = []
    for labels in (None, b"a\nb", b"b\na"):
        with store.transactions.staging.new_folder() as folder:
            (folder / MODEL).write_bytes(b"model")
            names = {MODEL: "my.onnx"}
            if labels is not None:
                (folder / LABELS).write_bytes(labels)
                names[LABELS] = "labels.txt"
            digests.append(described(folder, names, by=None, created="").digest)

    # sha256sum of a file that holds the five letters "model".
    assert digests[0] == "sha256:9372c470eeadd5ecd9c3c74c2b3cb633f8e2f2fad799250a0f70d652b6b825e4"
    assert len(set(digests)) == 3


def test_companions(store: Any) -> None:
    """The text of a file that came with a model is given; a byte order mark is no part of it."""
    with store.transactions.staging.new_folder() as folder:
        (folder / MODEL).write_bytes(b"model")
        (folder / LABELS).write_bytes(b"\xef\xbb\xbfcat\n")
        names = {MODEL: "my.onnx", LABELS: "labels.txt"}
        manifest = described(folder, names, by=None, created="")
        version = store.publisher.upload(DEFAULT, folder, manifest).version

    assert version.companion(LABELS) == "cat\n"
    (version.path.parent / LABELS).write_bytes("cat\r\nUhu\n".encode("utf-16"))
    assert version.companion(LABELS) == "cat\r\nUhu\n"
    assert version.companion("preprocessing") is None
    (version.path.parent / LABELS).write_bytes(b"\xff")
    with pytest.raises(InvalidModel):
        version.companion(LABELS)
