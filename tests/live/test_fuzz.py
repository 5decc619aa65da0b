"""The running service is fuzzed against its own OpenAPI document."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.live.service import Service

pytestmark = pytest.mark.live
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "unsupported_method",
]


def test_schemathesis(service: Service, tmp_path: Path) -> None:
    """Whatever is sent, there is no server error and no answer that is not documented."""
    command = shutil.which("schemathesis", path=str(Path(sys.executable).parent))
    assert command

    run = subprocess.run(
        [
            command, "run", f"{service.url}/openapi.json",
            "--checks", ",".join(CHECKS),
            "--max-examples", "60",
            "--seed", "1",
            "--generation-database", "none",
            # In threads of its own the tool now and then trips over a fault of the interpreter (ast).
            "--workers", "1",
            "--no-color",
        ],
        check=False,
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=300,
    )  # fmt: skip

    assert run.returncode == 0, run.stdout[-6000:] + run.stderr[-2000:]
    assert service.alive
