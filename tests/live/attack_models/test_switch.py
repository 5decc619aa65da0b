"""Models are switched under load: no request fails, none gets an older model, and memory stays."""

import http.client
import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import requests

from tests.live.load import Sent
from tests.live.models import FIRST, JPEG, SECOND, labels, resident, upload, upload_as
from tests.live.service import Service
from tests.live.steady import steady
from tests.patience import PATIENCE
from tools.sample_models import classifier

pytestmark = pytest.mark.live
UPLOADS, ACTIVATIONS, DELETIONS = 6, 14, 3
LARGE_MB = 20


@pytest.fixture
def four(tmp_path: Path) -> Iterator[Service]:
    """A service with four workers."""
    with Service(tmp_path / "data", cache="off", workers=4) as running:
        yield running


@contextmanager
def pairs(service: Service, cat: Path) -> Iterator[set[tuple[int, str]]]:
    """The version and the label of every answer that one caller gets as long as the block lasts."""
    seen, ended = set[tuple[int, str]](), threading.Event()

    def ask() -> None:
        while not ended.wait(0.02):
            connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=PATIENCE)
            connection.request("POST", "/predict", cat.read_bytes(), JPEG)
            answer = json.loads(connection.getresponse().read())
            connection.close()
            seen.add((answer["model"]["version"], answer["predicted_label"]))

    asker = threading.Thread(target=ask)
    asker.start()
    try:
        yield seen
    finally:
        ended.set()
        asker.join(PATIENCE)


def possible(request: Sent, done: list[tuple[float, str]]) -> set[str]:
    """What may answer: the model whose change was answered last before the request, or the next one."""
    before = [name for moment, name in done if moment <= request.sent]
    after = [name for moment, name in done if moment > request.sent][:1]
    return {*(before[-1:] or ["tiger cat"]), *after}


@pytest.mark.promise("M12", "O3")
def test_switch_under_load(four: Service, cat: Path) -> None:
    """Twenty switches under load: no request fails, and none sent after an answer gets an older model."""
    done: list[tuple[float, str]] = []
    names = {1: "tiger cat"}
    with pairs(four, cat) as seen, steady(four, cat, rate=20) as sent:
        time.sleep(1)
        for number in range(UPLOADS):
            model, name = ((FIRST, "first"), (SECOND, "second"))[number % 2]
            answer = upload(four, model)
            assert answer.status_code == 200, answer.text
            done.append((time.time(), name))
            names[answer.json()["version"]] = name
        for number in range(ACTIVATIONS):
            version = (UPLOADS, UPLOADS + 1)[number % 2]
            answer = four.post("/models/default/activate", json={"version": version})
            assert answer.status_code == 200, answer.text
            done.append((time.time(), names[version]))
        time.sleep(0.5)

    assert len(sent) > 60
    assert [request for request in sent if request.status != 200] == []
    assert [request for request in sent if request.label not in possible(request, done)] == []
    assert {request.label for request in sent} >= {"first", "second"}
    assert seen <= set(names.items())
    assert labels(four, cat) == {done[-1][1]}


@pytest.mark.promise("O3")
def test_cached_answers(tmp_path: Path, cat: Path, picture_url: str) -> None:
    """An answer of the cache is never that of another model, neither for an image nor for an address."""

    def ask(service: Service) -> tuple[set[str], set[bool]]:
        """The labels of a hundred answers for the image and for its address, and which were cached."""
        answers = [
            answer.json()
            for _ in range(100)
            for answer in (
                service.post("/predict", data=cat.read_bytes(), headers=JPEG),
                service.post("/predict", json={"image_url": picture_url}),
            )
        ]
        return {one["predicted_label"] for one in answers}, {one["cached"] for one in answers[2:]}

    with Service(tmp_path / "data", fetch_allow="127.0.0.1") as service:
        before = ask(service)
        assert upload(service, FIRST).status_code == 200
        after = ask(service)
        assert service.post("/models/default/rollback").status_code == 200
        again = ask(service)

    assert (before, after, again) == (({"tiger cat"}, {True}), ({"first"}, {True}), ({"tiger cat"}, {True}))


class Asker(threading.Thread):
    """Asks for a model again and again, on a new connection each time.

    Attributes:
        answers: when each request was sent and when it was answered, its status, and the label or code.
    """

    def __init__(self, service: Service, cat: Path, query: str) -> None:
        super().__init__(daemon=True)
        self._service = service
        self._picture = cat.read_bytes()
        self._query = query
        self.ended = threading.Event()
        self.answers: list[tuple[float, float, int, str]] = []

    def run(self) -> None:
        """Ask until told to end."""
        while not self.ended.wait(0.01):
            sent = time.time()
            answer = self._service.post(f"/predict?{self._query}", data=self._picture, headers=JPEG)
            said = answer.json()
            self.answers.append(
                (sent, time.time(), answer.status_code, said.get("predicted_label", said.get("code")))
            )


@pytest.mark.promise("M12")
def test_delete_under_load(four: Service, cat: Path) -> None:
    """A name is deleted under load: its model answers until then, and `model_not_found` from then on."""
    gone = (404, "model_not_found")
    for _ in range(DELETIONS):
        for model in (SECOND, FIRST):
            assert upload_as(four, model, "dogs").status_code == 200
        dogs = [Asker(four, cat, query) for query in 2 * ("model=dogs", "model=dogs&version=1")]
        default = Asker(four, cat, "top_k=1")
        for asker in (*dogs, default):
            asker.start()
        time.sleep(1)

        sent = time.time()
        answer = requests.delete(f"{four.url}/models/dogs", timeout=PATIENCE)
        done = time.time()
        time.sleep(0.5)
        for asker in (*dogs, default):
            asker.ended.set()
            asker.join(PATIENCE)

        assert answer.json() == {"status": "success", "name": "dogs", "versions": [1, 2]}
        for asker, expected in zip(dogs, 2 * [(200, "first"), (200, "second")], strict=True):
            before = {tuple(rest) for _, end, *rest in asker.answers if end < sent}
            after = {tuple(rest) for start, _, *rest in asker.answers if start > done}
            assert (before, after) == ({expected}, {gone})
            assert {tuple(rest) for _, _, *rest in asker.answers} == {expected, gone}
        assert {tuple(rest) for _, _, *rest in default.answers} == {(200, "tiger cat")}
        metrics = [four.get("/metrics").text for _ in range(8)]
        assert [text.count("predictor_model_live{") for text in metrics] == [1] * 8
    assert not (four.data / "models" / "dogs").exists()


@pytest.mark.promise("M13")
def test_memory(fresh: Service, cat: Path) -> None:
    """Many switches between two large models take no more memory than a few."""
    for seed in (1, 2):
        large = classifier(["one", "other"], winner=0, seed=seed, padding_mb=LARGE_MB)
        assert upload(fresh, large).status_code == 200

    after = list[int]()
    for number in range(24):
        answer = fresh.post("/models/default/activate", json={"version": 2 + number % 2})
        assert answer.status_code == 200, answer.text
        assert labels(fresh, cat, times=4) == {"one"}
        if number in {7, 23}:
            # Longer than a worker takes to give back what a switch has freed.
            time.sleep(2)
            after.append(max(resident(worker) for worker in fresh.workers()))

    assert after[1] < 1.1 * after[0]
