"""A report of an optimisation as lines for a terminal."""

from collections.abc import Iterator, Mapping
from typing import Any

_HEADING = ("form", "alone", "all cores", "p99 ms", "memory", "file", "agrees", "expected loss")
_WIDTHS = (18, 16, 16, 8, 10, 10, 8, 24)


def lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The basis, a row for the original and for each candidate, and why others are not recommended."""
    yield report["basis"]
    yield (
        f"{report['calibration_images']} images showed the ranges of numbers, {report['judged_images']} "
        f"others judged; {report['processor']['name']}, {report['runtime']}."
    )
    yield _row(_HEADING)
    for place, one in enumerate(report["candidates"]):
        if place == 0:
            yield _row(_original(report["original"], one["speed"]))
        yield _row(_candidate(one))
    for one in report["candidates"]:
        yield from (f"{one['key']}: {sentence}" for sentence in one["objections"])
    yield from (f"Not made: {sentence}" for sentence in report["skipped"])
    if report["recommended"] is None:
        yield "Nothing is recommended."
    else:
        yield f"Recommended: {report['recommended']}."


def _original(original: Mapping[str, Any], speed: Mapping[str, Any]) -> tuple[str, ...]:
    alone, together = speed["alone"], speed["all_cores"]
    return (
        "original",
        f"{alone['original_rate']:.1f}/s",
        f"{together['original_rate']:.1f}/s",
        f"{alone['original_p99_ms']:.1f}",
        _megabytes(original["memory_bytes"]),
        _megabytes(original["bytes"]),
        "",
        _alone(original),
    )


def _candidate(one: Mapping[str, Any]) -> tuple[str, ...]:
    alone, together = one["speed"]["alone"], one["speed"]["all_cores"]
    loss = f"{one['expected_loss']['value']:.2%}, up to {one['expected_loss']['high']:.2%}"
    return (
        one["key"],
        f"{alone['rate']:.1f}/s {alone['ratio']:.2f}x",
        f"{together['rate']:.1f}/s {together['ratio']:.2f}x",
        f"{alone['p99_ms']:.1f}",
        _megabytes(one["memory_bytes"]),
        _megabytes(one["bytes"]),
        f"{one['agreement']['value']:.1%}",
        " ".join(filter(None, (loss, _alone(one)))),
    )


def _alone(one: Mapping[str, Any]) -> str:
    """What is known of one form alone: its accuracy, and how many images get no class."""
    names = {"top1": "top-1", "exact": "all classes right", "abstained": "abstains"}
    return ", ".join(f"{said} {one[name]['value']:.1%}" for name, said in names.items() if name in one)


def _megabytes(size: float) -> str:
    return f"{size / 1e6:.1f} MB"


def _row(cells: tuple[str, ...]) -> str:
    return " ".join(cell.ljust(width) for cell, width in zip(cells, _WIDTHS, strict=True)).rstrip()
