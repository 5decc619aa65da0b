"""The start: settings, variables of others, limits; and what is logged from then on."""

import os
import shlex
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.live.service import ROOT, Service, free_port
from tests.patience import PATIENCE

pytestmark = pytest.mark.live


def test_few_files(tmp_path: Path) -> None:
    """A small limit of open files is said in one sentence."""
    service = Service(tmp_path / "data", workers=1)
    service.command = ("sh", "-c", f"ulimit -n 256; exec {shlex.quote(sys.executable)} -m gunicorn")
    with service:
        lines = [line for line in service.log.splitlines() if "256 files only" in line]

    assert len(lines) == 1


def test_variables_of_kubernetes(tmp_path: Path) -> None:
    """A Service named predictor does not stop the start: one line says that its variables are ignored."""
    service = Service(tmp_path / "data")
    service.environment = {
        "PREDICTOR_PORT": "tcp://10.0.0.12:80",
        "PREDICTOR_SERVICE_HOST": "10.0.0.12",
        "PREDICTOR_DATA_SERVICE_PORT_HTTP": "80",
    }
    with service:
        lines = [line for line in service.log.splitlines() if "Kubernetes" in line]

    assert len(lines) == 1
    assert "PREDICTOR_DATA_SERVICE_PORT_HTTP" in lines[0]


@pytest.mark.parametrize(
    "wrong",
    [
        {"PREDICTOR_WORKER": "2"},
        {"PREDICTOR_BIND": "*:8122"},
        {"PREDICTOR_BIND": "127.0.0.1:8122,[::1]:8122"},
        {"PREDICTOR_BIND": "192.0.2.1:8122"},
        {"PREDICTOR_DATA": "/etc/passwd"},
        {"PREDICTOR_DATA": "/proc/data"},
        {"PREDICTOR_PREFIX": "ml"},
        {"PREDICTOR_LOG_LEVEL": "loud"},
        {"PREDICTOR_RUN_SECONDS": "1e99"},
    ],
)
def test_wrong_settings(tmp_path: Path, wrong: Mapping[str, str]) -> None:
    """A setting that cannot be used ends the start in one sentence that names it."""
    given = {"PREDICTOR_DATA": str(tmp_path / "data"), "PREDICTOR_BIND": f"127.0.0.1:{free_port()}", **wrong}
    clean = {name: value for name, value in os.environ.items() if not name.startswith("PREDICTOR_")}

    ended = subprocess.run(
        (sys.executable, "-m", "gunicorn"),
        cwd=ROOT, env=clean | given, capture_output=True, text=True, timeout=PATIENCE, check=False,
    )  # fmt: skip

    (name,) = wrong
    lines = (ended.stdout + ended.stderr).strip().splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Configuration: ")
    assert name in lines[0]
    assert ended.returncode != 0


def test_script_name(tmp_path: Path) -> None:
    """SCRIPT_NAME in the environment is a prefix that URLs may have, and probes need not."""
    service = Service(tmp_path / "data", workers=1)
    service.environment = {"SCRIPT_NAME": "/ml"}
    with service:
        statuses = [
            service.get(path).status_code for path in ("/healthz", "/ml/healthz", "/ml", "/ml/upload")
        ]

    assert statuses == [200, 200, 200, 200]
    assert "Traceback" not in service.log


def test_ends_at_once(tmp_path: Path) -> None:
    """Ctrl-C while the service starts ends it, and shows no traceback."""
    given = {"PREDICTOR_DATA": str(tmp_path / "data"), "PREDICTOR_BIND": f"127.0.0.1:{free_port()}"}
    # What starts the tests in the background may have them ignore Ctrl-C.
    command = ("env", "--default-signal=INT", sys.executable, "-m", "gunicorn")
    with subprocess.Popen(
        command, cwd=ROOT, env=os.environ | given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as starting:
        assert starting.stdout
        try:
            # The first line, a second before it listens.
            said = starting.stdout.readline()
            starting.send_signal(signal.SIGINT)
            said += starting.communicate(timeout=PATIENCE)[0]
        finally:
            starting.kill()

    assert b"Starting gunicorn" in said
    assert b"Traceback" not in said


def test_quiet_probes(tmp_path: Path, cat: Path) -> None:
    """Probes and scrapes that succeed leave no line, predictions do."""
    with Service(tmp_path / "data", workers=1) as service:
        for path in ("/healthz", "/readyz", "/metrics") * 3:
            service.get(path)
        service.post("/predict", data=cat.read_bytes())

    assert [path for path in ("/healthz", "/readyz", "/metrics") if path in service.log] == []
    assert service.log.count("/predict") == 1


def test_warnings_only(tmp_path: Path, cat: Path) -> None:
    """With PREDICTOR_LOG_LEVEL=warning neither gunicorn nor requests leave a line."""
    with Service(tmp_path / "data", ready=False, workers=1, log_level="warning") as service:
        service.post("/predict", data=cat.read_bytes())

    assert "/predict" not in service.log
    assert "Booting" not in service.log
