"""Tokens on the real service: how one takes another's place, and where they never stand."""

import secrets
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
import requests

from tests.live.attack_access.wire import exchange
from tests.live.service import Service
from tests.patience import PATIENCE
from tools.sample_models import classifier

pytestmark = pytest.mark.live
JPEG = {"Content-Type": "image/jpeg"}
CHECK = b"predictor.checking.check"


def bearer(token: str) -> dict[str, str]:
    """The header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def upload(service: Service, token: str) -> requests.Response:
    """Send a model with a token."""
    files = {"model": ("m.onnx", classifier(["a", "b"], winner=0))}
    return service.post("/upload", files=files, headers=bearer(token))


def checks(worker: int) -> Iterator[tuple[str, bytes]]:
    """The checks that a worker runs at this moment: their process ids and environments."""
    for listed in Path(f"/proc/{worker}/task").glob("*/children"):
        for child in listed.read_text().split():
            # Before the command is there, the environment is still the worker's.
            if CHECK in Path("/proc", child, "cmdline").read_bytes():
                yield child, Path("/proc", child, "environ").read_bytes()


@contextmanager
def watched(workers: list[int]) -> Iterator[dict[str, bytes]]:
    """Collects the environment of every check that these workers start."""
    seen: dict[str, bytes] = {}
    done = threading.Event()

    def look() -> None:
        while not done.wait(0.005):
            # A process may end while it is looked at.
            with suppress(OSError):
                for worker in workers:
                    seen.update(checks(worker))

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    yield seen
    done.set()
    thread.join(PATIENCE)


def statuses(service: Service, tokens: list[str]) -> list[int]:
    """How a change is answered with each of these tokens: 409 where it is allowed."""
    return [service.post("/models/default/rollback", headers=bearer(token)).status_code for token in tokens]


@pytest.mark.promise("A1")
def test_rotation(tmp_path: Path, cat: Path) -> None:
    """While one token takes another's place both work; then the old one is refused. A weak one is told of."""
    old, new, weak = secrets.token_urlsafe(32), secrets.token_urlsafe(32), "short"
    data = tmp_path / "data"
    with Service(data, workers=1, admin_token=f"{old},{new}", predict_token=weak) as running:
        assert statuses(running, [old, new, weak, "", f"{old},{new}"]) == [409, 409, 401, 401, 401]
        assert "PREDICTOR_PREDICT_TOKEN has fewer than 16 characters" in running.log
        assert "PREDICTOR_ADMIN_TOKEN has" not in running.log

    with Service(data, workers=1, admin_token=new) as running:
        assert statuses(running, [old, new]) == [401, 409]
        assert running.post("/predict", data=cat.read_bytes(), headers=JPEG).status_code == 200
        assert "fewer than" not in running.log


@pytest.mark.promise("A2")
@pytest.mark.parametrize("style", ["json", "text"])
def test_tokens_stay_secret(tmp_path: Path, cat: Path, style: str) -> None:
    """No token, right or wrong, stands in a log, in a file, or in the environment of a model's check."""
    tokens = [secrets.token_hex(16) for _ in range(3)]
    admin, predict, wrong = tokens
    data = tmp_path / "data"
    with (
        Service(data, workers=1, admin_token=admin, predict_token=predict, log=style) as running,
        watched(running.workers()) as environments,
    ):
        assert upload(running, admin).status_code == 200
        assert upload(running, wrong).status_code == 401
        for token, status in ((predict, 200), (wrong, 401), (admin, 200)):
            sent = {"data": cat.read_bytes(), "headers": bearer(token) | JPEG}
            assert running.post("/predict", **sent).status_code == status
        # A header that is not allowed to be one, and requests that are refused or fail further on.
        for odd in (f"Bearer {admin}\x01", f"Bearer {admin}\n\tmore", f"Bearer {admin}é"):
            head = f"POST /upload HTTP/1.1\r\nHost: x\r\nAuthorization: {odd}\r\nContent-Length: 0\r\n\r\n"
            exchange(running.port, head.encode("latin-1"))
        running.post("/upload", files={"model": ("m.onnx", b"no model")}, headers=bearer(admin))
        running.post("/tune", files={"pictures": ("a.zip", b"PK")}, headers=bearer(admin))
        written = [running.log.encode()]
    written += [path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()]

    assert len(environments) >= 1
    assert all(b"PREDICTOR_" not in environment for environment in environments.values())
    for text in (*written, *environments.values()):
        assert [token for token in tokens if token.encode() in text] == []
