"""Labelled images, classified -> a report: as JSON, as an HTML page, and as lines for a terminal."""

import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import jinja2

from predictor.archives import shown
from predictor.config import shipped
from predictor.errors import InvalidRequest
from predictor.evaluation.images import Picture
from predictor.evaluation.measures import Share, calibration, histogram, milliseconds
from predictor.evaluation.runner import TOP, Answer, Classify, ImageResult, Progress, classify_all
from predictor.evaluation.tables import Classes

_MAX_PAIRS = 50
_MAX_PROBLEMS = 100


def evaluation(found: Sequence[ImageResult], classes: Classes, seconds: float) -> dict[str, Any]:
    """Accuracy, confusions, calibration and latency as JSON.

    Args:
        found: what came of each image.
        classes: the model's classes.
        seconds: that all of it took.

    Raises:
        InvalidRequest: no image has both a known class and an answer.
    """
    labelled = [(one.truth, one.answer) for one in found if one.truth is not None and one.answer is not None]
    if not labelled:
        raise InvalidRequest(_nothing(found))
    hits = [answer.ranked[0][0] == truth for truth, answer in labelled]
    error, bins = calibration([answer.ranked[0][1] for _, answer in labelled], hits)
    times = [one.answer.seconds for one in found if one.answer is not None]
    problems = [{"file": one.name, "problem": one.problem} for one in found if one.problem]
    return {
        "pictures": len(labelled),
        "top1": Share(sum(hits), len(hits)).to_json(),
        "top5": Share(sum(map(_among, labelled)), len(labelled)).to_json(),
        "classes": _by_class(labelled, classes),
        "confusions": _confusions(labelled, classes),
        "calibration": {"error": error, "bins": bins},
        "latency": {
            **milliseconds(times),
            "histogram": histogram(times),
            "pictures_per_second": len(times) / seconds,
        },
        "left_out": len(found) - len(labelled),
        "problems": problems[:_MAX_PROBLEMS],
    }


def _nothing(found: Sequence[ImageResult]) -> str:
    first = next((one for one in found if one.problem), None)
    if first is None:
        return "No image could be evaluated. The images have no labels."
    if len(found) == 1:
        return f"The file could not be evaluated. {shown(first.name)}: {first.problem}"
    count = f"None of the {len(found)} files could be evaluated."
    return f"{count} The first is {shown(first.name)}: {first.problem}"


def _among(one: tuple[int, Answer]) -> bool:
    """Whether the truth is among the five most confident classes."""
    truth, answer = one
    return truth in [index for index, _ in answer.ranked[:TOP]]


def _by_class(labelled: Sequence[tuple[int, Answer]], classes: Classes) -> list[dict[str, Any]]:
    """Accuracy of each class that has images, the worst first."""
    grouped: defaultdict[int, list[tuple[int, Answer]]] = defaultdict(list)
    for truth, answer in labelled:
        grouped[truth].append((truth, answer))
    rows = [
        {
            **named(index, classes),
            "pictures": len(group),
            "top1": sum(answer.ranked[0][0] == truth for truth, answer in group) / len(group),
            "top5": sum(map(_among, group)) / len(group),
        }
        for index, group in grouped.items()
    ]
    return sorted(rows, key=lambda row: (row["top1"], -row["pictures"], row["index"]))


def _confusions(labelled: Sequence[tuple[int, Answer]], classes: Classes) -> list[dict[str, Any]]:
    """What is taken for what, the most frequent first."""
    pairs = Counter(
        (truth, answer.ranked[0][0]) for truth, answer in labelled if answer.ranked[0][0] != truth
    )
    return [
        {"truth": named(truth, classes), "predicted": named(predicted, classes), "pictures": count}
        for (truth, predicted), count in sorted(pairs.items(), key=lambda one: (-one[1], one[0]))[:_MAX_PAIRS]
    ]


def named(index: int, classes: Classes) -> dict[str, Any]:
    """A class as the API names it."""
    return {"index": index, "label": classes.labels[index].name}


_STYLES = ("app.css", "report.css")


def html_page(report: dict[str, Any], *, about: str) -> str:
    """The page of an evaluation or of a ranking.

    Args:
        report: what `report.evaluation` or `Tuner.tune` gave.
        about: which model and which images, in a few words.
    """
    template = _templates().get_template("report_page.html")
    style = "\n".join((shipped("static") / name).read_text() for name in _STYLES)
    return template.render(report=report, about=about, style=style)


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(shipped("templates"))
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)


MAX_ROWS = 10
"""Rows of a list that are printed."""


def evaluation_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines of an evaluation."""
    for name in ("top1", "top5"):
        share = report[name]
        yield (
            f"{name.replace('p', 'p-'):18} {share['value']:7.1%}  {share['hits']} of {share['of']}, "
            f"95 % confidence interval {share['low']:.1%} to {share['high']:.1%}"
        )
    latency = report["latency"]
    yield f"{'calibration error':18} {report['calibration']['error']:7.3f}"
    yield (
        f"{'latency of an image':18} p50 {latency['p50']:.1f} ms, p90 {latency['p90']:.1f}, "
        f"p99 {latency['p99']:.1f}; {latency['pictures_per_second']:.1f} images per second"
    )
    for pair in report["confusions"][:MAX_ROWS]:
        yield f"{pair['pictures']:6} x {pair['truth']['label']} predicted as {pair['predicted']['label']}"


def ranking_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a ranking of preprocessings."""
    yield report["basis"]
    for one in report["candidates"]:
        marks = " (current)" * one["current"] + " (tied)" * one.get("tied", False)
        figure = f"{one['confidence']:6.1%} mean confidence"
        if report["labelled"]:
            share = one["top1"]
            figure = f"{share['value']:6.1%} ({share['low']:.1%} to {share['high']:.1%})"
        yield f"{figure}  {one['values']}; {one['geometry']}{marks}"


def problem_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """What was left out of either, and why."""
    if report["left_out"]:
        yield f"{report['left_out']} images left out:"
    for one in report["problems"][:MAX_ROWS]:
        yield f"  {one['file']}: {one['problem']}"


def evaluate(
    pictures: Sequence[Picture], classes: Classes, classify: Classify, threads: int
) -> Iterator[Progress | dict[str, Any]]:
    """Classify labelled images.

    Args:
        pictures: at least one.
        classes: the model's classes.
        classify: classifies one; called from several threads.
        threads: images that are worked on at a time.

    Yields:
        The progress, and at last the report as JSON.

    Raises:
        InvalidRequest: no image has both a known class and an answer.
    """
    start = time.perf_counter()
    found: list[ImageResult] = []
    for one in classify_all(pictures, classes, classify, threads):
        found.append(one)
        yield Progress(len(found), len(pictures))
    yield evaluation(found, classes, time.perf_counter() - start)
