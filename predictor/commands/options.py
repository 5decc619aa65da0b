"""What several commands share: options, the service's client, and how errors are told."""

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path, PurePosixPath
from typing import Any

import click
from click.core import ParameterSource

from predictor.archives import written
from predictor.client import Client
from predictor.client_types import ServiceError, Unreachable
from predictor.config import BUNDLED_MODEL, Settings
from predictor.errors import PredictorError
from predictor.evaluation.image_files import SUFFIXES as IMAGES
from predictor.evaluation.local_files import files_of
from predictor.evaluation.predictors import Checked, LocalModel, checked
from predictor.evaluation.tables import SUFFIXES as TABLES
from predictor.host_readers import names


class _Model(click.Path):
    """The path of a model; where a service has models as well, the error says how those are named."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check that it exists."""
        try:
            return super().convert(value, param, ctx)
        except click.BadParameter as error:
            others = {one.name for one in ctx.command.params} if ctx is not None else set[str | None]()
            if isinstance(param, click.Option) and {"name", "url"} <= others:
                said = f"{error.message} A model of a service is named by --name, with --url."
                raise click.BadParameter(said, ctx, param) from error
            raise


class _Out(click.Path):
    """The path of a file that is written in the end; what would fail then is refused before the work."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Check that its folder exists."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if path in (Path("-"), Path()):
            self.fail(f"Give the name of an output file in place of {value or 'nothing'}.", param, ctx)
        # A link may lead to another folder.
        folder = Path(os.path.realpath(path)).parent if path.is_symlink() else path.parent
        if not folder.is_dir():
            self.fail(f"There is no folder {written(str(folder))}.", param, ctx)
        if not path.exists() and not os.access(folder, os.W_OK):
            self.fail(f"No file can be made in {written(str(folder))}.", param, ctx)
        return path


class Writing(click.Command):
    """A command that refuses to write a file over one that it reads or writes."""

    def invoke(self, ctx: click.Context) -> Any:
        """Compare the files, then run."""
        given = [param for param in self.params if param.type is not OUT]
        wrote = list[Path]()
        for param in self.params:
            for path in _paths(param, ctx) if param.type is OUT else ():
                read = any(_reads(one, found, path) for one in given for found in _paths(one, ctx))
                if read or any(_same_file(path, one) for one in wrote):
                    done = "read" if read else "written"
                    said = f"{written(str(path))} is {done} by this command; give another file."
                    raise click.BadParameter(said, ctx, param)
                wrote.append(path)
        return super().invoke(ctx)


def _reads(param: click.Parameter, found: Path, path: Path) -> bool:
    """Whether a file is what was given for a parameter, or one that is read in a folder that was given."""
    if _same_file(path, found):
        return True
    # What cannot be read, or which file of a folder is the model, the command says.
    with suppress(PredictorError, OSError):
        if path.is_file() and found.is_dir() and path.resolve().is_relative_to(found.resolve()):
            if param.type is MODEL:
                return any(_same_file(path, one) for one in files_of(found).values())
            # The tables in a folder have the labels of its images; predict, of several folders, needs none.
            return path.suffix.lower() in {*IMAGES, *(TABLES if param.nargs > 0 else ())}
    return False


def _paths(param: click.Parameter, ctx: click.Context) -> list[Path]:
    """What was given for a parameter of paths."""
    value = ctx.params.get(param.name or "") if isinstance(param.type, click.Path) else None
    found = value if isinstance(value, tuple) else (value,)
    # As an input - is the standard input, which may be a file.
    return [Path("/dev/stdin" if one == "-" else one) for one in found if one is not None]


def _same_file(one: Path, other: Path) -> bool:
    """Whether two paths are those of one regular file, which may not exist yet."""
    try:
        if one.exists() and other.exists():
            # A terminal may be read and written.
            return one.is_file() and one.samefile(other)
    except OSError:
        # A URL may be too long for a path.
        return False
    return os.path.realpath(one) == os.path.realpath(other)


FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
MODEL = _Model(exists=True, path_type=Path)
"""An .onnx file, a ZIP file or a folder."""
OUT = _Out(dir_okay=False, writable=True, path_type=Path)
URL = "http://127.0.0.1:8080"
_SECONDS = 120.0

_Command = Callable[..., None]
_Option = Callable[[_Command], _Command]


def together(*options: _Option) -> _Option:
    """Options that several commands take."""
    return lambda command: functools.reduce(lambda made, option: option(made), reversed(options), command)


def token(*variables: str) -> _Option:
    """The option --token, with the environment variables that stand in for it, the first that is set."""
    return click.option(
        "--token", envvar=list(variables), show_envvar=True, help="The service's bearer token."
    )


def _relative(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
    """The path of a file from the model's folder, without a ./ before it."""
    if value is None:
        return None
    path = PurePosixPath(value).as_posix()
    if path == ".":
        raise click.BadParameter("Name an .onnx file, such as model.onnx.", context, parameter)
    return path


beside_model = together(
    click.option("--labels", type=FILE, help="The labels of the model, in any supported format."),
    click.option("--preprocessing", type=FILE, help="The preprocessing, in any supported format."),
    click.option("--file", callback=_relative, help="Which .onnx file of several is the model."),
)
of_service = together(
    click.option("--name", default="default", help="Name of the model on the service."),
    token("PREDICTOR_PREDICT_TOKEN", "PREDICTOR_ADMIN_TOKEN"),
)


@contextmanager
def local(given: Mapping[str, Any], settings: Settings, *, exact: bool = False) -> Iterator[Checked]:
    """The model on this machine that the options name, tried as an upload would be; its warnings are printed.

    Args:
        given: the options, with `model`; without one it is the bundled model.
        settings: limits.
        exact: as in `checked`.

    Raises:
        PredictorError: as `checked`.
    """
    if given["file"] is not None and given["model"] is None:
        raise click.UsageError("--file needs --model: it chooses one .onnx file of several.")
    files = given["model"] or BUNDLED_MODEL, given["labels"], given["preprocessing"]
    with checked(*files, file=given["file"], settings=settings, exact=exact) as found:
        for sentence in found.warnings:
            click.echo(f"Warning: {sentence}", err=True)
        yield found


def loaded(given: Mapping[str, Any]) -> LocalModel:
    """The model on this machine that the options name, loaded into this process; as `local`."""
    with local(given, Settings.from_environment()) as found:
        return found.load()


def given_by_user(option: str) -> bool:
    """Whether an option of the command that runs was given, and has not its default."""
    source = click.get_current_context().get_parameter_source(option)
    return source is not None and source is not ParameterSource.DEFAULT


@contextmanager
def told() -> Iterator[None]:
    """End with the sentence of an error, and without a stack."""
    try:
        yield
    except (PredictorError, ServiceError) as error:
        raise click.ClickException(error.detail) from error
    except BrokenPipeError:
        raise
    except OSError as error:
        # Of a copy the second file is the one that is written.
        named = error.filename2 or error.filename
        where = "A file" if named is None else written(os.fsdecode(named))
        raise click.ClickException(f"{where}: {error.strerror}.") from error


def reached(url: str, given: str | None) -> Client:
    """The client of a service that answers.

    Args:
        url: where the service is.
        given: its token; of several with commas between them, as the service's settings have them, the first.

    Raises:
        ClickException: nothing answers at the URL. A call would try again for a while.
    """
    found = Client(url, next(iter(names(given or "")), None), timeout=_SECONDS)
    try:
        found.check()
    except Unreachable as error:
        if not error.status:
            scheme = "" if "://" in url else "; it begins with http:// or https://"
            raise click.ClickException(
                f"The service cannot be reached at {url}; check its URL{scheme}."
            ) from error
    except ServiceError:
        pass  # It may be busy; a prediction waits until it is not.
    return found


def save(path: Path, text: str) -> None:
    """Write a text to a file.

    Raises:
        ClickException: it cannot be written.
    """
    try:
        path.write_text(written(text), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"{path} cannot be written: {error.strerror}") from error
