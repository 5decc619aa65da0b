"""The command line: evaluate a model on labelled pictures, and find the preprocessing it does best with."""

import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import click

from predictor.config import Settings
from predictor.errors import PredictorError
from predictor.evaluation import archive, drawn, printed
from predictor.evaluation.classes import Classes
from predictor.evaluation.evaluate import evaluate
from predictor.evaluation.judge import Progress
from predictor.evaluation.local import opened
from predictor.evaluation.pictures import Picture, labelled, on_disk
from predictor.evaluation.remote import Remote
from predictor.evaluation.tune import Tuner, sample
from predictor.image.decode import Limits

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUT = click.Path(dir_okay=False, writable=True, path_type=Path)

Step = Progress | dict[str, Any]
_Command = Callable[..., None]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
def main() -> None:
    """Measure image classifiers on labelled pictures.

    PICTURES is a folder with a folder for each class, a ZIP file of one, or a CSV file with the columns file
    and label. A flat folder will do where the names of the files begin with their class.
    """


def _options(command: _Command) -> _Command:
    """What both commands take."""
    for option in (
        click.option("--limit", type=click.IntRange(1), help="Most pictures that are used."),
        click.option("--threads", type=click.IntRange(1), default=os.cpu_count() or 1, help="At a time."),
        click.option("--json", "json_path", type=_OUT, help="Write the report as JSON to this file."),
        click.option("--html", "html_path", type=_OUT, help="Write the report as a page to this file."),
        click.option("--preprocessing", type=_FILE, help="What came with the model, in any known form."),
        click.option("--labels", type=_FILE, help="The labels of the model, in any known form."),
        click.argument("pictures", type=click.Path(exists=True, path_type=Path)),
    ):
        command = option(command)
    return command


@main.command(name="evaluate")
@_options
@click.option("--model", type=_FILE, help="An ONNX file, in place of a service.")
@click.option("--url", default="http://127.0.0.1:8080", help="A running service.")
@click.option("--name", default="default", help="The model of the service.")
@click.option("--token", envvar="PREDICTOR_PREDICT_TOKEN", help="The service's bearer token.")
def evaluate_command(
    pictures: Path, model: Path | None, url: str, name: str, token: str | None, **given: Any
) -> None:
    """Say how often a model is right, on what it is wrong, and how sure it is."""
    with _told():
        chosen = _pictures(pictures, given["limit"])
        local = None if model is None else opened(model, given["labels"], given["preprocessing"])
        source = local or Remote(url, name, token)
        steps = evaluate(chosen, Classes(source.labels(chosen)), source.classify, given["threads"])
        report = {"model": source.about} | _followed(steps)
    _say(printed.evaluation(report), report)
    _write(report, f"{source.title} on {pictures.name}", given)


@main.command(name="tune")
@_options
@click.option("--model", type=_FILE, required=True, help="The ONNX file.")
@click.option("--out", type=_OUT, help="Write the best preprocessing to this file, for an upload.")
def tune_command(pictures: Path, model: Path, out: Path | None, **given: Any) -> None:
    """Find the preprocessing that a model does best with."""
    with _told():
        chosen = _pictures(pictures, given["limit"])
        local = opened(model, given["labels"], given["preprocessing"])
        tuner = Tuner(local.spec, local.run, _limits(), given["threads"])
        report = {"model": local.about} | _followed(tuner.tune(chosen))
    _say(printed.ranking(report), report)
    _write(report, f"{local.title} on {pictures.name}", given)
    if out is not None:
        _save(out, json.dumps(report["candidates"][0]["preprocessing"], indent=1) + "\n")


def _limits() -> Limits:
    settings = Settings()
    return Limits(settings.formats, settings.max_pixels, settings.max_image_bytes)


def _pictures(path: Path, limit: int | None) -> list[Picture]:
    if path.suffix.lower() == ".zip":
        found = labelled(archive.files_of(path, _limits().max_bytes))
    else:
        found = on_disk(path)
    return sample(found, limit or len(found))


@contextmanager
def _told() -> Iterator[None]:
    """End with the sentence of an error, and without a stack."""
    try:
        yield
    except PredictorError as error:
        raise click.ClickException(error.detail) from error


def _followed(steps: Iterator[Step]) -> dict[str, Any]:
    """Show a progress bar where somebody looks on; the report."""
    first = next(steps)
    if not isinstance(first, Progress):
        return first
    report: dict[str, Any] = {}
    with click.progressbar(length=first.of, file=sys.stderr, label="Runs") as bar:
        bar.update(first.done)
        for step in steps:
            if isinstance(step, Progress):
                bar.update(step.done - bar.pos)
            else:
                report = step
    return report


def _say(lines: Iterator[str], report: Mapping[str, Any]) -> None:
    for line in lines:
        click.echo(line)
    for line in printed.problems(report):
        click.echo(line, err=True)


def _write(report: dict[str, Any], about: str, given: Mapping[str, Any]) -> None:
    if given["json_path"] is not None:
        _save(given["json_path"], json.dumps(report, indent=1) + "\n")
    if given["html_path"] is not None:
        _save(given["html_path"], drawn.page(report, about=about))


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
