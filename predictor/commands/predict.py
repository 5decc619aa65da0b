"""`predict`: images, folders and URLs -> rows on the terminal, in a pipe or in a file."""

import itertools
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import click

from predictor.bulk import inputs, processes
from predictor.bulk.file import Done, Options, RowFile, done
from predictor.bulk.rows import FORMS, Form, Row, Work
from predictor.client import Client
from predictor.commands.bulk import Predicted, predict_to_file, row_options
from predictor.commands.options import (
    MODEL,
    OUT,
    Writing,
    beside_model,
    given_by_user,
    local,
    of_service,
    reached,
    told,
)
from predictor.config import Settings
from predictor.cores import cores
from predictor.evaluation.runner import parallel_map

_INCOMPLETE = 3  # the exit code where at least one image has no prediction
_REQUESTS = 8  # of a service at a time

Target = tuple[str, Path | None]
"""The name of a form, and the file to write; None for the standard output."""


@click.command(cls=Writing)
@click.argument("images", nargs=-1, required=True, type=click.Path())
@click.option("--model", type=MODEL, help=".onnx file, ZIP file or folder; by default the bundled model.")
@beside_model
@click.option("--url", help="URL of a running service that predicts instead of this machine.")
@of_service
@click.option("--top-k", type=click.IntRange(1), default=5, help="Maximum number of classes for each image.")
@click.option("--threshold", type=click.FloatRange(0, 1), help="Leave out classes with a lower confidence.")
@click.option("--exact", is_flag=True, help="Decode large JPEGs whole, as PREDICTOR_JPEG=exact does.")
@click.option(
    "--threads",
    type=click.IntRange(1),
    help=f"Images at a time; by default one on each core, here or of the cluster, or {_REQUESTS} with --url.",
)
@click.option("--out", type=OUT, help="Write this file (.parquet, .csv or .jsonl) by way of shards.")
@click.option("--cluster", help="Ray cluster that predicts: ray://host:10001, host:6379 or auto.")
@click.option(
    "--gpus",
    type=click.FloatRange(0),
    default=0.0,
    help="GPUs for each process on the cluster, such as 0.25.",
)
@click.option("--shard", type=click.IntRange(1), default=1000, help="Images in a shard of --out.")
@click.option("--column", help="Column of tables that names the images; by default found by its heading.")
@click.option(
    "--no-progress",
    type=click.FloatRange(1),
    default=300.0,
    help="End with --out if no image is predicted for so many seconds.",
)
@click.option("--csv", "csv_path", type=OUT, help="Write CSV to this file.")
@click.option("--jsonl", "jsonl_path", type=OUT, help="Write lines of JSON to this file.")
@click.option("--resume", is_flag=True, help="Go on with the file of a run that was stopped.")
@click.option(
    "--format",
    "form",
    type=click.Choice([*FORMS]),
    help="Format of the standard output; by default text on a terminal, else csv.",
)
def predict(images: tuple[str, ...], **given: Any) -> None:
    """Predict the classes of images.

    IMAGES are files, folders, http or https URLs, prefixes of buckets (s3://, gs://, az://), lists (.txt, a
    name a line), tables (.csv, .parquet) and - for an image on the standard input. A folder stands for all
    images below it. This machine, or the cluster, downloads the URLs, as the settings PREDICTOR_FETCH_* say.
    Rows come in the order of the images, the files of a folder sorted by their paths. With --resume, images
    that have a row in the file keep it; another model, service, --top-k, --threshold or --exact than that of
    the run that was stopped is refused.

    Exit codes: 0 each image has a prediction; 1 no image was tried, and the error is printed; 2 wrong
    usage; 3 at least one image has no prediction, and its row has the error; 130 stopped by Ctrl-C; 143
    ended by SIGTERM.
    """
    target = _target(given)
    with told():
        if given["out"]:
            failed = predict_to_file(images, given, _predictor, _local)
        else:
            failed = _predict(images, target, given)
    sys.exit(_INCOMPLETE if failed else 0)


def _target(given: Mapping[str, Any]) -> Target:
    paths = {"csv": given["csv_path"], "jsonl": given["jsonl_path"]}
    files = [(form, path) for form, path in paths.items() if path is not None]
    if len(files) + (given["form"] is not None) + (given["out"] is not None) > 1:
        raise click.UsageError("Only one of --csv, --jsonl and --format can be given, and none with --out.")
    if given["resume"] and not files and not given["out"]:
        raise click.UsageError("--resume needs the file of --csv or --jsonl, or --out.")
    if given["cluster"] and (given["url"] or not given["out"]):
        raise click.UsageError("--cluster needs --out, and cannot be combined with --url.")
    if given["url"] is None and given_by_user("name"):
        raise click.UsageError(
            "--name is that of a model of a service: it needs --url. --model takes a file."
        )
    if given["gpus"] and not given["cluster"]:
        raise click.UsageError("--gpus needs --cluster.")
    if given["url"] is not None and any(map(given.get, ("model", "labels", "preprocessing", "file"))):
        raise click.UsageError("--url cannot be combined with --model, --labels, --preprocessing or --file.")
    form = given["form"] or ("text" if sys.stdout.isatty() else "csv")
    return files[0] if files else (form, None)


def _predict(words: Sequence[str], target: Target, given: Mapping[str, Any]) -> int:
    """Predict what has no row yet; how many rows have an error."""
    form, path = FORMS[target[0]], target[1]
    kept = done(path, form, given["top_k"]) if given["resume"] and path else Done()
    names = kept.rest(inputs.names(words, given["column"]))
    first, continues = list(itertools.islice(names, 1)), kept.names.total() > 0
    if path is not None and continues:
        Options(path).check(row_options(given))
    with ExitStack() as held:
        rows: Iterator[Row] = iter(())
        if first:
            rows = _begun(held.enter_context(_predictor(given))(itertools.chain(first, names)))
        if path is None:
            return _print(rows, form)
        total = sum(1 for _ in inputs.names(words, given["column"])) if sys.stderr.isatty() else None
        with RowFile(path, form, kept) as file:
            if not continues:
                Options(path).keep(row_options(given))
            return _save(rows, file, kept, total)


def _begun(rows: Iterator[Row]) -> Iterator[Row]:
    """The rows, once there is a first one: what fails before it, such as a wrong name, costs no file."""
    return itertools.chain(list(itertools.islice(rows, 1)), rows)


@contextmanager
def _local(given: Mapping[str, Any]) -> Iterator[processes.Local]:
    """The model on this machine, tried as an upload would be, with the options."""
    settings = Settings.from_environment()
    exact = given["exact"] or settings.jpeg == "exact"
    with local(given, settings, exact=exact) as model:
        pipes = given["out"] is not None
        yield processes.Local(model, settings, given["top_k"], given["threshold"], Path.cwd(), pipes)


@contextmanager
def _predictor(given: Mapping[str, Any]) -> Iterator[Predicted]:
    if given["url"] is None:
        with _local(given) as local:
            yield partial(processes.predicted, local, processes=given["threads"] or cores())
        return
    settings = Settings.from_environment()
    exact = given["exact"] or settings.jpeg == "exact"
    with reached(given["url"], given["token"]) as client:
        options = {"top_k": given["top_k"], "model": given["name"], "exact": exact or None}
        reader = inputs.Reader(settings, pipes=given["out"] is not None)
        work = Work(reader.read, partial(_asked, client, options), given["threshold"])
        yield partial(parallel_map, work, threads=given["threads"] or _REQUESTS)


def _asked(client: Client, options: Mapping[str, Any], data: bytes) -> list[dict[str, Any]]:
    return list(client.predict(data, **options).json["predictions"])


def _print(rows: Iterable[Row], form: Form) -> int:
    """Print rows as they come; how many have an error."""
    failed = 0
    click.echo(form.heading, nl=False)
    for row in rows:
        failed += row.problem is not None
        click.echo("\n".join(form.lines(row)))
    return failed


def _save(rows: Iterable[Row], file: RowFile, kept: Done, total: int | None) -> int:
    """Write rows as they come, with a progress bar if their number is known; how many have an error."""
    count, failed, advice = kept.names.total(), kept.failed, " --resume goes on."
    try:
        with _bar(total, count) as step:
            for row in rows:
                file.write(row)
                count, failed = count + 1, failed + (row.problem is not None)
                step()
        advice = ""
    finally:
        click.echo(f"Images: {count}, with an error: {failed}.{advice}", err=True)
    return failed


@contextmanager
def _bar(total: int | None, count: int) -> Iterator[Callable[[], None]]:
    if total is None:
        yield lambda: None
        return
    with click.progressbar(length=total, file=sys.stderr, label="Images", show_pos=True) as bar:
        bar.update(count)
        yield lambda: bar.update(1)
