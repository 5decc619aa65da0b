"""`predict --out`: a file of rows by way of shards, on this machine, by a service or on a Ray cluster."""

import hashlib
import os
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager, suppress
from pathlib import Path
from threading import Event, Thread
from types import TracebackType
from typing import Any, TextIO

import click

from predictor.bulk import inputs, on_ray, shards
from predictor.bulk.actor_pool import Rows
from predictor.bulk.processes import Local
from predictor.bulk.rows import Row
from predictor.bulk.shards import Chunk, Run
from predictor.config import BUNDLED_MODEL
from predictor.errors import InvalidRequest
from predictor.evaluation.local_files import files_of, refuse_others

CHUNK = 32
"""Images that a process of a cluster gets at a time."""

Predicted = Callable[[Iterator[str]], Iterator[Row]]
Given = Mapping[str, Any]
_Way = Callable[[Given], AbstractContextManager[Predicted]]
_Model = Callable[[Given], AbstractContextManager[Local]]

_ON_A_TERMINAL, _IN_A_LOG = 0.5, 30.0  # seconds between two lines
_LATELY = 60.0  # seconds; the speed is that of the last minute, without a slow start


def predict_to_file(words: Sequence[str], given: Given, way: _Way, model: _Model) -> int:
    """Predict what has no row yet, and write the file; how many rows have an error.

    Args:
        words: as for `inputs.names`.
        given: the options of `predict`, with `out`.
        way: predicts here or by a service.
        model: gives what a process of a cluster needs.

    Raises:
        PredictorError: nothing can be predicted.
        OSError: a file cannot be written.
    """
    path: Path = given["out"]
    form = shards.Form(shards.output_of(path), given["shard"])
    if shards.has_rows(path) and not given["resume"]:
        raise InvalidRequest(
            f"A run for {path.name} was stopped. Give --resume to go on with it, or remove the folder "
            f"{shards.parts(path).name} to begin again."
        )
    if given["resume"] and path.exists() and not shards.is_begun(path):
        click.echo(f"{path.name} is whole; nothing is left to do.", err=True)
        return 0
    names = _lazily(words, given["column"])
    with shards.opened(path, form, _options(words, given), names, anew=not given["resume"]) as run:
        _predict(run, given, way, model)
        run.finish(path)
        return sum(run.errors.values())


def _lazily(words: Sequence[str], column: str | None) -> Iterator[str]:
    """The names, which a run that goes on does not ask for."""
    yield from inputs.names(words, column)


def row_options(given: Given) -> dict[str, Any]:
    """What decides over the row of an image, by what it is called, as JSON.

    Raises:
        PredictorError: it is unclear which file is the model.
        OSError: a file cannot be read.
    """
    found = {f"--{name.replace('_', '-')}": given[name] for name in ("top_k", "threshold", "exact")}
    if given["url"] is not None:
        return found | {"--url": given["url"], "--name": given["name"]}
    files = {"--model": [*files_of(given["model"] or BUNDLED_MODEL, given["file"]).values()]}
    files |= {f"--{role}": [given[role]] for role in ("labels", "preprocessing") if given[role] is not None}
    return found | {option: [_digest(path) for path in paths] for option, paths in files.items()}


def _digest(path: Path) -> str:
    refuse_others([path])
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _options(words: Sequence[str], given: Given) -> dict[str, Any]:
    """What decides over rows and shards, so that a run goes on only with the same."""
    found = row_options(given) | {"--column": given["column"], "--shard": given["shard"]}
    found["the images"] = list(words)
    if any(not inputs.is_url(word) and not Path(word).is_absolute() for word in words):
        found["the working folder"] = str(Path.cwd())
    return found


def _predict(run: Run, given: Given, way: _Way, model: _Model) -> None:
    """Predict all that is left."""
    stuck = f"No image was predicted for {given['no_progress']:g} s, so this run ends; --resume goes on. " + (
        "The cluster may have no room for its processes, or a node of it hangs."
        if given["cluster"]
        else "A file, the model or the service hangs."
    )
    advice = " --resume goes on."
    with Progress(run.inputs, run.done, given["no_progress"], stuck) as progress:
        try:
            if run.done < run.inputs:
                here = _on_cluster(run, given, model) if given["cluster"] else _in_order(run, given, way)
                with here as rows:
                    for chunk, found in rows:
                        run.add(chunk, found)
                        progress.add(len(found))
            advice = ""
        finally:
            failed = sum(run.errors.values())
            said = f"Images: {run.done}, with an error: {failed}, {progress.rate:.1f} images/s.{advice}"
            progress.say(said)


@contextmanager
def _in_order(run: Run, given: Given, way: _Way) -> Iterator[Rows]:
    taken = deque[Chunk]()

    def names() -> Iterator[str]:
        for chunk in run.chunks(1):
            taken.append(chunk)
            yield from chunk.names

    with way(given) as predicted:
        yield ((taken.popleft(), [row]) for row in predicted(names()))


@contextmanager
def _on_cluster(run: Run, given: Given, model: _Model) -> Iterator[Rows]:
    cluster = on_ray.Cluster(given["cluster"], given["threads"], given["gpus"])
    with on_ray.connected(cluster.address) as ray, model(given) as local:
        yield on_ray.predicted(ray, cluster, local, run.chunks(CHUNK), _probe(run))


def _probe(run: Run) -> str | None:
    """A file of this machine that each node must see."""
    first = next(run.chunks(CHUNK)).names
    paths = (Path.cwd() / name for name in first if name and not inputs.is_url(name))
    return next((str(path) for path in paths if path.exists()), None)


def _end() -> None:
    # What hangs inside a library cannot be interrupted; whole shards are on the disk.
    os._exit(1)


class Progress:
    """Says how far a run is, and ends this process if nothing is done for too long. A context manager.

    Args:
        total: the inputs of the run.
        done: those that were done before.
        patience: seconds without an image after which it ends.
        stuck: the sentence that is said then.
        out: where it is said; by default the standard error.
        end: what ends the process.
    """

    def __init__(
        self,
        total: int,
        done: int,
        patience: float,
        stuck: str,
        *,
        out: TextIO | None = None,
        end: Callable[[], None] = _end,
    ) -> None:
        self._total, self._before, self._done = total, done, done
        self._patience, self._stuck, self._end = patience, stuck, end
        self._out = out or sys.stderr
        self._start = self._moved = time.monotonic()
        self._seen = [(self._start, done)]
        self._stop = Event()
        self._thread = Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Progress":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def add(self, images: int) -> None:
        """Count images that are done."""
        self._done += images
        self._moved = time.monotonic()

    @property
    def rate(self) -> float:
        """Images per second of this run, from its start."""
        return (self._done - self._before) / max(time.monotonic() - self._start, 1e-9)

    def _watch(self) -> None:
        pause = _ON_A_TERMINAL if self._out.isatty() else _IN_A_LOG
        said = self._start
        while not self._stop.wait(min(pause, self._patience / 10, 1.0)):
            now = time.monotonic()
            if now - self._moved > self._patience:
                self.say(self._stuck)
                self._end()
                return
            if now - said >= pause:
                said = now
                self._say(self._line(now))

    def say(self, text: str) -> None:
        """Say a sentence, in the place of the line that stands there on a terminal."""
        self._say(text, "\n")

    def _say(self, text: str, end: str = "") -> None:
        # A terminal keeps one line, which the next one replaces. Who listened may be gone; the run goes on.
        with suppress(OSError):
            self._out.write(f"\r\x1b[K{text}{end}" if self._out.isatty() else f"{text}\n")
            self._out.flush()

    def _line(self, now: float) -> str:
        self._seen = [(then, done) for then, done in self._seen if now - then < _LATELY] or self._seen[-1:]
        then, before = self._seen[0]
        self._seen.append((now, self._done))
        rate = (self._done - before) / max(now - then, 1e-9)
        left = f"{in_words((self._total - self._done) / rate)} left" if rate else "time left unknown"
        return f"Images: {self._done} of {self._total}, {rate:.1f} images/s, {left}"


def in_words(seconds: float) -> str:
    """A time in hours and minutes, or in minutes and seconds."""
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s"
