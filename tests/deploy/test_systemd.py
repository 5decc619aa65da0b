"""The unit is one that systemd takes, and closes what the service does not need."""

import re
from pathlib import Path

import pytest

from predictor.config import Settings
from predictor.errors import ConfigError
from tests.deploy.programs import ROOT, program, run

FILE = ROOT / "deploy" / "image-prediction-api.service"
GUIDE = (ROOT / "docs" / "operate.md").read_text()
# Of 100, by `systemd-analyze security`: what a service without any of these options has is 96.
MOST_EXPOSED = 25


def test_unit(tmp_path: Path) -> None:
    """Systemd finds no fault with the unit; its program stands where a clone has it."""
    program_path = "/opt/image-prediction-api/.venv/bin/gunicorn"
    text = FILE.read_text()
    assert text.count(program_path) == 1
    unit = tmp_path / FILE.name
    unit.write_text(text.replace(program_path, "/bin/true"))

    said = run(program("systemd-analyze"), "verify", "--man=no", "--recursive-errors=no", unit)

    assert FILE.stem not in said


def test_socket() -> None:
    """The folder of the socket that the error of PREDICTOR_BIND proposes is there, and can be written."""
    with pytest.raises(ConfigError, match="unix:/run/image-prediction-api/") as raised:
        Settings.from_environment({"PREDICTOR_BIND": "nowhere"})

    (folder,) = re.findall(r"unix:/run/([\w-]+)/socket", str(raised.value))
    assert f"\nRuntimeDirectory={folder}\n" in FILE.read_text()


def test_command_beside_the_service(tmp_path: Path) -> None:
    """Systemd, not a shell, reads the settings for a command of the guide, with the folders of the unit."""
    options = dict(re.findall(r"^(\w+)=-?(.+)$", FILE.read_text(), re.MULTILINE))
    (command,) = re.findall(r"^sudo systemd-run (.*?[^\\])$", GUIDE, re.MULTILINE | re.DOTALL)
    given = re.findall(r"-p (\S+)", command)

    assert given == [
        f"EnvironmentFile={options['EnvironmentFile']}",
        f"WorkingDirectory={options['WorkingDirectory']}",
        f"Environment=PREDICTOR_DATA=/var/lib/{options['StateDirectory']}",
    ]
    assert command.split()[-5] == options["ExecStart"].replace("gunicorn", "python")
    assert not re.search(rf"(\.|source) {options['EnvironmentFile']}", GUIDE)
    unit = tmp_path / "check.service"
    unit.write_text("[Service]\nExecStart=/bin/true\n" + "\n".join(given))
    assert unit.stem not in run(program("systemd-analyze"), "verify", "--man=no", unit)


def test_end_of_a_process() -> None:
    """A process that the kernel kills does not end the others; a stop has time for what was begun."""
    options = dict(re.findall(r"^(\w+)=(.+)$", FILE.read_text(), re.MULTILINE))
    settings = Settings()

    assert options["OOMPolicy"] == "continue"
    assert (
        int(options["TimeoutStopSec"].removesuffix("s")) >= settings.fetch_seconds + settings.run_seconds + 10
    )


def test_exposure() -> None:
    """By systemd's own measure the unit leaves little open."""
    said = run(program("systemd-analyze"), "security", "--offline=yes", f"--threshold={MOST_EXPOSED}", FILE)

    assert re.search(r"Overall exposure level", said)
