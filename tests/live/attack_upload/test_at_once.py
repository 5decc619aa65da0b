"""Uploads that come at once are versions of their own, each with its own labels; equal ones are one."""

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import requests

from tests.live.models import label, labels
from tests.live.service import Service
from tools.sample_models import classifier

pytestmark = pytest.mark.live
AT_ONCE, ROUNDS = 8, 2


def send(service: Service, number: int) -> requests.Response:
    """Upload a model whose labels, in a file beside it, hold its number."""
    names = json.dumps([f"upload {number}", f"not {number}", "neither"])
    model = classifier(["one", "two", "three"], winner=number % 2, seed=number, metadata=False)
    preprocessing = json.dumps({"size": [32, 32], "scale": 1 / 255, "layout": "NCHW", "dtype": "float32"})
    files = {"model": model, "labels": names, "preprocessing": preprocessing}
    return service.post("/upload", files={field: (field, content) for field, content in files.items()})


@pytest.mark.promise("U4")
def test_many_at_once(fresh: Service, cat: Path) -> None:
    """Each is served or told to try again; no two get one number, and no model gets another one's labels."""
    served = dict[int, str]()
    for round_ in range(ROUNDS):
        numbers = range(AT_ONCE * round_, AT_ONCE * (round_ + 1))
        with ThreadPoolExecutor(AT_ONCE) as pool:
            answers = list(pool.map(lambda number: send(fresh, number), numbers))

        assert {answer.status_code for answer in answers} <= {200, 409}, [answer.text for answer in answers]
        versions = {
            answer.json()["version"]: f"{('upload', 'not')[number % 2]} {number}"
            for number, answer in zip(numbers, answers, strict=True)
            if answer.status_code == 200
        }
        assert len(versions) == sum(answer.status_code == 200 for answer in answers)
        assert min(versions) > max(served, default=1)
        served |= versions

    shown = fresh.get("/models/default").json()
    assert shown["live"] == max(served)
    uploads = [event["version"] for event in shown["history"]]
    assert uploads == sorted(served)
    assert labels(fresh, cat) == {served[max(served)]}
    kept = {version["version"] for version in shown["versions"]} - {1}
    assert len(kept) == 5
    assert {version: label(fresh, cat, f"?version={version}") for version in kept} == {
        version: served[version] for version in kept
    }


@pytest.mark.promise("U4")
def test_equal_at_once(fresh: Service, cat: Path) -> None:
    """Of equal uploads one is published; the others are told its number, or to try again."""
    with ThreadPoolExecutor(AT_ONCE) as pool:
        answers = list(pool.map(lambda _: send(fresh, 0), range(AT_ONCE)))

    assert {answer.status_code for answer in answers} <= {200, 409}, [answer.text for answer in answers]
    served = [answer.json() for answer in answers if answer.status_code == 200]
    assert {answer["version"] for answer in served} == {2}
    assert [answer["unchanged"] for answer in served].count(False) == 1
    assert send(fresh, 0).json()["unchanged"] is True
    assert [event["version"] for event in fresh.get("/models/default").json()["history"]] == [2]
    assert labels(fresh, cat) == {"upload 0"}
