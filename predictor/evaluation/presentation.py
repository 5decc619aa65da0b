"""Reports of evaluations, rankings and comparisons: as an HTML page, as lines for a terminal, and as CSV."""

import csv
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from typing import Any

import jinja2

from predictor.config import shipped

# What a spreadsheet would take for a formula.
_FORMULA = re.compile(r"^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]")

_STYLES = ("app.css", "report.css")
# The lists of classes that are wrong about an image of independent classes.
_FAULTS = ("missed", "extra")


def html_page(report: Mapping[str, Any], *, about: str) -> str:
    """The page of an evaluation or of a ranking.

    Args:
        report: of an evaluation, a ranking or a comparison.
        about: which model and which images, in a few words.
    """
    template = _templates().get_template("report_page.html")
    style = "\n".join((shipped("static") / name).read_text(encoding="utf-8") for name in _STYLES)
    return template.render(report=report, about=about, style=style)


@cache
def _templates() -> jinja2.Environment:
    loader = jinja2.FileSystemLoader(shipped("templates"))
    return jinja2.Environment(loader=loader, autoescape=True, undefined=jinja2.StrictUndefined)


MAX_ROWS = 10
"""Rows of a list that are printed."""


def evaluation_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines of an evaluation."""
    if whence := report.get("labels_from"):
        yield f"{'labels':18} taken from {whence}"
    accuracy = [("all classes right", report["accuracy"])] if report["matrix"] is None else []
    for name, share in (*accuracy, ("top-1", report["top1"]), ("top-5", report["top5"])):
        yield (
            f"{name:18} {share['value']:7.1%}  {share['hits']} of {share['of']}, "
            f"95 % confidence interval {share['low']:.1%} to {share['high']:.1%}"
        )
    latency, f1 = report["latency"], report["f1"]
    yield f"{'F1':18} {f1['macro']:7.3f}  mean of the classes; weighted by images {f1['weighted']:.3f}"
    yield f"{'calibration error':18} {report['calibration']['error']:7.3f}"
    yield from _fit_lines(report["calibration"].get("fit"))
    yield (
        f"{'latency of an image':18} p50 {latency['p50']:.1f} ms, p90 {latency['p90']:.1f}, "
        f"p99 {latency['p99']:.1f}; {latency['pictures_per_second']:.1f} images per second"
    )
    for pair in report["confusions"][:MAX_ROWS]:
        yield f"{pair['pictures']:6} x {pair['truth']['label']} predicted as {pair['predicted']['label']}"
    yield from _image_lines(report["images"])


def _fit_lines(fit: Mapping[str, Any] | None) -> Iterator[str]:
    """What a fitted calibration would change."""
    if fit is None:
        return
    if "problem" in fit:
        yield f"{'temperature':18}         {fit['problem']}"
        return
    found = fit["calibration"]
    values = found.get("temperatures") or [found["temperature"]]
    words = f"{values[0]:7.3f}" if len(values) == 1 else f"{min(values):.3f} to {max(values):.3f} by class"
    yield (
        f"{'temperature':18} {words}  calibration error {fit['before']['error']:.3f} before, "
        f"{fit['after']['error']:.3f} after, on {fit['tested_on']} images that it was not fitted on"
    )
    if reached := fit.get("precision"):
        share = "no answer" if reached["reached"] is None else f"{reached['reached']:.1%}"
        yield f"{'thresholds':18} for a precision of {reached['wished']:.1%}: {share} on the same images"


def _image_lines(images: list[dict[str, Any]]) -> Iterator[str]:
    bad = [one for one in images if one["outcome"] != "right"]
    if bad:
        wrong = sum(one["outcome"] == "wrong" for one in bad)
        yield f"{'1 image is' if wrong == 1 else f'{wrong} images are'} wrong and {len(bad) - wrong} unsure:"
    for one in bad[:MAX_ROWS]:
        yield f"  {one['file']}: {_fault(one)}"
    if len(bad) > MAX_ROWS:
        yield f"  and {len(bad) - MAX_ROWS} more; --csv writes all of them"


def _fault(image: Mapping[str, Any]) -> str:
    """What is wrong or unsure about an image."""
    if "missed" not in image:
        said = f"{image['predicted']['label']} with {image['confidence']:.1%}"
        return f"{image['truth']['label']} predicted as {said}"
    faults = {name: ", ".join(one["label"] for one in image[name]) for name in _FAULTS}
    return "; ".join(f"{name} {labels}" for name, labels in faults.items() if labels)


CSV_FIELDS = ("file", "truth", "truth_index", "predicted", "predicted_index", "confidence", "outcome")


def csv_text(images: list[dict[str, Any]]) -> str:
    """All images of an evaluation as CSV: a line each, those that are wrong first.

    Of independent classes it has those, too, that were missed or are extra, with `|` between them.
    """
    out, more = io.StringIO(), [name for name in _FAULTS if name in images[0]]
    rows = csv.writer(out)
    rows.writerow((*CSV_FIELDS, *more))
    for one in images:
        truth, predicted = one["truth"] or {"label": "", "index": ""}, one["predicted"]
        said = (_cell(truth["label"]), truth["index"], _cell(predicted["label"]), predicted["index"])
        faults = [_cell("|".join(of["label"] for of in one[name])) for name in more]
        rows.writerow((_cell(one["file"]), *said, one["confidence"], one["outcome"], *faults))
    return out.getvalue()


def _cell(text: str) -> str:
    """A text that no spreadsheet takes for a formula."""
    return f"'{text}" if _FORMULA.match(text) else text


def comparison_lines(report: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a comparison."""
    for place, which in enumerate(("model", "other")):
        one, share, latency = report[which], report["accuracy"][place], report["latency"][place]
        version = "" if one["version"] is None else f" version {one['version']}"
        interval = f"{share['low']:.1%} to {share['high']:.1%}"
        kind = "top-1" if share == report["top1"][place] else "all classes right"
        yield f"{one['name']}{version}: {kind} {share['value']:.1%} ({interval}), p50 {latency['p50']:.1f} ms"
    difference = report["difference"]
    yield (
        f"{'difference':18} {difference['value']:+.1%}, 95 % confidence interval {difference['low']:+.1%} to "
        f"{difference['high']:+.1%}; McNemar's test p = {report['p_value']:.4f}"
    )
    if lacking := report["lacking"]:
        first, second = lacking["pictures"]
        yield (
            f"{'with the left out':18} {lacking['difference']['value']:+.1%}, as wrong images of the model "
            f"that lacks their class: {first} of the first, {second} of the second"
        )
    yield (
        f"{'right':18} both {report['both_right']}, only the first {report['only_first_right']}, only the "
        f"second {report['only_second_right']}, neither {report['both_wrong']}"
    )
    for one in report["images"][:MAX_ROWS]:
        truth = ", ".join(one.get("truths", [one["truth"]])) or "no class"
        first, second = (", ".join(of.get("named", [of["label"]])) or "none" for of in one["answers"])
        yield f"  {one['file']}: {truth}; first {first}, second {second}"


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
    """What was left out of either, and why; then what is used without its class."""
    if report["left_out"]:
        yield f"Images left out: {report['left_out']}"
    yield from _of_files(report["problems"])
    if unknown := report.get("without_class"):
        yield "Images used without their class:"
        yield from _of_files(unknown)


def _of_files(problems: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield from (f"  {one['file']}: {one['problem']}" for one in problems[:MAX_ROWS])
