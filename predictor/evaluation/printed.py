"""A report -> the lines that the command line prints."""

from collections.abc import Iterator, Mapping
from typing import Any

MAX_ROWS = 10
"""Rows of a list that are printed."""


def evaluation(report: Mapping[str, Any]) -> Iterator[str]:
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


def ranking(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a ranking of preprocessings."""
    yield report["basis"]
    for one in report["candidates"]:
        marks = " (current)" * one["current"] + " (tied)" * one.get("tied", False)
        figure = f"{one['confidence']:6.1%} mean confidence"
        if report["labelled"]:
            share = one["top1"]
            figure = f"{share['value']:6.1%} ({share['low']:.1%} to {share['high']:.1%})"
        yield f"{figure}  {one['values']}; {one['geometry']}{marks}"


def problems(report: Mapping[str, Any]) -> Iterator[str]:
    """What was left out of either, and why."""
    if report["left_out"]:
        yield f"{report['left_out']} images left out:"
    for one in report["problems"][:MAX_ROWS]:
        yield f"  {one['file']}: {one['problem']}"
