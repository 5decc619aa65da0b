"""A real Prometheus with the files of `deploy/` scrapes the service and answers the board's queries."""

import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.deploy.programs import ROOT, program
from tests.live.models import FIRST, SECOND, eventually, upload_as
from tests.live.service import Service, free_port
from tests.patience import PATIENCE

pytestmark = pytest.mark.live
DEPLOY = ROOT / "deploy"
BOARD = json.loads((DEPLOY / "grafana" / "board.json").read_text())
QUERIES = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
# What this service has not: a GPU, a store of models.
ELSEWHERE = re.compile("predictor_(device_|store_|machines)")
VARIABLES = {"$__rate_interval": "20s", "$instance": ".*", "$model": ".*"}


class Prometheus:
    """A running Prometheus that scrapes a service each second."""

    def __init__(self, folder: Path, service: Service) -> None:
        self.url = f"http://127.0.0.1:{free_port()}"
        shutil.copytree(DEPLOY / "prometheus", folder)
        file = folder / "prometheus.yml"
        text = file.read_text().replace("api:8080", service.url.removeprefix("http://"))
        file.write_text(text.replace(": 15s", ": 1s"))
        self._command = [
            program("prometheus"),
            f"--config.file={file}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address={self.url.removeprefix('http://')}",
        ]
        self._log = folder / "prometheus.log"

    def __enter__(self) -> "Prometheus":
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(self._command, stdout=log, stderr=log)
        return self

    def __exit__(self, *_: object) -> None:
        self._process.terminate()
        self._process.wait(PATIENCE)

    def get(self, path: str, **arguments: str) -> Any:
        """What it answers."""
        answer = requests.get(f"{self.url}/api/v1/{path}", params=arguments, timeout=PATIENCE)
        assert answer.json()["status"] == "success", answer.text
        return answer.json()["data"]

    def values(self, query: str) -> list[str]:
        """The values of a query at this moment that are numbers."""
        for name, value in VARIABLES.items():
            query = query.replace(name, value)
        found = [sample["value"][1] for sample in self.get("query", query=query)["result"]]
        return [value for value in found if value != "NaN"]


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory: pytest.TempPathFactory, cat: Path) -> Iterator[Prometheus]:
    """A Prometheus that has seen a service do everything."""
    folder = tmp_path_factory.mktemp("prometheus")
    with Service(folder / "data", workers=1) as service, Prometheus(folder / "etc", service) as running:
        assert upload_as(service, FIRST, "small").status_code == 200
        eventually(lambda: scraped(running))
        for number in range(8):
            service.post(f"/predict?top_k={number + 1}", data=cat.read_bytes())
            time.sleep(0.3)
        assert upload_as(service, SECOND, "small").status_code == 200
        yield running


def scraped(running: Prometheus) -> bool:
    """Whether the service was scraped."""
    try:
        return running.values('up{job="image-prediction-api"}') == ["1"]
    except requests.ConnectionError:
        return False


def test_board(prometheus: Prometheus) -> None:
    """Prometheus takes each query of the board, and answers all for which this service has data."""
    for query in QUERIES:
        prometheus.values(query)

    expected = [query for query in QUERIES if not ELSEWHERE.search(query)]
    eventually(lambda: all(prometheus.values(query) for query in expected))
    assert len(expected) > 15


def test_alerts(prometheus: Prometheus) -> None:
    """No alert comes for a service that is well."""
    eventually(lambda: prometheus.values("image_prediction:post_seconds:p99"))

    names = {rule["name"] for group in prometheus.get("rules")["groups"] for rule in group["rules"]}
    assert "ImagePredictionDown" in names
    assert prometheus.get("alerts")["alerts"] == []
