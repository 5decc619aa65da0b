"""The totals of a version add up, whatever its requests were."""

import prometheus_client
import pytest

from predictor.statistics import ModelMetrics, VersionStatistics, totals


@pytest.fixture
def registry() -> prometheus_client.CollectorRegistry:
    """Where what is counted is found."""
    return prometheus_client.CollectorRegistry()


def test_adds_up(registry: prometheus_client.CollectorRegistry) -> None:
    """Requests are hits or computed; phases belong to those that were computed; runs count images."""
    metrics = ModelMetrics(registry)
    spent = {"lookup": 0.5, "queue": 1.0, "decode": 2.0, "preprocess": 3.0, "infer": 4.0, "fetch": 9.0}
    metrics.count_inference("dogs", 2, "miss", 20.0, spent)
    metrics.count_inference("dogs", 2, "uncached", 12.0, spent)
    metrics.count_inference("dogs", 2, "hit", 0.25, None)
    metrics.count_inference("dogs", 2, "fail", 0.125, None)
    metrics.count_run("dogs", 2, 2, 3.0)
    metrics.count_run("dogs", 2, 1, 1.0)
    metrics.count_run("dogs", 3, 1, 1.0)

    found = totals(registry.collect())
    answer = found["dogs", "2"].to_json()

    assert found.keys() == {("dogs", "2"), ("dogs", "3")}
    assert (answer["inference_count"], answer["execution_count"]) == (3, 2)
    assert answer["last_inference"] > 1.7e12
    assert answer["inference_stats"] == {
        "success": {"count": 3, "ns": 32_250_000_000},
        "fail": {"count": 1, "ns": 125_000_000},
        "queue": {"count": 2, "ns": 2_000_000_000},
        "compute_input": {"count": 2, "ns": 10_000_000_000},
        "compute_infer": {"count": 2, "ns": 8_000_000_000},
        "compute_output": {"count": 2, "ns": 12_000_000_000},
        "cache_hit": {"count": 1, "ns": 250_000_000},
        "cache_miss": {"count": 1, "ns": 1_000_000_000},
    }
    assert [one["batch_size"] for one in answer["batch_stats"]] == [1, 2]


def test_nothing_yet() -> None:
    """A version that nobody asked has all fields, and every number is 0."""
    answer = VersionStatistics().to_json()

    assert all(one == {"count": 0, "ns": 0} for one in answer["inference_stats"].values())
    assert len(answer["inference_stats"]) == 8
    assert answer["last_inference"] == answer["inference_count"] == answer["execution_count"] == 0
