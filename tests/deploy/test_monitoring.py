"""Rules, alerts and the board are valid, and read metrics that the service has."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from prometheus_client import CollectorRegistry

from predictor.cluster.membership import METRICS as CLUSTER_METRICS
from predictor.metrics import Metrics
from tests.deploy.programs import ROOT, program, run

FOLDER = ROOT / "deploy" / "prometheus"
RULES = [
    rule for group in yaml.safe_load((FOLDER / "rules.yml").read_text())["groups"] for rule in group["rules"]
]
ALERTS = {rule["alert"] for rule in RULES if "alert" in rule}
BOARD: dict[str, Any] = json.loads((ROOT / "deploy" / "grafana" / "board.json").read_text())
EXPRESSIONS = [target["expr"] for panel in BOARD["panels"] for target in panel["targets"]]
DOCUMENTS = "".join(path.read_text() for path in (ROOT / "docs").glob("*.md"))


@pytest.mark.parametrize("what", [("config", "prometheus.yml"), ("rules", "rules.yml")])
def test_files(what: tuple[str, str]) -> None:
    """Prometheus reads its configuration and its rules."""
    assert "SUCCESS" in run(program("promtool"), "check", what[0], what[1], folder=FOLDER)


def test_file_for_kubernetes(tmp_path: Path) -> None:
    """So it reads that for Kubernetes, of whose discovery Debian's build knows nothing."""
    discovery = "    kubernetes_sd_configs:\n      - role: pod\n"
    text = (FOLDER / "kubernetes.yml").read_text()
    assert text.count(discovery) == 1
    (tmp_path / "pods.yml").write_text(text.replace(discovery, "    static_configs: [{targets: [pod]}]\n"))
    (tmp_path / "rules.yml").write_text((FOLDER / "rules.yml").read_text())

    assert "SUCCESS" in run(program("promtool"), "check", "config", "pods.yml", folder=tmp_path)


def test_job() -> None:
    """Each configuration has the job that the rules ask for."""
    asked = {name for rule in RULES for name in re.findall(r'job="([^"]+)"', rule["expr"])}
    named = {
        job["job_name"]
        for path in (FOLDER / "prometheus.yml", FOLDER / "kubernetes.yml")
        for job in yaml.safe_load(path.read_text())["scrape_configs"]
    }

    assert named == asked


def test_pods() -> None:
    """The discovery in Kubernetes keeps the port of the service's pods."""
    jobs = yaml.safe_load((FOLDER / "kubernetes.yml").read_text())["scrape_configs"]
    pods = yaml.safe_load((ROOT / "deploy" / "kubernetes" / "base" / "deployment.yaml").read_text())
    template = pods["spec"]["template"]
    (port,) = template["spec"]["containers"][0]["ports"]

    kept = template["metadata"]["labels"]["app.kubernetes.io/name"] + ";" + port["name"]
    assert kept == jobs[0]["relabel_configs"][0]["regex"]


def test_rules() -> None:
    """The cases of the rules hold."""
    assert "SUCCESS" in run(program("promtool"), "test", "rules", "rules_test.yml", folder=FOLDER)


def test_each_alert() -> None:
    """Each alert has a case in which it comes and one in which it does not, and a line in the guide."""
    cases = [
        case
        for test in yaml.safe_load((FOLDER / "rules_test.yml").read_text())["tests"]
        for case in test["alert_rule_test"]
    ]
    rows = set(re.findall(r"^\| `(ImagePrediction\w+)` \|", DOCUMENTS, re.MULTILINE))

    assert {case["alertname"] for case in cases if case["exp_alerts"]} == ALERTS
    assert {case["alertname"] for case in cases if not case["exp_alerts"]} == ALERTS
    assert rows == ALERTS


def test_first_event() -> None:
    """What an alert awaits an increase of stands at 0 beforehand: Prometheus sees none in a new series."""
    registry = CollectorRegistry()
    Metrics(registry)
    awaited = [
        (name, label, value)
        for rule in RULES
        for name, label, values in re.findall(
            r'(?:rate|increase)\((predictor_\w+){(\w+)=~?"([^"]+)"}', rule["expr"]
        )
        for value in values.split("|")
    ]

    assert {name for name, _, _ in awaited} == {
        "predictor_cache_requests_total",
        "predictor_model_swaps_total",
    }
    assert [one for one in awaited if registry.get_sample_value(one[0], {one[1]: one[2]}) != 0] == []


def test_metrics() -> None:
    """Rules and board name only metrics that stand in the guides."""
    used = {
        re.sub(r"_(bucket|sum|count)$", "", name)
        for text in (*EXPRESSIONS, *(rule["expr"] for rule in RULES))
        for name in re.findall(r"\b(?:http|predictor)_\w+", text)
    }

    assert len(used) > 10
    assert [name for name in used if f"`{name}`" not in DOCUMENTS] == []


def test_machines_on_the_board() -> None:
    """The board shows each gauge of several machines."""
    assert [name for name in CLUSTER_METRICS if name not in "".join(EXPRESSIONS)] == []


def test_board() -> None:
    """The panels have numbers of their own, lie beside each other, and take the chosen data source."""
    panels = BOARD["panels"]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]

    assert len({panel["id"] for panel in panels}) == len(panels) > 10
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) == 23
    sources = {panel["datasource"]["uid"] for panel in panels}
    assert sources == {"${datasource}"}
    variables = {one["name"] for one in BOARD["templating"]["list"]}
    assert {name for text in EXPRESSIONS for name in re.findall(r"\$(\w+)", text)} <= variables | {
        "__rate_interval"
    }
