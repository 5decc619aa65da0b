"""`pull`: a model from a registry, a bucket or a web server, to a service or into a folder."""

import hashlib
import os
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import click

from predictor.commands.models import say, uploaded
from predictor.commands.options import URL, beside_model, reached, token, told
from predictor.config import Settings
from predictor.evaluation.local_files import tried
from predictor.importing.bundle import recognise
from predictor.importing.unpacking import unpacked
from predictor.sources.pull import pull as pulled_from
from predictor.sources.signature import signed


@click.command()
@click.argument("source")
@click.option(
    "--out", type=click.Path(file_okay=False, path_type=Path), help="Download into this new folder."
)
@click.option("--url", help=f"URL of the service; by default {URL}.")
@token("PREDICTOR_ADMIN_TOKEN", "PREDICTOR_PREDICT_TOKEN")
@click.option("--name", default="default", help="Name of the model on the service.")
@beside_model
@click.option("--json", "as_json", is_flag=True, help="Print the answer as JSON.")
def pull(source: str, out: Path | None, *, as_json: bool, **given: Any) -> None:
    """Have a service fetch a model from SOURCE and serve it, or download it into a folder.

    SOURCE is hf:org/name[@revision], mlflow:models:/name@alias, oci:registry/name:tag (or @sha256:...),
    s3://bucket/key, or the https URL of an .onnx or ZIP file.

    The service fetches with its own settings and credentials. With --out no service is asked: this machine
    downloads with those of the environment, checks the model as an upload is checked, and writes the folder
    if the model can be served.
    """
    if out is None:
        fields = {name: given[name] for name in ("name", "file") if given[name] is not None}
        beside = {name: given[name] for name in ("labels", "preprocessing")}
        with told(), reached(given["url"] or URL, given["token"]) as service:
            answer = service.upload(source=source, **beside, **fields)
        say(answer, as_json, lambda: uploaded(answer))
        return
    if given["url"] or given["labels"] or given["preprocessing"]:
        raise click.UsageError("--out cannot be combined with --url, --labels or --preprocessing.")
    with told():
        found = _download(source, out, given["file"], Settings.from_environment())
    say(found, as_json, lambda: _downloaded(found, out))


def _download(source: str, out: Path, file: str | None, settings: Settings) -> dict[str, Any]:
    """Write a folder with a model's files, if it can be served; what was found."""
    if out.exists() and any(out.iterdir()):
        raise click.ClickException(f"{out} is not empty; name a new folder.")
    out.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".pull-", dir=out.parent) as name:
        folder = Path(name)
        pulled = pulled_from(source, folder, settings, os.environ, file=file)
        models = [one.name for one in pulled.files if one.model and not one.is_archive()]
        files = unpacked(pulled.files, folder, settings.max_model_bytes)
        if settings.signing_key is not None:
            files = signed(files, settings.signing_key, folder)
        model = next((one for one in models if one in files), None)
        bundle = recognise(files, model=model, file=file)
        report = tried(folder / "check", files, bundle, {}, settings, os.link)
        listed = [_described(name, path) for name, path in files.items()]
        _lay_out(files, folder / "files").rename(out)
    return {
        **pulled.to_json(),
        "files": listed,
        "spec": dict(report.spec),
        "warnings": [*bundle.warnings, *report.all_warnings],
    }


def _lay_out(files: Mapping[str, Path], folder: Path) -> Path:
    """A folder with files under these names, which are paths inside of it; none is copied."""
    for name, path in files.items():
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        os.link(path, target)
    return folder


def _described(name: str, path: Path) -> dict[str, Any]:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": name, "bytes": path.stat().st_size, "digest": f"sha256:{digest}"}


def _downloaded(found: Mapping[str, Any], out: Path) -> Iterator[str]:
    revision = f" at {found['revision']}" if found["revision"] else ""
    yield f"{found['source']}{revision} is in {out}, files: {len(found['files'])}."
    yield from (f"Warning: {sentence}" for sentence in found["warnings"])
