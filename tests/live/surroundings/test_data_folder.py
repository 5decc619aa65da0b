"""A data folder that cannot be written any more: predictions go on, and `/readyz` says it until it can."""

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from tests.live.models import eventually
from tests.live.service import Service
from tests.live.surroundings.images import images
from tools.sample_models import classifier

pytestmark = pytest.mark.live


def test_folder_that_is_closed_from_the_start(closed_data: Service, cat: Path) -> None:
    """With a data folder that cannot be written the service serves what is there, and says that."""
    predicted = closed_data.post("/predict", data=cat.read_bytes())
    earlier = closed_data.post("/predict?model=small", data=cat.read_bytes())
    refused = closed_data.post("/upload", files={"model": classifier(["a", "b"])})
    ready = closed_data.get("/readyz")

    assert (predicted.status_code, predicted.json()["predicted_label"]) == (200, "tiger cat")
    assert (earlier.status_code, earlier.json()["predicted_label"]) == (200, "b")
    assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
    assert (ready.status_code, "PREDICTOR_DATA" in ready.json()["degraded"]["data"]) == (200, True)
    assert "Traceback" not in closed_data.log


def test_folder_that_is_closed_later(contained_plainly: Service, cat: Path) -> None:
    """A folder whose permissions were taken away is named, and works again once it has them back."""
    service = contained_plainly
    folders = [service.data, *(path for path in service.data.rglob("*") if path.is_dir())]
    _set_mode(folders, 0o555)
    predicted = service.post("/predict", data=cat.read_bytes())
    refused = service.post("/upload", files={"model": classifier(["a", "b"])})
    eventually(lambda: "data" in service.get("/readyz").json()["degraded"])
    status = service.get("/readyz").status_code

    _set_mode(folders, 0o755)
    eventually(lambda: service.get("/readyz").json()["degraded"] == {})
    uploaded = service.post("/upload", files={"model": classifier(["a", "b"])})

    assert predicted.status_code == 200
    assert status == 200
    assert (refused.status_code, refused.json()["code"]) == (507, "storage_full")
    assert uploaded.status_code == 200, uploaded.text
    assert "Traceback" not in service.log


def _set_mode(folders: Sequence[Path], mode: int) -> None:
    for folder in folders:
        folder.chmod(mode)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MB."""
    disk = tmp_path / "disk"
    disk.mkdir()
    command = ("mount", "-t", "tmpfs", "-o", "size=16m", "tmpfs", str(disk))
    if os.geteuid() != 0 or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("a file system cannot be mounted here")
    yield disk
    subprocess.run(("umount", "-l", str(disk)), check=False)


def test_disk_that_is_full_later(small_disk: Path, cat: Path) -> None:
    """On a full disk predictions go on, the largest form too; `/readyz` says it, until there is room."""
    service = Service(small_disk / "data", workers=1)
    service.first = True
    with service:
        filler = small_disk / "filler"
        with contextlib.suppress(OSError), filler.open("wb", buffering=0) as file:
            while file.write(bytes(4096)):
                pass
        predicted = service.post("/predict", files=[("image", cat.read_bytes())] * 32)
        refused = service.post("/upload", files={"model": classifier(["a", "b"])})
        evaluated = service.post("/evaluate", files=images(cat))
        eventually(lambda: "No space" in service.get("/readyz").json()["degraded"].get("data", ""))
        filler.unlink()
        eventually(lambda: service.get("/readyz").json()["degraded"] == {})
        uploaded = service.post("/upload", files={"model": classifier(["a", "b"])})

    assert predicted.status_code == 200
    assert [(answer.status_code, answer.json()["code"]) for answer in (refused, evaluated)] == [
        (507, "storage_full")
    ] * 2
    assert uploaded.status_code == 200, uploaded.text
    assert "Traceback" not in service.log
