"""The files of a model come through the same rules as images, within one deadline and one bound of bytes."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from predictor.config import Settings
from predictor.errors import FetchFailed, FetchTimeout, ModelTooLarge, StorageFull
from predictor.fetch.dial import Deadline
from predictor.fetch.files import MAX_TEXT_BYTES, Downloads
from tests.fetch.hostile import PICTURE, Script, Server, answer, drips, headers_of, redirects, says

SECRET = {"Authorization": "Bearer secret"}


@pytest.fixture
def servers() -> Iterator[list[Server]]:
    """Servers that are closed after the test."""
    started: list[Server] = []
    yield started
    for server in started:
        server.close()


def start(servers: list[Server], script: Script) -> Server:
    """Start a server."""
    servers.append(Server(script))
    return servers[-1]


@pytest.fixture
def downloads() -> Iterator[Downloads]:
    """Downloads of at most a megabyte in all, from loopback."""
    with Deadline(30) as deadline:
        yield Downloads(Settings(fetch_allow=("127.0.0.1",), max_model_mb=1), deadline)


def test_answers(servers: list[Server], downloads: Downloads, tmp_path: Path) -> None:
    """An answer is read whatever its status is; a file is written only from a good one."""
    server = start(servers, says(answer(b"{}", "401 Unauthorized", "WWW-Authenticate: Bearer")))

    read = downloads.read(server.url)

    assert (read.status, read.headers["www-authenticate"], read.body) == (401, "Bearer", b"{}")
    with pytest.raises(FetchFailed, match="401"):
        downloads.save(server.url, tmp_path / "m")


def test_digest(servers: list[Server], downloads: Downloads, tmp_path: Path) -> None:
    """A file is written byte for byte; one with another digest than is known of it is refused."""
    server = start(servers, says(answer()))

    known = downloads.save(server.url, tmp_path / "m").digest

    assert (tmp_path / "m").read_bytes() == PICTURE
    assert downloads.save(server.url, tmp_path / "again", digest=known).digest == known
    with pytest.raises(FetchFailed, match="digest"):
        downloads.save(server.url, tmp_path / "other", digest="sha256:00")


@pytest.mark.parametrize("own", [True, False])
def test_secrets_stay(servers: list[Server], downloads: Downloads, tmp_path: Path, own: bool) -> None:
    """A secret follows a redirect on its own server, and none to another server."""
    other = start(servers, says(answer()))
    first = start(servers, redirects("/end" if own else other.url))

    downloads.save(first.url, tmp_path / "m", SECRET)

    last = first if own else other
    assert headers_of(first.heads[0])["authorization"] == "Bearer secret"
    assert ("authorization" in headers_of(last.heads[-1])) is own


@pytest.mark.parametrize("stated", [True, False])
def test_bytes_of_all(servers: list[Server], downloads: Downloads, tmp_path: Path, stated: bool) -> None:
    """The bound is for all files together, whether or not a server says how much comes."""
    body = b"x" * 600_000
    server = start(servers, says(answer(body) if stated else b"HTTP/1.0 200 OK\r\n\r\n" + body))
    downloads.save(server.url, tmp_path / "1")

    with pytest.raises(ModelTooLarge, match="at most 1 MB"):
        downloads.save(server.url, tmp_path / "2")


def test_list_without_end(servers: list[Server], downloads: Downloads) -> None:
    """An answer that is read into memory has a bound of its own."""
    server = start(servers, says(answer(b"[" * (MAX_TEXT_BYTES + 1))))

    with pytest.raises(FetchFailed, match=f"{MAX_TEXT_BYTES} bytes"):
        downloads.read(server.url)


def test_time_of_all(servers: list[Server], tmp_path: Path) -> None:
    """One deadline ends whatever is under way."""
    slow = start(servers, drips(b"HTTP/1.1 200 OK\r\n\r\n", b"x"))
    with Deadline(0.3) as deadline:
        late = Downloads(Settings(fetch_allow=("127.0.0.1",)), deadline)
        with pytest.raises(FetchTimeout, match="The download took longer"):
            late.save(slow.url, tmp_path / "m")


def test_requests_of_all(servers: list[Server]) -> None:
    """A list of lists comes to an end."""
    server = start(servers, says(answer()))
    with Deadline(30) as deadline:
        few = Downloads(Settings(fetch_allow=("127.0.0.1",)), deadline, requests=2)
        few.read(server.url)
        few.read(server.url)
        with pytest.raises(FetchFailed, match="requests"):
            few.read(server.url)


def test_full_disk(servers: list[Server], downloads: Downloads) -> None:
    """A disk that takes nothing more is told from a server that breaks off."""
    server = start(servers, says(answer(PICTURE * 5)))

    with pytest.raises((StorageFull, OSError)):
        downloads.save(server.url, Path("/dev/full"))
