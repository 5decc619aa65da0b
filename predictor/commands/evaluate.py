"""`evaluate`, `tune`, `optimise`: how well a model does, with which preprocessing best, and how fast."""

import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from predictor.commands.options import (
    FILE,
    MODEL,
    OUT,
    URL,
    Writing,
    beside_model,
    given_by_user,
    loaded,
    local,
    of_service,
    reached,
    save,
    together,
    token,
    told,
)
from predictor.config import Settings
from predictor.cores import cores
from predictor.evaluation import image_files
from predictor.evaluation import presentation as reports
from predictor.evaluation.evaluator import Evaluator
from predictor.evaluation.images import LabelledImage, labelled, on_disk
from predictor.evaluation.remote_model import RemoteModel
from predictor.evaluation.runner import Notice, Progress
from predictor.evaluation.tune import Tuner, sample
from predictor.image.decode import Limits
from predictor.model.device import Device
from predictor.optimising import verdict
from predictor.optimising.optimiser import PACE_SECONDS, Optimiser, Source
from predictor.optimising.processes import Processes

Step = Notice | Progress | dict[str, Any]

_threads = click.option(
    "--threads", type=click.IntRange(1), default=cores(), help="Images processed at a time."
)
_of_report = together(
    click.argument("images", type=click.Path(exists=True, path_type=Path)),
    click.option("--limit", type=click.IntRange(1), help="Maximum number of images that are used."),
    click.option("--json", "json_path", type=OUT, help="Write the report as JSON to this file."),
    click.option("--html", "html_path", type=OUT, help="Write the report as an HTML page to this file."),
)
_of_evaluation = together(
    click.option("--csv", "csv_path", type=OUT, help="Write a line for each image as CSV to this file."),
    click.option(
        "--precision",
        type=click.FloatRange(0, 1, min_open=True),
        help="Suggest thresholds with which answers are right as often as this.",
    ),
)


@click.command(name="evaluate", cls=Writing)
@_of_report
@click.option("--model", type=MODEL, help=".onnx file, ZIP file or folder that runs here, without a service.")
@beside_model
@_of_evaluation
@_threads
@click.option("--url", default=URL, help="URL of a running service.")
@of_service
def evaluate_command(images: Path, url: str, name: str, **given: Any) -> None:
    """Measure accuracy, confusions, calibration and latency of a model.

    IMAGES is a folder with a folder for each class, a ZIP file of one, or a CSV file with the columns file
    and label. A flat folder works if each file name begins with its class.
    """
    _check_source(given)
    with told():
        found = _images_of(images)
        here = None if given["model"] is None else loaded(given)
        source = here or RemoteModel(reached(url, given["token"]), name, f"{name} of {url}")
        classes = source.classes(found)
        chosen = sample(found, given["limit"], classes)
        evaluator = Evaluator(
            classes,
            source.classify,
            given["threads"],
            spec=None if here is None else here.spec,
            limits=Limits.of(Settings()) if given["html_path"] else None,
            precision=given["precision"],
        )
        report = {"model": source.about} | _followed(evaluator.evaluate(chosen))
    with _said(reports.evaluation_lines(report), report):
        _write(report, f"{source.title} on {images.name}", given)


def _check_source(given: Mapping[str, Any]) -> None:
    """Refuse options that the chosen source of answers would not look at."""
    if given["model"] is not None and (given_by_user("url") or given_by_user("name")):
        raise click.UsageError(
            "--model runs a file on this machine: it cannot be combined with --url or --name."
        )
    if given["model"] is None and any(map(given.get, ("labels", "preprocessing", "file"))):
        raise click.UsageError("--labels, --preprocessing and --file need --model; a service has its own.")
    if given["model"] is None and given["precision"]:
        raise click.UsageError("--precision needs --model; for a service, POST /evaluate takes precision.")


@click.command(name="tune", cls=Writing)
@_of_report
@click.option("--model", type=MODEL, required=True, help="The .onnx file, ZIP file or folder.")
@beside_model
@_threads
@click.option("--out", type=OUT, help="Write the best preprocessing to this file, for an upload.")
def tune_command(images: Path, out: Path | None, **given: Any) -> None:
    """Find the preprocessing with which a model is most accurate.

    IMAGES is the same as for evaluate.
    """
    with told():
        sent, here = _images_of(images), loaded(given)
        chosen = sample(sent, given["limit"], here.classes(sent))
        tuner = Tuner(here.spec, here.run, Limits.of(Settings()), given["threads"])
        report = {"model": here.about} | _followed(tuner.tune(chosen))
    with _said(reports.ranking_lines(report), report):
        _write(report, f"{here.title} on {images.name}", given)
        if out is not None:
            save(out, json.dumps(report["candidates"][0]["preprocessing"], indent=1) + "\n")


@click.command(name="compare", cls=Writing)
@click.argument("images", type=FILE)
@click.option("--candidate", type=FILE, help="ONNX or ZIP file that is not uploaded, as the second model.")
@click.option(
    "--version", type=click.IntRange(1), help="Version of the first model; by default the live one."
)
@click.option("--other-version", type=click.IntRange(1), help="Version of the second; by default the former.")
@click.option("--other-model", help="Name of the second model; by default that of the first.")
@click.option("--json", "json_path", type=OUT, help="Write the report as JSON to this file.")
@click.option("--html", "html_path", type=OUT, help="Write the report as an HTML page to this file.")
@click.option("--url", default=URL, help="URL of the service.")
@click.option("--name", default="default", help="Name of the first model on the service.")
@token("PREDICTOR_ADMIN_TOKEN", "PREDICTOR_PREDICT_TOKEN")
def compare_command(images: Path, candidate: Path | None, url: str, name: str, **given: Any) -> None:
    """Compare two models of a service on the same labelled images.

    IMAGES is a ZIP file in one of the forms of evaluate.
    """
    chosen = {field: given[field] for field in ("version", "other_version", "other_model")}
    fields = {"model": name} | {field: value for field, value in chosen.items() if value is not None}
    with told():
        report = reached(url, given["token"]).compare(images, candidate, **fields)
    with _said(reports.comparison_lines(report), report):
        _write(report, f"{name} of {url} on {images.name}", given)


def _images_of(path: Path) -> list[LabelledImage]:
    most = Limits.of(Settings()).max_bytes
    if path.suffix.lower() == ".zip":
        return labelled([*image_files.files_of(path, most).items()])
    return on_disk(path, most)


def _followed(steps: Iterator[Step]) -> dict[str, Any]:
    """Show what is noticed, and a progress bar where somebody looks on; the report."""
    while isinstance(first := next(steps), Notice):
        click.echo(first.sentence, err=True)
    if not isinstance(first, Progress):
        return first
    report, silent = dict[str, Any](), not sys.stderr.isatty()
    with click.progressbar(length=first.of, file=sys.stderr, label="Runs", hidden=silent) as bar:
        bar.update(first.done)
        for step in steps:
            if isinstance(step, Progress):
                bar.update(step.done - bar.pos)
            elif isinstance(step, dict):
                report = step
    return report


@contextmanager
def _said(lines: Iterator[str], report: Mapping[str, Any]) -> Iterator[None]:
    """Print a report after its files are written, as who reads it may stop; also if they cannot be."""
    try:
        yield
    finally:
        for line in lines:
            click.echo(line)
        for line in reports.problem_lines(report):
            click.echo(line, err=True)


def _write(report: Mapping[str, Any], about: str, given: Mapping[str, Any]) -> None:
    if given["json_path"] is not None:
        save(given["json_path"], json.dumps(report, indent=1) + "\n")
    if given.get("csv_path") is not None:
        save(given["csv_path"], reports.csv_text(report["images"]))
    if given.get("html_path") is not None:
        save(given["html_path"], reports.html_page(report, about=about))


@click.command(name="optimise", cls=Writing)
@click.argument("model", type=MODEL)
@click.argument("images", type=click.Path(exists=True, path_type=Path))
@click.option("--out", type=OUT, help="Write the recommended form to this file, for an upload.")
@beside_model
@click.option("--limit", type=click.IntRange(1), help="Maximum number of images that are used.")
@click.option(
    "--max-loss",
    type=click.FloatRange(0, 100),
    default=0.5,
    help="Percentage points of accuracy that may be lost.",
)
@click.option(
    "--seconds",
    type=click.FloatRange(0, min_open=True),
    default=PACE_SECONDS,
    help="Seconds of each measurement of speed.",
)
@click.option("--json", "json_path", type=OUT, help="Write the report as JSON to this file.")
def optimise_command(images: Path, out: Path | None, **given: Any) -> None:
    """Make a model faster, and prove its speed and accuracy on images.

    IMAGES is the same as for evaluate; labels are optional. Half of the images show the ranges of numbers,
    the other half judges. With --out and nothing to recommend, no file is written and the exit code is 1.
    """
    with told(), tempfile.TemporaryDirectory() as name:
        sent, folder, device = _images_of(images), Path(name), Device("cpu")
        with local(given, Settings.from_environment()) as found:
            model, processes = found.load(), Processes(folder, device)
            chosen = sample(sent, given["limit"], model.classes(sent))
            source = Source(found.path, model.spec, device)
            optimiser = Optimiser(source, folder, processes, given["max_loss"] / 100, given["seconds"])
            report = _followed(optimiser.steps(chosen, found.limits))
        if out is not None and report["recommended"] is not None:
            shutil.copyfile(optimiser.file(report["recommended"]), out)
    with _said(verdict.lines(report), report):
        _write(report, f"{model.title} on {images.name}", given)
    if out is not None and report["recommended"] is None:
        raise click.ClickException(f"{out} was not written.")


COMMANDS = (evaluate_command, tune_command, compare_command, optimise_command)
"""All commands of this file."""
