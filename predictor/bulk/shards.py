"""A run in shards: what is left of it when it is killed, and one row for each input in the end.

Beside the file that is to be written lies a folder, `rows.parquet.parts` for `rows.parquet`:

    inputs              the name of each input, as JSON, a line each; written once
    run.json            the options of the run and the number of inputs; from here on the run can go on
    000007-2            the rows of the eighth shard, two of them with an error
    lock                held by the process that writes

A shard gets its name when it is whole and on the disk, so a name is its mark. The inputs are listed once, so
each has its place whatever is added to their folder. In the end the shards are joined to the file, which gets
its name when it is whole, and the folder is removed.
"""

import itertools
import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO

from predictor.bulk import parquet
from predictor.bulk.file import check_options, whole_file
from predictor.bulk.rows import FORMS, Row
from predictor.bulk.rows import Form as RowForm
from predictor.errors import InvalidRequest
from predictor.store.files import locked, remove

_INPUTS, _OPTIONS, _LOCK = "inputs", "run.json", "lock"


@dataclass(frozen=True)
class Output:
    """A form of a file of rows.

    Attributes:
        write: writes rows to a shard.
        join: writes the rows of shards to one file, with little memory.
    """

    write: Callable[[BinaryIO, Iterable[Row]], None]
    join: Callable[[BinaryIO, Iterable[Path]], None]


def output_of(path: Path) -> Output:
    """The form that the name of a file asks for.

    Raises:
        InvalidRequest: its ending is not known, or what writes this form is missing.
    """
    suffix = path.suffix.lower()
    if suffix in parquet.SUFFIXES:
        parquet.libraries()
        return Output(parquet.write, parquet.join)
    name = {".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl"}.get(suffix)
    if name is None:
        raise InvalidRequest(
            f"{path.name} must end in .parquet, .csv or .jsonl, which says how it is written."
        )
    form = FORMS[name]
    return Output(partial(_write, form), partial(_join, form))


def _write(form: RowForm, file: BinaryIO, rows: Iterable[Row]) -> None:
    file.writelines("".join(f"{line}\n" for line in form.lines(row)).encode() for row in rows)


def _join(form: RowForm, file: BinaryIO, parts: Iterable[Path]) -> None:
    file.write(form.heading.encode())
    for part in parts:
        with part.open("rb") as rows:
            shutil.copyfileobj(rows, file)


@dataclass(frozen=True)
class Chunk:
    """Inputs that are predicted together: some of those of a shard, one after the other.

    Attributes:
        shard: the number of their shard.
        start: the place of the first of them in the shard.
        names: the inputs.
    """

    shard: int
    start: int
    names: tuple[str, ...]


@dataclass(frozen=True)
class Form:
    """How rows are written: the form of the file, and the inputs of a shard."""

    output: Output
    size: int


@dataclass
class Run:
    """A run whose inputs are known. Made by `opened`.

    Attributes:
        folder: where its shards are.
        form: of the shards.
        inputs: how many there are.
        errors: for each shard that is whole, how many of its rows have an error.
    """

    folder: Path
    form: Form
    inputs: int
    errors: dict[int, int]
    _rows: dict[int, dict[int, list[Row]]] = field(default_factory=dict)

    @property
    def done(self) -> int:
        """How many inputs have their rows in whole shards."""
        return sum(map(self._length, self.errors))

    def chunks(self, most: int) -> Iterator[Chunk]:
        """What is left to be predicted, in order; at most so many inputs together."""
        with (self.folder / _INPUTS).open(encoding="ascii") as lines:
            for shard in itertools.count():
                part = list(itertools.islice(lines, self.form.size))
                if not part:
                    return
                if shard in self.errors:
                    continue
                for start in range(0, len(part), most):
                    names = tuple(map(json.loads, part[start : start + most]))
                    yield Chunk(shard, start, names)

    def add(self, chunk: Chunk, rows: list[Row]) -> None:
        """Take the rows of a chunk; a shard of which all are there is written.

        Raises:
            OSError: the disk is full, or it cannot be written.
        """
        held = self._rows.setdefault(chunk.shard, {})
        held[chunk.start] = rows
        if sum(map(len, held.values())) < self._length(chunk.shard):
            return
        whole = [row for start in sorted(held) for row in held[start]]
        failed = sum(row.problem is not None for row in whole)
        with whole_file(self._path(chunk.shard, failed)) as file:
            self.form.output.write(file, whole)
        self.errors[chunk.shard] = failed
        del self._rows[chunk.shard]

    def finish(self, path: Path) -> None:
        """Join all shards to the file, and remove them.

        Raises:
            OSError: the disk is full, or it cannot be written; the shards stay.
        """
        with whole_file(path) as file:
            self.form.output.join(file, (self._path(*shard) for shard in sorted(self.errors.items())))
        # What has no options is no run, so what a kill leaves from here on is not continued.
        (self.folder / _OPTIONS).unlink()
        remove(self.folder)

    def _length(self, shard: int) -> int:
        return min(self.form.size, self.inputs - shard * self.form.size)

    def _path(self, shard: int, failed: int) -> Path:
        return self.folder / f"{shard:06}-{failed}"


def parts(path: Path) -> Path:
    """The folder of the shards for a file."""
    return path.with_name(f"{path.name}.parts")


def is_begun(path: Path) -> bool:
    """Whether a run for this file was stopped and can go on."""
    return (parts(path) / _OPTIONS).exists()


def has_rows(path: Path) -> bool:
    """Whether a run for this file was stopped that has shards already."""
    return is_begun(path) and bool(_marked(parts(path)))


@contextmanager
def opened(
    path: Path, form: Form, options: Mapping[str, Any], names: Iterable[str], *, anew: bool
) -> Iterator[Run]:
    """Begin a run, or go on with the one that was stopped; no other process has it in the block.

    Args:
        path: the file that it is to write in the end.
        form: how.
        options: what must be the same to go on, by what it is called, as JSON.
        names: all inputs; they are taken where a run begins.
        anew: whether to begin in any case.

    Raises:
        InvalidRequest: it was begun with other options, or another process is at it.
        OSError: the disk is full, or it cannot be written.
    """
    folder = parts(path)
    folder.mkdir(exist_ok=True)
    try:
        with locked(folder / _LOCK, 0):
            if anew or not is_begun(path):
                _begin(folder, options, names)
            yield Run(folder, form, _continued(path, options), _marked(folder))
    except TimeoutError as error:
        raise InvalidRequest(f"Another process writes {path.name}; wait for its end.") from error


def _begin(folder: Path, options: Mapping[str, Any], names: Iterable[str]) -> None:
    for left in folder.iterdir():
        if left.name != _LOCK:
            left.unlink()
    number = 0
    try:
        with whole_file(folder / _INPUTS) as file:
            for name in names:
                file.write(f"{json.dumps(name)}\n".encode())
                number += 1
    except BaseException:
        remove(folder)
        raise
    with whole_file(folder / _OPTIONS) as file:
        file.write(json.dumps({**options, "inputs": number}).encode())


def _continued(path: Path, options: Mapping[str, Any]) -> int:
    """The number of inputs of a run that has these options."""
    said = json.loads((parts(path) / _OPTIONS).read_bytes())
    number = int(said.pop("inputs"))
    check_options(said, options, path, f"remove the folder {parts(path).name}")
    return number


def _marked(folder: Path) -> dict[int, int]:
    found = (path.name.split("-") for path in folder.glob("[0-9]*-*[0-9]"))
    return {int(shard): int(failed) for shard, failed in found}
