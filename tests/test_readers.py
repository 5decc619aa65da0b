"""The settings of a store that machines share."""

import pytest

from predictor.config import Settings
from predictor.errors import ConfigError
from predictor.readers import READERS


@pytest.mark.parametrize(
    "url",
    [
        "s3://bucket",
        "s3://bucket/a/b",
        "gs://bucket/models",
        "az://container/models",
        "file:///srv/models",
        "",
    ],
)
def test_accepted(url: str) -> None:
    """The URLs of the clouds and of a folder are taken as they are; an empty one is none."""
    assert Settings.from_environment({"PREDICTOR_STORE": url}).store == (url or None)


@pytest.mark.parametrize(
    "url",
    [
        "bucket",
        "s3://",
        "s3://key:secret-word@bucket/models",
        "s3://bucket/models?region=x",
        "https://bucket.example/models",
        "memory:///",
        "file://models",
        "file:///",
        "file:store",
        "file:./store",
        "s3://buck et",
        "s3://[bucket",
    ],
)
def test_refused(url: str) -> None:
    """What is no bucket, or holds credentials, is refused without being repeated."""
    with pytest.raises(ConfigError, match=r"s3://bucket/prefix") as caught:
        Settings.from_environment({"PREDICTOR_STORE": url})

    assert "secret-word" not in caught.value.detail


def test_missing_package(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the optional package one sentence says how to install it."""
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)

    with pytest.raises(ConfigError, match="pip install obstore"):
        Settings.from_environment({"PREDICTOR_STORE": "s3://bucket"})


@pytest.mark.parametrize("name", ["web-1", "10.0.0.7", "a" * 63])
def test_machine(name: str) -> None:
    """Names of hosts and pods are names of machines."""
    assert READERS["machine"](name) == name


@pytest.mark.parametrize("name", ["a b", "../a", "-a", "a" * 64, "a/b"])
def test_no_machine(name: str) -> None:
    """What could lead elsewhere in the bucket is refused."""
    with pytest.raises(ValueError, match="web-1"):
        READERS["machine"](name)
