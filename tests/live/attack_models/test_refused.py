"""Models that must not be served are refused with a reason, and nobody who predicts meanwhile notices."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.live.models import checks, resident
from tests.live.service import Service
from tests.live.steady import steady
from tools import bad_models, external_models

pytestmark = pytest.mark.live
CANARY = "canary-0b5f5e9e7c"
HEADERS = {"Authorization": f"Bearer {CANARY}"}


@dataclass(frozen=True)
class Row:
    """What belongs together: its models, and a part of the sentence that each is refused with."""

    models: dict[str, bytes]
    words: str = "."


ROWS = {
    "M1": Row(
        {place: external_models.external_data(place) for place in external_models.LOCATIONS},
        "outside its file",
    ),
    "M2": Row({"constant": bad_models.huge_constant(), "filling": bad_models.huge_filling()}, "more memory"),
    "M3": Row(
        {"expand": bad_models.huge_at_run(), "matrices": bad_models.troubled("matrices")}, "more memory"
    ),
    "M4": Row({"loop": bad_models.troubled("loop"), "gated": bad_models.time_bomb("loop")}, "Loop"),
    "M6": Row({"trap": bad_models.troubled("crash")}, "crashed the runtime"),
    "M6 functions": Row(
        {"chain": bad_models.chained_functions(), "itself": bad_models.recursive_function()}, "function"
    ),
    "M8": Row(
        {
            "not finite": bad_models.not_finite(),
            "no image": bad_models.no_image(),
            "strings": bad_models.strings(),
            "labels": bad_models.wrong_labels(),
            "labels at run": bad_models.wrong_labels_at_run(),
            "one answer": bad_models.one_answer(),
            "many classes": bad_models.many_classes(),
            "failing": bad_models.failing(),
        }
    ),
    "M9": Row(
        {
            domain: bad_models.foreign_operator(domain, name)
            for domain, name in {
                "com.microsoft": "BeamSearch",
                "ai.onnx.contrib": "StringUpper",
                "com.microsoft.nchwc": "ReorderOutput",
                "com.ms.internal.nhwc": "Conv",
                "org.pytorch.aten": "ATen",
                "example.org": "EPContext",
            }.items()
        },
        "The model uses the operator",
    ),
    "M10": Row({"text": bad_models.TEXT, "truncated": bad_models.truncated(), "nothing": b""}, "ONNX"),
}


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service whose token, in its environment and in a file beside its uploads, nobody may see."""
    data = tmp_path_factory.mktemp("guarded") / "data"
    with Service(data, cache="off", admin_token=CANARY) as running:
        for name in ("weights.bin", "incoming/weights.bin"):
            (data / name).parent.mkdir(exist_ok=True)
            (data / name).write_text(CANARY)
        yield running


@pytest.mark.promise("M1", "M2", "M3", "M4", "M6", "M8", "M9", "M10")
@pytest.mark.parametrize("row", ROWS)
def test_refused(guarded: Service, cat: Path, row: str) -> None:
    """Each gets 422 and a sentence; the old model answers everybody, and no worker grows or ends."""
    expected, workers = ROWS[row], guarded.workers()
    memory = {worker: resident(worker) for worker in workers}

    with steady(guarded, cat, rate=8) as sent:
        for name, model in expected.models.items():
            answer = guarded.post("/upload", files={"model": (f"{name}.onnx", model)}, headers=HEADERS)

            problem = answer.json()
            assert (answer.status_code, problem["code"]) == (422, "invalid_model"), name
            assert expected.words in problem["detail"], name
            assert len(problem["detail"]) > 20, name
            assert CANARY not in answer.text
            assert "root:" not in answer.text
            assert str(guarded.data) not in answer.text
            assert checks(guarded) == []

    assert guarded.workers() == workers
    assert {request.status for request in sent} == {200}
    assert {request.label for request in sent} == {"tiger cat"}
    assert all(resident(worker) < memory[worker] + 32_000_000 for worker in workers)
    assert guarded.get("/models/default").json()["live"] == 1
