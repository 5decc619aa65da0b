"""The bucket: written once, read whole, and every failure is one error that says nothing of the inside."""

import hashlib
from pathlib import Path
from typing import Any

import pytest
from obstore.exceptions import PermissionDeniedError

from predictor.cluster import proof
from predictor.cluster.bucket import Bucket, Unavailable


def test_create(shared: Any) -> None:
    """What is there is not overwritten; a plain write overwrites."""
    bucket = Bucket(shared)

    assert bucket.create("a/1", b"first")
    assert not bucket.create("a/1", b"second")
    assert bucket.get("a/1") == b"first"
    bucket.put("a/1", b"third")
    assert bucket.get("a/1") == b"third"


def test_nothing_there(shared: Any) -> None:
    """What is not there is None, not an error, and may be removed."""
    bucket = Bucket(shared)

    assert bucket.get("a/1") is None
    assert bucket.find("a/1") is None
    assert bucket.entries("a/") == []
    bucket.remove(["a/1"])


def test_entries(shared: Any) -> None:
    """Listings are in the order of the keys, and may begin after one."""
    bucket = Bucket(shared)
    for key in ("a/3", "a/1", "b/1", "a/2"):
        bucket.put(key, b"x")

    assert [entry.key for entry in bucket.entries("a/")] == ["a/1", "a/2", "a/3"]
    assert [entry.key for entry in bucket.entries("a/", after="a/1")] == ["a/2", "a/3"]
    assert bucket.entries("a/")[0].time > 1_700_000_000


@pytest.mark.parametrize("size", [0, 1, 4 << 20, (9 << 20) + 1])
def test_files(shared: Any, tmp_path: Path, size: int) -> None:
    """A file of any size comes back as it was, with its digest."""
    bucket, content = Bucket(shared), bytes(range(256)) * (size // 256) + b"x" * (size % 256)
    (tmp_path / "sent").write_bytes(content)

    bucket.upload("blobs/one", tmp_path / "sent", since=0)
    bucket.upload("blobs/one", tmp_path / "sent", since=0)
    found = bucket.download("blobs/one", tmp_path / "got")

    assert found == f"sha256:{hashlib.sha256(content).hexdigest()}"
    assert (tmp_path / "got").read_bytes() == content
    assert bucket.download("blobs/two", tmp_path / "none") is None


def test_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that cannot be reached is an error for the caller, counted by its operation."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "secret-id")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-key")
    counted: list[str] = []
    bucket = Bucket.open("s3://bucket/prefix", counted.append)

    with pytest.raises(Unavailable) as caught:
        bucket.get("a/1")
    with pytest.raises(Unavailable):
        bucket.create("a/1", b"x")

    assert (caught.value.status, caught.value.code) == (507, "storage_full")
    assert not any(word in caught.value.detail for word in ("127.0.0.1", "bucket/prefix", "secret"))
    assert counted == ["get", "create"]


def test_proof(shared: Any) -> None:
    """A store that keeps its word is proved, and nothing of the proof stays."""
    bucket = Bucket(shared)

    assert bucket.fault() is None
    assert bucket.entries("proof/") == []


def test_nothing_can_be_deleted(memory: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A store that refuses to delete can be used; each refusal is counted."""

    def refuse(*_: object) -> None:
        raise PermissionDeniedError("No.")

    monkeypatch.setattr("obstore.delete", refuse)
    counted: list[str] = []
    bucket = Bucket(memory, count=counted.append)

    assert bucket.fault() is None
    bucket.remove(["a/1", "a/2"])

    assert counted == ["delete", "delete"]


class _Forgetful(Bucket):
    """A store that ignores the condition of a request."""

    def create(self, key: str, data: bytes) -> bool:
        """Overwrite, and say that nothing was there."""
        self.put(key, data)
        return True


@pytest.mark.promise("C4")
def test_broken_word(memory: Any) -> None:
    """A store that overwrites what must stay is found out."""
    fault = _Forgetful(memory).fault()

    assert fault is not None
    assert "If-None-Match" in fault


@pytest.fixture
def prove_at_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """What the start of the service is told of a store."""

    def run(failure: Exception) -> int:
        def failing(_: Bucket) -> str | None:
            raise failure

        monkeypatch.setenv("PREDICTOR_STORE", f"file://{tmp_path}/bucket")
        monkeypatch.setenv("PREDICTOR_DATA", str(tmp_path))
        monkeypatch.setattr(Bucket, "fault", failing)
        return proof.main()

    return run


def test_silent_at_the_start(prove_at_start: Any) -> None:
    """A store that does not answer at the start keeps no service from starting."""
    assert prove_at_start(Unavailable("Silence.")) == proof.SILENT


def test_refused_at_the_start(
    prove_at_start: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Wrong credentials end a first start with a sentence; a machine with models goes on with them."""
    refusal = Unavailable("No.")
    refusal.refused = True

    assert prove_at_start(refusal) == proof.BROKEN
    assert "credentials" in capsys.readouterr().out
    (tmp_path / "cluster.json").write_text("{}")
    assert prove_at_start(refusal) == proof.SILENT
