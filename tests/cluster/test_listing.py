"""Images in a bucket are listed below a prefix and read, from a real server of S3."""

import builtins
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import requests

from predictor.bulk.inputs import Reader, names
from predictor.cluster import listing
from predictor.config import Settings
from predictor.errors import FetchFailed, ImageTooLarge, InvalidRequest
from tests.patience import PATIENCE

KEYS = ("photos/a.jpg", "photos/b c%20.png", "photos/deep/é.webp", "photos/.hidden.jpg", "photos/notes.txt")


@pytest.fixture(scope="module")
def bucket(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A bucket with some objects, whose bytes are their keys."""
    pytest.importorskip("obstore")
    pytest.importorskip("localbucket")
    folder = tmp_path_factory.mktemp("store")
    for key in (*KEYS, "photos-of-others/x.jpg"):
        (folder / "pictures" / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / "pictures" / key).write_bytes(key.encode())
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "localbucket", str(folder), "--port", str(port)]
    with pytest.MonkeyPatch.context() as environment, subprocess.Popen(command) as server:
        url = f"http://127.0.0.1:{port}"
        for name, value in {
            "ENDPOINT": url,
            "ACCESS_KEY_ID": "a",
            "SECRET_ACCESS_KEY": "b",
            "REGION": "c",
        }.items():
            environment.setenv(f"AWS_{name}", value)
        wait(lambda: answers(url))
        yield "s3://pictures"
        server.terminate()


def answers(url: str) -> bool:
    """Whether a server answers."""
    try:
        return requests.get(url, timeout=5).status_code > 0
    except requests.ConnectionError:
        return False


def wait(condition: Callable[[], bool]) -> None:
    """Wait until something holds."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


def test_prefix(bucket: str) -> None:
    """A prefix stands for the images in that folder, without hidden ones, and an object for itself."""
    expected = [f"{bucket}/{key}" for key in KEYS[:3]]

    assert sorted(names([f"{bucket}/photos"])) == sorted(expected)
    assert sorted(names([f"{bucket}/photos/"])) == sorted(expected)
    assert list(names([f"{bucket}/gone.jpg"])) == [f"{bucket}/gone.jpg"]
    with pytest.raises(InvalidRequest, match="There are no images in s3://pictures/empty"):
        names([f"{bucket}/empty"])


def test_read(bucket: str) -> None:
    """What is listed is read by its name; what is not there or too large says so."""
    reader = Reader(Settings())

    for name in names([bucket]):
        assert f"{bucket}/{reader.read(name).decode()}" == name
    with pytest.raises(FetchFailed, match="not in the store"):
        reader.read(f"{bucket}/gone.jpg")
    with pytest.raises(FetchFailed, match="cannot be read"):
        reader.read("s3://[x/gone.jpg")
    with pytest.raises(ImageTooLarge):
        listing.read(f"{bucket}/{KEYS[0]}", 3)


def test_no_bucket(bucket: str) -> None:
    """A bucket that cannot be listed is named."""
    with pytest.raises(InvalidRequest, match="s3://gone/photos cannot be listed"):
        list(listing.listed("s3://gone/photos"))


def test_without_obstore(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without obstore a sentence says what to install."""
    real: Callable[..., Any] = builtins.__import__

    def missing(name: str, *rest: Any) -> Any:
        if name.split(".", maxsplit=1)[0] == "obstore":
            raise ImportError(name)
        return real(name, *rest)

    monkeypatch.setattr(builtins, "__import__", missing)

    with pytest.raises(InvalidRequest, match="pip install"):
        list(listing.listed("s3://x/y"))
