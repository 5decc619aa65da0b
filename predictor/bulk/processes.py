"""Predict with all cores of this machine: processes of one session with one thread each."""

import functools
import itertools
import logging
import multiprocessing
import os
import signal
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from threading import Thread

from predictor.archives import written
from predictor.bulk.inputs import Reader
from predictor.bulk.rows import Row, Work
from predictor.config import Settings
from predictor.errors import Internal, NotReady
from predictor.evaluation.predictors import Checked
from predictor.evaluation.runner import in_order, parallel_map

_FEW = 16  # so many images are done before another process has started
_AHEAD = 4  # images of each process that wait for it or for those before them


@dataclass(frozen=True)
class Local:
    """What a process needs to predict, on this machine or another.

    Attributes:
        model: what it loads.
        settings: of downloads.
        top_k: most classes in a row.
        threshold: as in `Work`.
        folder: where paths begin that are not absolute.
        pipes: whether an image may be a pipe, because somebody watches whether a run goes on.
    """

    model: Checked
    settings: Settings
    top_k: int
    threshold: float | None
    folder: Path = Path()
    pipes: bool = False

    def work(self) -> Work:
        """Load the model into this process.

        Raises:
            InvalidModel: it cannot be loaded.
        """
        predict = partial(self.model.load().predictions, top_k=self.top_k)
        reader = Reader(self.settings, self.folder, pipes=self.pipes)
        return Work(reader.read, predict, self.threshold)


def predicted(local: Local, names: Iterator[str], processes: int) -> Iterator[Row]:
    """Predict images; their rows in the order of the names, which are taken as rows are read.

    Raises:
        PredictorError: nothing can be predicted, whatever the image is.
    """
    few = list(itertools.islice(names, _FEW + 1))
    if len(few) <= _FEW or processes == 1:
        return parallel_map(local.work(), itertools.chain(few, names), processes)
    return _by_processes(local, itertools.chain(few, names), processes)


def _by_processes(local: Local, names: Iterator[str], processes: int) -> Iterator[Row]:
    while True:
        asked = deque[str]()  # those without a row
        try:
            yield from _pooled(local, names, processes, asked)
        except BrokenProcessPool:
            yield from _one_by_one(local, list(asked))
        else:
            return


def _pooled(local: Local, names: Iterator[str], processes: int, asked: deque[str]) -> Iterator[Row]:
    with _pool(local, processes) as pool:

        def submit(name: str) -> Future[Row]:
            asked.append(name)
            return _submitted(pool, name)

        try:
            for row in in_order(submit, names, _AHEAD * processes):
                asked.popleft()
                yield row
        except BaseException:
            # Nobody waits for what is under way. At the end of a whole run the pool is waited for, as its
            # thread and the end of the interpreter would else close the same pipe.
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _pool(local: Local, processes: int) -> ProcessPoolExecutor:
    # A fork would copy the locks of this process's threads; a new interpreter has none.
    context = multiprocessing.get_context("spawn")
    return ProcessPoolExecutor(processes, context, _begin, (local,))


def _one_by_one(local: Local, names: list[str]) -> list[Row]:
    """The rows of images that were under way when a process was killed, perhaps by one of them.

    Raises:
        NotReady: none of many can be predicted, so it is not the image.
    """
    rows = list[Row]()
    while waiting := names[len(rows) :]:
        with _pool(local, 1) as pool, suppress(BrokenProcessPool):
            for name in waiting:
                rows.append(_submitted(pool, name).result())
        if len(rows) + len(waiting) == len(names):
            # It was the first of a new process.
            killed = Internal("The process that predicted the image was killed twice.")
            rows.append(Row(written(waiting[0]), [], killed))
    # Several processes hold more images than this, except at the end of a run.
    if len(rows) > _AHEAD and all(isinstance(row.problem, Internal) for row in rows):
        raise NotReady(
            "The processes that predict are killed; the machine may be out of memory. Fewer processes "
            "(--threads) need less."
        )
    return rows


def _submitted(pool: ProcessPoolExecutor, name: str) -> Future[Row]:
    with _without_interrupts():
        return pool.submit(_row, name)


@contextmanager
def _without_interrupts() -> Iterator[None]:
    """A process that starts in the block never gets Ctrl-C; its parent ends it instead."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


_local: list[Local] = []  # what this process was started with


def _begin(local: Local) -> None:
    # What the runtime says of a model that cannot be loaded would end in a stack on the terminal.
    logging.getLogger("predictor").addHandler(logging.NullHandler())
    _local.append(local)
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """A killed parent sends nothing, and its children would wait for it for good."""
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


@functools.cache
def _work() -> Callable[[str], Row]:
    return _local[0].work()


def _row(name: str) -> Row:
    return _work()(name)
