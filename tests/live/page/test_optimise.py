"""A person finds the page that makes a model faster, and is told what is missing."""

import hashlib
import io
import json
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from predictor.model.hardware import this_machine
from tests.live.page.conftest import PATIENCE_MS, follow, watch
from tests.live.service import Service
from tests.optimising.networks import images
from tools.sample_models import classifier

pytestmark = [pytest.mark.live, pytest.mark.browser]
LABELS = ("red", "green", "blue")


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service with a model beside which a faster form lies, as an optimisation leaves it."""
    with Service(tmp_path_factory.mktemp("optimise") / "data", workers=1) as running:
        files = {"model": ("m.onnx", classifier(LABELS))}
        running.post("/upload", files=files, data={"name": "colours"}).raise_for_status()
        keep(running.data / "models" / "colours" / "1", classifier(LABELS, seed=7))
        yield running


def keep(version: Path, form: bytes) -> None:
    """Lay a faster form beside a version, as an optimisation leaves it."""
    folder = version / "faster"
    folder.mkdir()
    (folder / "model.onnx").write_bytes(form)
    digest = f"sha256:{hashlib.sha256(form).hexdigest()}"
    (folder / "report.json").write_text(json.dumps({**report(), "digest": digest}))


def report() -> dict[str, object]:
    """What an optimisation found, of one form."""
    pace = {"rate": 160.0, "original_rate": 100.0, "ratio": 1.6, "p99_ms": 8.0, "original_p99_ms": 12.0}
    one = {
        "key": "int8",
        "what": ["Weights have 8 bits."],
        "bytes": 5e6,
        "memory_bytes": 4e7,
        "speed": {"alone": pace, "all_cores": pace, "cores": 2},
        "agreement": {"value": 0.99},
        "confidence": {"mean": 0.01, "largest": 0.1},
        "expected_loss": {"value": 0.0004, "high": 0.003},
        "objections": [],
        "recommended": True,
    }
    return {
        "images": 300,
        "calibration_images": 150,
        "judged_images": 150,
        "labelled": False,
        "max_loss": 0.005,
        "basis": "Recommended is what is faster.",
        "processor": this_machine().to_json(),
        "runtime": "ONNX Runtime",
        "original": {"bytes": 9e6, "memory_bytes": 8e7},
        "candidates": [one],
        "skipped": [],
        "recommended": "int8",
        "left_out": 0,
        "problems": [],
    }


@pytest.fixture
def page(browser_page: Page, own: Service) -> Iterator[Page]:
    """The page of the models; a complaint of the browser fails the test."""
    complaints = watch(browser_page)
    browser_page.goto(f"{own.url}/upload")
    yield browser_page
    assert complaints == []


def test_refusals(page: Page) -> None:
    """The link leads to the form; without images nothing is sent, and a damaged file is named."""
    follow(page, "Make it faster: colours", "/models/colours/optimise")
    expect(page.locator("h1")).to_have_text("Make colours faster")

    page.get_by_role("button", name="Make it faster").click()
    expect(page.locator("#outcome")).to_contain_text("Choose a ZIP file or a folder.")

    page.set_input_files("#archive", {"name": "a.zip", "mimeType": "application/zip", "buffer": b"PK"})
    page.get_by_role("button", name="Make it faster").click()
    expect(page.locator("#outcome")).to_contain_text("not a valid ZIP file")


def test_cancel(page: Page, own: Service) -> None:
    """What takes long tells its progress and can be cancelled."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as written:
        for picture in images(6):
            written.writestr(picture.name, picture.read())
    page.goto(f"{own.url}/models/colours/optimise")
    page.set_input_files(
        "#archive", {"name": "a.zip", "mimeType": "application/zip", "buffer": out.getvalue()}
    )

    page.get_by_role("button", name="Make it faster").click()
    expect(page.locator("#stage")).to_contain_text("runs", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Cancel").click()

    expect(page.locator("#progress")).to_be_hidden()


def test_proof(page: Page, own: Service) -> None:
    """A version that was made faster shows the proof beside its report."""
    own.post("/models/colours/optimise/publish").raise_for_status()
    page.reload()

    proof = page.locator("li.version", has_text="m-int8.onnx").locator("details.proof")
    proof.locator("summary", has_text="Made faster").click()

    expect(proof).to_contain_text("1.60 x")
    expect(proof).to_contain_text("99.0 %")
