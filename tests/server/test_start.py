"""What cannot work ends the start in one sentence; what can is reported."""

import logging
import os
import re
import resource
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from predictor.config import Settings
from predictor.server.clients import SLOW_CLIENTS
from predictor.server.start import raise_file_limit, read_settings, refuse_tls, report_surroundings


@pytest.fixture(autouse=True)
def _settings(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("PREDICTOR_")]:
        monkeypatch.delenv(name)
    monkeypatch.delenv("SCRIPT_NAME", raising=False)
    monkeypatch.setenv("PREDICTOR_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("PREDICTOR_BIND", "127.0.0.1:0")


@pytest.fixture
def file_limit() -> Iterator[None]:
    """The limit of open files is put back."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def stopped() -> str:
    """The sentence with which the start ends."""
    with pytest.raises(SystemExit) as ended:
        read_settings()
    return str(ended.value.code)


def test_folder_is_made(tmp_path: Path) -> None:
    """The data folder is made, with those above it."""
    os.environ["PREDICTOR_DATA"] = str(tmp_path / "a" / "b")

    assert read_settings().data == tmp_path / "a" / "b"
    assert (tmp_path / "a" / "b").is_dir()


@pytest.mark.parametrize(
    ("place", "why"),
    [
        ("file", "File exists"),
        ("file/below", "Not a directory"),
        ("/proc/no/such", "No such file"),
    ],
)
def test_no_folder(tmp_path: Path, place: str, why: str) -> None:
    """A file in place of the data folder, or what cannot be made, is named with the reason."""
    (tmp_path / "file").touch()
    os.environ["PREDICTOR_DATA"] = str(tmp_path / place)

    said = stopped()

    assert said.startswith(f"Configuration: PREDICTOR_DATA={tmp_path / place} cannot be used: {why}")
    assert said.count("\n") == 0


def test_store_whose_check_crashes(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable over which the store's library fails in its own way ends the start, too."""
    monkeypatch.setenv("PREDICTOR_STORE", "s3://bucket/prefix")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:99999")
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "x")

    assert stopped().startswith("Configuration: PREDICTOR_STORE=s3://bucket/prefix cannot be used: the lines")


@pytest.mark.parametrize(
    ("bind", "why"),
    [
        ("192.0.2.1:8080", "Cannot assign requested address"),
        ("no-such-host.invalid:8080", ""),
        ("unix:/no/such/folder/socket", "its folder cannot be written"),
        (f"unix:/tmp/{'x' * 120}", "more than 107 bytes"),
    ],
)
def test_no_address(bind: str, why: str) -> None:
    """An address that cannot be listened on is named at once, not after several attempts."""
    os.environ["PREDICTOR_BIND"] = bind

    said = stopped()

    assert said.startswith(f"Configuration: PREDICTOR_BIND={bind} cannot be used: ")
    assert why in said


@pytest.mark.parametrize("kind", ["folder", "file", "link"])
def test_no_socket(tmp_path: Path, kind: str) -> None:
    """A path that something else has is refused, and what has it stays."""
    path = tmp_path / "socket"
    if kind == "folder":
        path.mkdir()
    elif kind == "file":
        path.write_text("kept")
    else:
        path.symlink_to(tmp_path / "nothing")
    os.environ["PREDICTOR_BIND"] = f"unix:{path}"

    assert stopped().startswith(
        f"Configuration: PREDICTOR_BIND=unix:{path} cannot be used: a file or folder that is no socket"
    )
    assert path.is_symlink() or path.exists()


def test_socket_that_was_left(tmp_path: Path) -> None:
    """A socket that a former server left is taken by the next one."""
    with socket.socket(socket.AF_UNIX) as former:
        former.bind(str(tmp_path / "socket"))
    os.environ["PREDICTOR_BIND"] = f"unix:{tmp_path}/socket"

    assert read_settings().bind == os.environ["PREDICTOR_BIND"]


def test_address_in_use() -> None:
    """An address that another process uses is left to gunicorn, which waits for a former server to go."""
    with socket.create_server(("127.0.0.1", 0)) as other:
        os.environ["PREDICTOR_BIND"] = f"127.0.0.1:{other.getsockname()[1]}"

        assert read_settings().bind == os.environ["PREDICTOR_BIND"]


def test_script_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """SCRIPT_NAME means PREDICTOR_PREFIX, and does not reach gunicorn; a setting goes first."""
    monkeypatch.setenv("SCRIPT_NAME", "/ml/")
    monkeypatch.delenv("PREDICTOR_PREFIX", raising=False)
    monkeypatch.setenv("PREDICTOR_PREFIX", "")
    monkeypatch.delenv("PREDICTOR_PREFIX")

    assert read_settings().prefix == "/ml"
    assert "SCRIPT_NAME" not in os.environ

    monkeypatch.setenv("SCRIPT_NAME", "/other")
    monkeypatch.setenv("PREDICTOR_PREFIX", "/own")
    assert read_settings().prefix == "/own"


def test_script_name_that_is_no_path(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is wrong with SCRIPT_NAME is said of it, not of a setting that nobody made."""
    monkeypatch.setenv("SCRIPT_NAME", "ml")

    assert stopped().startswith("Configuration: SCRIPT_NAME='ml' cannot be used as PREDICTOR_PREFIX: ")


def test_tls() -> None:
    """A server that is to speak TLS ends in one sentence, which says where TLS belongs."""
    refuse_tls(configured=False)

    with pytest.raises(SystemExit, match=r"^Configuration: .*TLS belongs to the proxy in front; [^\n]*$"):
        refuse_tls(configured=True)


@pytest.mark.usefixtures("file_limit")
def test_file_limit() -> None:
    """The limit of open files is raised as far as it may be."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    if most != resource.RLIM_INFINITY and most < 2084:
        pytest.skip("few files may be opened here")
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, most), most))

    connections = raise_file_limit(256)

    assert resource.getrlimit(resource.RLIMIT_NOFILE)[0] == most
    assert connections == 1000


@pytest.mark.usefixtures("file_limit")
@pytest.mark.parametrize(
    ("files", "threads", "connections"),
    [
        (4096, 500, 1000),
        (8192, 1200, 1700),
        (5000, 1200, 988),
        (1380, 80, 1000),
        (1024, 80, 644),
        (500, 80, 120),
        (256, 80, 39),
        (256, 8, 164),
        (61, 80, 1),
    ],
)
def test_few_files(files: int, threads: int, connections: int) -> None:
    """With its threads and connections a worker never opens more files than it may."""
    child = os.fork()
    if child == 0:
        code = 1
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
            code = int(raise_file_limit(threads) != connections)
        finally:
            os._exit(code)

    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def test_files_of_the_guide(caplog: pytest.LogCaptureFixture) -> None:
    """The guide says how many files are needed with the settings as they are by default."""
    guide = (Path(__file__).parents[2] / "docs" / "operate.md").read_text()
    settings = Settings()

    report_surroundings(logging.getLogger(), 1, settings.threads + settings.max_queue + SLOW_CLIENTS)

    (files,) = re.findall(r"LimitNOFILE\) to (\d+)", caplog.text)
    assert f"under {files} (by default" in guide


@pytest.mark.parametrize(("connections", "kept"), [(1700, None), (1300, True), (1200, False)])
def test_connections_that_are_not_kept(
    caplog: pytest.LogCaptureFixture, connections: int, kept: bool | None
) -> None:
    """Where files are too few, one line says what to raise, and whether connections are not kept at all."""
    report_surroundings(logging.getLogger(), connections, 1200)

    said = [line for line in caplog.messages if "files only" in line]
    assert len(said) == (kept is not None)
    assert all(("keeps none of them open" in line) is not kept for line in said)
    assert all(line.endswith("to 6560 or more, or lower PREDICTOR_MAX_QUEUE") for line in said)
