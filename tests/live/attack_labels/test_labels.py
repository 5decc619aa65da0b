"""U9: labels that are made to hurt whoever reads them."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import requests

from tests.live.memory import growth
from tests.live.processor import spent
from tests.live.service import Service
from tools.bad_models import COLOURS, deep_labels
from tools.sample_models import classifier

pytestmark = pytest.mark.live
MB = 1_000_000
MODEL = classifier(COLOURS)
HOSTILE: dict[str, tuple[int, Callable[[], str]]] = {
    "lists in lists": (422, deep_labels),
    "objects in objects": (422, lambda: '{"a":' * 100_000 + "1" + "}" * 100_000),
    "a name twice": (422, lambda: '{"0": "a", "1": "b", "2": "c", "0": "d"}'),
    "an index twice": (422, lambda: '{"0": "a", "1": "b", "2": "c", "02": "d"}'),
    "a million entries": (422, lambda: json.dumps([0] * 1_000_000)),
    "a million names": (422, lambda: '["' + '","' * 999_999 + '"]'),
    "a million lists": (422, lambda: "[" + "[]," * 1_000_000 + "[]]"),
    "NaN": (422, lambda: '["a", "b", NaN]'),
    "infinity": (422, lambda: '{"a": 0, "b": 1, "c": 1e999}'),
    "a number of a million digits": (422, lambda: '{"a": 0, "b": 1, "c": ' + "1" * 1_000_000 + "}"),
    "a text of 3.9 MB": (422, lambda: json.dumps(["a", "b", "c" * 3_900_000])),
    "a text of 10 MB": (413, lambda: json.dumps(["a", "b", "c" * 10_000_000])),
    "half a character": (422, lambda: '["a", "b", "c\\ud800"]'),
    "text that turns around": (422, lambda: json.dumps(["a", "b", "c\u202egnp.exe"])),
    "text that turns others around": (422, lambda: json.dumps(["a", "b", "c\u2067"])),
    "control characters": (422, lambda: json.dumps(["a", "b", "c\x1b[2J\0"])),
    "a line of a million commas": (422, lambda: "," * 1_000_000),
    "quotes that do not end": (422, lambda: "{0: 'a', 1: 'b', 2: '" + "\\'" * 1_900_000),
    "YAML lists in lists": (422, lambda: "names:\n" + "- " * 1_900_000),
    "YAML that refers to itself": (422, lambda: "names: &a [b, c, *a]\n"),
    "YAML that grows": (422, lambda: "a: &a [x, x]\nb: &b [*a, *a]\nnames: [*b, *b, *b]\n"),
    "YAML that calls": (422, lambda: "names: !!python/object/apply:os.abort []\n"),
    "a million fields of YAML": (422, lambda: "names:\n" + "- a\n" * 970_000),
    "a million comments": (422, lambda: "#\n" * 1_900_000),
    "a label map that does not end": (422, lambda: "item {" + " name: 'a'" * 390_000),
    "bytes that are no text": (422, lambda: "a\nb\nc\udcff"),
}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service of two workers with a model of three classes."""
    with Service(tmp_path_factory.mktemp("labels") / "data") as running:
        assert upload(running, "red\ngreen\nblue\n").status_code == 200
        yield running


@pytest.fixture(scope="module")
def usual(service: Service) -> float:
    """What uploads with labels of no harm take at most, in seconds of a processor."""
    takes = list[float]()
    for _ in range(3):
        with spent(service.workers()) as processor:
            assert upload(service, "red\ngreen\nas usual\n").status_code == 200
        takes.append(processor.seconds)
    return max(takes)


def upload(service: Service, labels: str) -> requests.Response:
    """Upload the model with labels."""
    files = {"model": ("m.onnx", MODEL), "labels": ("l.json", labels.encode(errors="surrogateescape"))}
    return service.post("/upload", files=files)


@pytest.mark.promise("U9")
@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_labels(
    service: Service, usual: float, name: str, record_property: Callable[[str, object], None]
) -> None:
    """Refused in a sentence, without much work or memory, and with all workers as they were."""
    status, make = HOSTILE[name]
    labels, workers = make(), service.workers()
    live = service.get("/models/default").json()["live"]

    with growth(workers) as memory, spent(workers) as processor:
        answer = upload(service, labels)

    record_property("seconds", round(processor.seconds, 2))
    record_property("MB", round(memory.most / MB, 1))
    assert answer.status_code == status
    assert answer.json()["detail"].isprintable()
    assert "label" in answer.json()["detail"].lower()
    # What grows faster than the file takes a hundred times as long.
    assert processor.seconds < 5 * usual
    assert memory.most < 32 * MB
    assert service.workers() == workers
    assert service.get("/models/default").json()["live"] == live


@pytest.mark.promise("U9")
@pytest.mark.parametrize(
    "names",
    [
        ["חתול", "قطة", "猫"],
        ["קו\u200fa", "\u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645", "a\u200eb"],
        ["👩\u200d🚀", "e\u0301" * 50, "Z\u0351\u036b" * 40],
        ["<script>alert(1)</script>", "'\"&", "{{7*7}}"],
    ],
)
def test_labels_of_all_languages(service: Service, cat: Path, names: list[str]) -> None:
    """Names written from right to left, joined and marked ones, and markup are names like any other."""
    answer = upload(service, json.dumps(names))
    said = service.post("/predict", data=cat.read_bytes(), headers={"Content-Type": "image/jpeg"}).json()

    assert answer.status_code == 200
    assert said["predicted_label"] in names
