"""A GPU that the runtime cannot use is told, and never passed by in silence."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.models import eventually, label
from tests.live.service import Service

pytestmark = pytest.mark.live


@pytest.fixture
def no_libraries(driver: Callable[..., dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    """A driver that shows GPUs which CUDA, without its own driver, knows nothing of."""
    for name, value in driver().items():
        monkeypatch.setenv(name, value)


@pytest.mark.promise("M11")
@pytest.mark.usefixtures("no_libraries")
@pytest.mark.parametrize("device", ["cuda", "cuda:1"])
def test_wanted(tmp_path: Path, cat: Path, device: str) -> None:
    """A service that was told to use a GPU answers 503 with the reason, instead of from the CPU."""
    with Service(tmp_path / "data", workers=1, ready=False, device=device) as running:
        eventually(lambda: "could not be loaded" in running.get("/readyz").text)

        answer = running.get("/readyz")
        assert (answer.status_code, answer.json()["code"]) == (503, "not_ready")
        assert label(running, cat) == "not_ready"
        assert running.get("/healthz").status_code == 200


@pytest.mark.promise("M11")
@pytest.mark.usefixtures("no_libraries")
def test_auto(tmp_path: Path, cat: Path) -> None:
    """By itself the service takes the CPU, and says so in the log, once for each worker, and in `/readyz`."""
    with Service(tmp_path / "data", device="auto") as running:
        shown = running.get("/readyz").json()

        assert label(running, cat) == "tiger cat"
        assert "CPUExecutionProvider" in str(shown)
        assert "could not be loaded" in str(shown)
        assert len(re.findall(r"Device: CPU\. .*could not be loaded", running.log)) == 2
