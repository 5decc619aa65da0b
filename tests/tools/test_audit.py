"""The audit of packages tells what is vulnerable from what could not be asked."""

import http.server
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.patience import PATIENCE

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
Answer = Callable[[dict[str, Any]], tuple[int, bytes]]


@contextmanager
def listed(answer: Answer) -> Iterator[str]:
    """A list of vulnerabilities on loopback, in the protocol of OSV."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, body = answer(asked)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 (the base class's name)
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/v1/query"
        server.shutdown()
        thread.join(PATIENCE)


def audit(address: str, *more: str) -> subprocess.CompletedProcess[str]:
    """Run the audit against a list at an address."""
    command = [sys.executable, "-m", "tools.audit", "--list", address, *more]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE, check=False)


def vulnerable(asked: dict[str, Any]) -> tuple[int, bytes]:
    """One vulnerability, of urllib3."""
    name = asked["package"]["name"]
    if name != "urllib3":
        return 200, b"{}"
    fixed = {"type": "ECOSYSTEM", "events": [{"introduced": "0"}, {"fixed": "99.0"}]}
    affected = [{"package": {"name": name, "ecosystem": "PyPI"}, "ranges": [fixed]}]
    return 200, json.dumps({"vulns": [{"id": "CVE-2099-1", "affected": affected}]}).encode()


def test_vulnerable() -> None:
    """A vulnerable package is a failure that names it, the vulnerability and what mends it."""
    with listed(vulnerable) as address:
        run = audit(address)

    assert run.returncode == 1, run.stderr
    assert run.stderr.startswith("urllib3 ")
    assert "CVE-2099-1, fixed by 99.0" in run.stderr


def test_none() -> None:
    """Every package is asked about with its version, and if nothing is known that is said."""
    asked: list[str] = []

    def nothing(question: dict[str, Any]) -> tuple[int, bytes]:
        asked.append(question["package"]["name"])
        assert question["version"]
        return 200, b"{}"

    with listed(nothing) as address:
        run = audit(address)

    assert (run.returncode, run.stdout) == (0, f"No known vulnerability in {len(asked)} packages.\n")
    assert {"flask", "pillow", "onnx", "urllib3"} <= set(asked)
    assert "pip" not in asked


def test_unreachable() -> None:
    """A list that cannot be reached is no failure; a sentence says that nothing was asked."""
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        run = audit(f"http://127.0.0.1:{closed.getsockname()[1]}/")

    assert run.returncode == 0, run.stderr
    assert run.stdout.startswith("Skipped the audit of packages")
    assert "cannot be reached" in run.stdout


def test_out_of_order() -> None:
    """Neither is one that is out of order, or that answers something else."""
    for broken in ((503, b"out of order"), (200, b"<html>sign in first</html>")):
        with listed(lambda _, broken=broken: broken) as address:  # type: ignore[misc]
            run = audit(address)

        assert run.returncode == 0, run.stderr
        assert run.stdout.startswith("Skipped the audit of packages")


def test_silent() -> None:
    """One that never answers is given up in time."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        run = audit(f"http://127.0.0.1:{silent.getsockname()[1]}/", "--seconds", "3")

    assert run.returncode == 0
    assert "did not answer within 3 seconds" in run.stdout


def test_broken_tool(tmp_path: Path) -> None:
    """An audit that fails by itself is a failure, so that nobody takes it for an audit."""
    (tmp_path / "pip_audit.py").write_text("raise SystemExit('no such option')")
    command = [sys.executable, "-m", "tools.audit"]
    run = subprocess.run(
        command,
        cwd=ROOT,
        env={"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )

    assert run.returncode == 2
    assert "no such option" in run.stderr
