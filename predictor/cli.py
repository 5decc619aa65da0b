"""The command line: serve, predict, evaluate, and find the preprocessing that a model does best with."""

import functools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from predictor import __version__
from predictor.bulk import rows
from predictor.config import BUNDLED_MODEL, Settings, defaults, documented, shipped
from predictor.cores import cores
from predictor.errors import PredictorError
from predictor.evaluation import images
from predictor.evaluation import report as reports
from predictor.evaluation.images import Picture, labelled, on_disk, unlabelled
from predictor.evaluation.predictors import LocalModel, RemoteModel, opened
from predictor.evaluation.report import evaluate
from predictor.evaluation.runner import Progress
from predictor.evaluation.tables import Classes
from predictor.evaluation.tune import Tuner, sample
from predictor.fetch.client import Fetcher
from predictor.image.decode import Limits

_FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
_OUT = click.Path(dir_okay=False, writable=True, path_type=Path)

_INCOMPLETE = 3  # the exit code where at least one image has no prediction

Step = Progress | dict[str, Any]
_Command = Callable[..., None]


@click.group(context_settings={"help_option_names": ["-h", "--help"], "show_default": True})
@click.version_option(__version__)
def main() -> None:
    """Serve image classifiers, predict with them, and measure them on labelled images.

    Exit codes: 0 success; 1 an error, which is printed; 2 wrong usage; predict has one more.
    """


class _WithSettings(click.Command):
    """A command whose help lists every setting with its default and its meaning."""

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002 (click's)
        """Write the list."""
        default = defaults()
        with formatter.section("Settings (environment variables)"):
            listed = [(name, f"{doc}  [default: {default[name]}]") for name, doc in documented().items()]
            formatter.write_dl(listed)


@main.command(cls=_WithSettings)
def serve() -> None:
    """Start the service: gunicorn, with the configuration that is shipped.

    It runs until it gets SIGTERM or SIGINT (Ctrl+C). SIGHUP replaces the workers.
    """
    gunicorn = (sys.executable, "-m", "gunicorn", "--config", str(shipped("gunicorn.conf.py")))
    os.execv(sys.executable, gunicorn)  # noqa: S606 (the command is our own)


def _together(*options: Callable[[_Command], _Command]) -> Callable[[_Command], _Command]:
    """Options that several commands take."""
    return lambda command: functools.reduce(lambda made, option: option(made), reversed(options), command)


_beside_model = _together(
    click.option("--labels", type=_FILE, help="The labels of the model, in any supported format."),
    click.option("--preprocessing", type=_FILE, help="The preprocessing, in any supported format."),
    click.option("--threads", type=click.IntRange(1), default=cores(), help="Images processed at a time."),
)
_of_service = _together(
    click.option("--name", default="default", help="Name of the model on the service."),
    click.option("--token", envvar="PREDICTOR_PREDICT_TOKEN", help="The service's bearer token."),
)
_of_report = _together(
    click.argument("pictures", type=click.Path(exists=True, path_type=Path)),
    click.option("--limit", type=click.IntRange(1), help="Maximum number of images that are used."),
    click.option("--json", "json_path", type=_OUT, help="Write the report as JSON to this file."),
    click.option("--html", "html_path", type=_OUT, help="Write the report as an HTML page to this file."),
)


@main.command()
@click.argument("images", nargs=-1, required=True)
@click.option("--model", type=_FILE, help="ONNX file; by default the bundled model.")
@_beside_model
@click.option("--url", help="URL of a running service that predicts instead of this machine.")
@_of_service
@click.option("--top-k", type=click.IntRange(1), default=5, help="Maximum number of classes for each image.")
@click.option("--exact", is_flag=True, help="Decode large JPEGs whole, as PREDICTOR_JPEG=exact does.")
@click.option(
    "--format",
    "form",
    type=click.Choice([*rows.FORMS]),
    help="Output format; by default text on a terminal, else csv.",
)
def predict(images: tuple[str, ...], form: str | None, **given: Any) -> None:
    """Predict the classes of images.

    IMAGES are files, folders, and http or https URLs. A folder stands for all images below it. This machine
    downloads the URLs, as the settings PREDICTOR_FETCH_* say.

    Exit codes: 0 each image has a prediction; 1 nothing can be predicted, and the error is printed; 2 wrong
    usage; 3 at least one image has no prediction, and its row has the error.
    """
    with _told():
        chosen = _images(images)
        classes = partial(_source(given).predictions, top_k=given["top_k"])
        found = rows.predicted(chosen, classes, given["threads"])
        complete = _print(found, form or ("text" if sys.stdout.isatty() else "csv"))
    sys.exit(0 if complete else _INCOMPLETE)


def _images(words: Iterable[str]) -> list[Picture]:
    fetcher = Fetcher.of(Settings.from_environment())
    found: list[Picture] = []
    for word in words:
        if word.lower().startswith(("http://", "https://")):
            found.append(Picture(word, (), partial(fetcher.fetch, word)))
        else:
            found += unlabelled(Path(word))
    return found


def _source(given: Mapping[str, Any]) -> LocalModel | RemoteModel:
    model, labels, preprocessing = given["model"], given["labels"], given["preprocessing"]
    exact = given["exact"] or Settings.from_environment().jpeg == "exact"
    if given["url"] is None:
        return opened(model or BUNDLED_MODEL, labels, preprocessing, exact=exact)
    if model or labels or preprocessing:
        raise click.UsageError("--url cannot be combined with --model, --labels or --preprocessing.")
    return RemoteModel(given["url"], given["name"], given["token"], exact=exact)


def _print(found: Iterable[rows.Row], form: str) -> bool:
    """Print rows as they come; whether each has a prediction."""
    chosen, complete = rows.FORMS[form], True
    click.echo(chosen.heading, nl=False)
    for row in found:
        complete &= row.problem is None
        click.echo("\n".join(chosen.lines(row)))
    return complete


@main.command(name="evaluate")
@_of_report
@click.option("--model", type=_FILE, help="ONNX file that runs on this machine instead of a service.")
@_beside_model
@click.option("--url", default="http://127.0.0.1:8080", help="URL of a running service.")
@_of_service
def evaluate_command(
    pictures: Path, model: Path | None, url: str, name: str, token: str | None, **given: Any
) -> None:
    """Measure accuracy, confusions, calibration and latency of a model.

    PICTURES is a folder with a folder for each class, a ZIP file of one, or a CSV file with the columns file
    and label. A flat folder works if each file name begins with its class.
    """
    with _told():
        chosen = _pictures(pictures, given["limit"])
        local = None if model is None else opened(model, given["labels"], given["preprocessing"])
        source = local or RemoteModel(url, name, token)
        steps = evaluate(chosen, Classes(source.labels(chosen)), source.classify, given["threads"])
        report = {"model": source.about} | _followed(steps)
    _say(reports.evaluation_lines(report), report)
    _write(report, f"{source.title} on {pictures.name}", given)


@main.command(name="tune")
@_of_report
@click.option("--model", type=_FILE, required=True, help="The ONNX file.")
@_beside_model
@click.option("--out", type=_OUT, help="Write the best preprocessing to this file, for an upload.")
def tune_command(pictures: Path, model: Path, out: Path | None, **given: Any) -> None:
    """Find the preprocessing with which a model is most accurate.

    PICTURES is the same as for evaluate.
    """
    with _told():
        chosen = _pictures(pictures, given["limit"])
        local = opened(model, given["labels"], given["preprocessing"])
        tuner = Tuner(local.spec, local.run, Limits.of(Settings()), given["threads"])
        report = {"model": local.about} | _followed(tuner.tune(chosen))
    _say(reports.ranking_lines(report), report)
    _write(report, f"{local.title} on {pictures.name}", given)
    if out is not None:
        _save(out, json.dumps(report["candidates"][0]["preprocessing"], indent=1) + "\n")


def _pictures(path: Path, limit: int | None) -> list[Picture]:
    if path.suffix.lower() == ".zip":
        found = labelled(images.files_of(path, Limits.of(Settings()).max_bytes))
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
    for line in reports.problem_lines(report):
        click.echo(line, err=True)


def _write(report: dict[str, Any], about: str, given: Mapping[str, Any]) -> None:
    if given["json_path"] is not None:
        _save(given["json_path"], json.dumps(report, indent=1) + "\n")
    if given["html_path"] is not None:
        _save(given["html_path"], reports.html_page(report, about=about))


def _save(path: Path, text: str) -> None:
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
