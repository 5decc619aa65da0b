"""Reference figures for the statistics of evaluations, from scipy, scikit-learn and statsmodels.

Run by hand, in an environment of its own that has these packages:

    python -m tools.make_statistics tests/data/statistics_reference.json

The cases are made up from seeds. The tests compute the same figures with the service's own code.
"""

import argparse
import json
import platform
from functools import partial
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

PACKAGES = ("numpy", "scipy", "scikit-learn", "statsmodels")
NETWORKS = {"overconfident": 2.5, "underconfident": 0.4, "slightly overconfident": 1.3}
"""What the scores of each network are multiplied with after its classes were drawn."""
MULTI_LABEL = (3.0, 0.5, 1.0)
"""The same for each class of a network with independent classes."""

Array = npt.NDArray[np.float64]


def network(factor: float, seed: int, images: int = 2000, classes: int = 10) -> tuple[Array, list[int]]:
    """Scores [images, classes], and classes that were drawn by the softmax of scores less a factor."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(0, 2, (images, classes))
    # The class with the highest score and Gumbel noise is drawn with the probability of the softmax.
    noisy = scores + generator.gumbel(size=scores.shape)
    return np.round(factor * scores, 6), noisy.argmax(axis=1).tolist()


def independent(factors: tuple[float, ...], seed: int, images: int = 3000) -> tuple[Array, npt.NDArray[Any]]:
    """Scores [images, classes] of a network with independent classes, and which classes apply."""
    generator = np.random.default_rng(seed)
    scores = generator.normal(-0.5, 2, (images, len(factors)))
    applies = generator.uniform(size=scores.shape) < 1 / (1 + np.exp(-scores))
    return np.round(scores * np.array(factors), 6), applies


def main() -> None:
    """Write the figures to a file."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=Path)
    out: Path = parser.parse_args().out
    figures = {
        "versions": {"python": platform.python_version()} | {name: version(name) for name in PACKAGES},
        "mcnemar": _mcnemar(),
        "wilson": _wilson(),
        "paired_interval": _paired(),
        "classification": [_classification(seed) for seed in range(3)],
        "multi_label": _multi_label(),
        "temperature": _temperatures(),
        "class_temperatures": _class_temperatures(),
    }
    lines = (f"{json.dumps(name)}: {json.dumps(value)}" for name, value in figures.items())
    out.write_text("{\n" + ",\n".join(lines) + "\n}\n")


def _mcnemar() -> list[dict[str, Any]]:
    test: Any = import_module("statsmodels.stats.contingency_tables")
    pairs = [(0, 0), (1, 0), (3, 9), (10, 12), (25, 40), (121, 59), (400, 401), (1000, 1200)]
    return [
        {"only_a": a, "only_b": b, "p": float(test.mcnemar([[5, a], [b, 7]], exact=True).pvalue)}
        for a, b in pairs
    ]


def _interval(hits: int, of: int) -> tuple[float, float]:
    proportion: Any = import_module("statsmodels.stats.proportion")
    low, high = proportion.proportion_confint(hits, of, alpha=0.05, method="wilson")
    return float(low), float(high)


def _wilson() -> list[dict[str, Any]]:
    cases = [(0, 7), (3, 7), (50, 50), (81, 263), (12_345, 50_000)]
    return [{"hits": hits, "of": of, "interval": _interval(hits, of)} for hits, of in cases]


def _paired() -> list[dict[str, Any]]:
    """The square-and-add interval of the intervals of statsmodels."""
    cases = [(40, 5, 3, 2), (36, 12, 2, 0), (1, 1, 7, 12), (900, 40, 20, 40), (20, 0, 0, 0), (3, 9, 1, 2)]
    return [{"counts": counts, "interval": _square_and_add(*counts)} for counts in cases]


def _square_and_add(both: int, only_a: int, only_b: int, neither: int) -> tuple[float, float]:
    n = both + only_a + only_b + neither
    a, b = both + only_a, both + only_b
    (a_low, a_high), (b_low, b_high) = _interval(a, n), _interval(b, n)
    sides = a * (n - a) * b * (n - b)
    excess: float = both * neither - only_a * only_b
    excess = max(excess - n / 2, 0.0) if excess > 0 else excess
    phi = excess / np.sqrt(float(sides)) if sides else 0.0
    down = (a / n - a_low, b_high - b / n)
    up = (a_high - a / n, b / n - b_low)
    size = [np.sqrt(x**2 - 2 * phi * x * y + y**2) for x, y in (down, up)]
    return float((a - b) / n - size[0]), float((a - b) / n + size[1])


def _classification(seed: int) -> dict[str, Any]:
    metrics: Any = import_module("sklearn.metrics")
    generator = np.random.default_rng(seed)
    truth = generator.integers(0, 6, 200)
    wrong = generator.uniform(size=200) < 0.3
    predicted = np.where(wrong, generator.integers(0, 7, 200), truth)
    labels = sorted({*truth.tolist(), *predicted.tolist()})
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        truth, predicted, labels=labels, zero_division=0
    )
    return {
        "truth": truth.tolist(),
        "predicted": predicted.tolist(),
        "labels": labels,
        "matrix": metrics.confusion_matrix(truth, predicted, labels=labels).tolist(),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
        "support": support.tolist(),
        "macro_f1": float(metrics.f1_score(truth, predicted, average="macro")),
        "weighted_f1": float(metrics.f1_score(truth, predicted, average="weighted")),
    }


def _multi_label() -> dict[str, Any]:
    metrics: Any = import_module("sklearn.metrics")
    generator = np.random.default_rng(5)
    truth = generator.uniform(size=(60, 4)) < 0.4
    predicted = truth ^ (generator.uniform(size=truth.shape) < 0.2)
    precision, recall, f1, _ = metrics.precision_recall_fscore_support(truth, predicted, zero_division=0)
    return {
        "truth": truth.astype(int).tolist(),
        "predicted": predicted.astype(int).tolist(),
        "precision": precision.tolist(),
        "recall": recall.tolist(),
        "f1": f1.tolist(),
    }


def _optimum(loss: Any) -> float:
    optimize: Any = import_module("scipy.optimize")
    found = optimize.minimize_scalar(loss, bounds=(0.05, 20.0), method="bounded", options={"xatol": 1e-9})
    return float(found.x)


def _temperatures() -> list[dict[str, Any]]:
    special: Any = import_module("scipy.special")
    cases = []
    for seed, (name, factor) in enumerate(NETWORKS.items()):
        scores, truth = network(factor, seed)
        loss = partial(_loss, special, scores, truth)
        cases.append({"name": name, "factor": factor, "seed": seed, "temperature": _optimum(loss)})
    return cases


def _loss(special: Any, scores: Array, truth: list[int], temperature: float) -> float:
    """The mean negative logarithm of the likelihood of the right classes."""
    return float(-special.log_softmax(scores / temperature, axis=1)[np.arange(len(truth)), truth].mean())


def _class_temperatures() -> dict[str, Any]:
    special: Any = import_module("scipy.special")
    scores, applies = independent(MULTI_LABEL, 7)
    found = []
    for column in range(len(MULTI_LABEL)):
        signed = np.where(applies[:, column], scores[:, column], -scores[:, column])
        found.append(_optimum(lambda t, signed=signed: float(-special.log_expit(signed / t).mean())))
    return {"factors": MULTI_LABEL, "seed": 7, "temperatures": found}


if __name__ == "__main__":
    main()
