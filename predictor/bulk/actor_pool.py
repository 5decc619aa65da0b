"""Hand out chunks to processes of a cluster, and replace those that die.

An actor is never restarted by Ray, which would need its arguments from an object store that may be gone. A
new one takes its place, and what the dead one had is handed out again.
"""

import dataclasses
import itertools
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

from predictor.archives import written
from predictor.bulk.rows import Row
from predictor.bulk.shards import Chunk
from predictor.errors import Internal, NotReady, PredictorError

Rows = Iterator[tuple[Chunk, list[Row]]]
"""Chunks with their rows."""
_AHEAD = 2  # chunks of each process, so that it has one when it is done with the other
_DEATHS = 2  # so often a process must have died with an image before the image is to blame
_SURE = 20  # so many deaths, and two of each process, without a row between them are no chance


@dataclass
class _Task:
    """A chunk, and how often a process died with it."""

    chunk: Chunk
    deaths: int = 0

    def again(self) -> Iterator["_Task"]:
        """What to do after another death; nothing if it is one image, which is to blame."""
        names, start = self.chunk.names, self.chunk.start
        if self.deaths + 1 < _DEATHS:
            yield _Task(self.chunk, self.deaths + 1)
        elif len(names) > 1:
            half = len(names) // 2
            yield _Task(dataclasses.replace(self.chunk, names=names[:half]), self.deaths)
            yield _Task(dataclasses.replace(self.chunk, names=names[half:], start=start + half), self.deaths)


@dataclass(eq=False)
class _Actor:
    """An actor, with the number of tasks that it has; none is given before it is ready."""

    handle: Any
    ready: bool = False
    tasks: int = 0


@dataclass
class ActorPool:
    """The actors of a run, each a process of the cluster.

    Attributes:
        ray: has the functions `wait`, `get` and `kill`, and the `exceptions`, of Ray.
        make: starts an actor; the actor, and the reference that is there when it has its model.
        count: how many there are.
    """

    ray: Any
    make: Callable[[], tuple[Any, Any]]
    count: int
    actors: list[_Actor] = field(default_factory=list)
    waiting: dict[Any, tuple[_Actor, _Task | None]] = field(default_factory=dict)
    queue: deque[_Task] = field(default_factory=deque)
    deaths: int = 0

    def run(self, chunks: Iterator[Chunk]) -> Rows:
        """Hand out chunks until each has its rows."""
        for _ in range(self.count):
            self._start()
        try:
            while self._hand_out(chunks):
                (reference,), _ = self.ray.wait(list(self.waiting), num_returns=1)
                actor, task = self.waiting.pop(reference)
                yield from self._received(reference, actor, task)
        finally:
            for actor in self.actors:
                self.ray.kill(actor.handle)

    def _start(self) -> None:
        handle, begun = self.make()
        self.actors.append(_Actor(handle))
        self.waiting[begun] = self.actors[-1], None

    def _hand_out(self, chunks: Iterator[Chunk]) -> bool:
        """Give tasks to those that are ready; whether any is left or at work."""
        for actor in sorted(self.actors, key=lambda one: one.tasks):
            while actor.ready and actor.tasks < _AHEAD and self._next(chunks):
                # With a task that may kill its process, another one would be lost.
                if self.queue[0].deaths and actor.tasks:
                    break
                task = self.queue.popleft()
                actor.tasks += _AHEAD if task.deaths else 1
                self.waiting[actor.handle.rows.remote(task.chunk.names)] = actor, task
        return self._next(chunks) or any(task for _, task in self.waiting.values())

    def _next(self, chunks: Iterator[Chunk]) -> bool:
        """Whether the queue has a task, if need be a new one."""
        if not self.queue:
            self.queue.extend(map(_Task, itertools.islice(chunks, 1)))
        return bool(self.queue)

    def _received(self, reference: Any, actor: _Actor, task: _Task | None) -> Rows:
        errors = self.ray.exceptions
        try:
            rows = self.ray.get(reference)
        except errors.RayTaskError as error:
            raise _cause(error) from error
        except errors.RayError:
            yield from self._lost(actor, task)
            return
        actor.ready = True
        if task is not None:
            actor.tasks -= _AHEAD if task.deaths else 1
            self.deaths = 0
            yield task.chunk, rows

    def _lost(self, actor: _Actor, task: _Task | None) -> Rows:
        """Replace a process that died, and hand out its task again, or blame its only image."""
        if actor in self.actors:
            self.actors.remove(actor)
            self.ray.kill(actor.handle)
            self.deaths += 1
            if self.deaths > _SURE + 2 * self.count:
                raise NotReady(
                    "The processes on the cluster end before they predict. Each node needs this version of "
                    "image-prediction-api with its extra `ray`, and memory for the model."
                )
            self._start()
        if task is not None:
            again = list(task.again())
            self.queue.extendleft(reversed(again))
            if not again:
                problem = Internal("The process that predicted the image was killed twice.")
                yield task.chunk, [Row(written(task.chunk.names[0]), [], problem)]


def _cause(error: Any) -> PredictorError:
    """What a process raised, for the caller."""
    if isinstance(error.cause, PredictorError):
        return error.cause.bare()
    return NotReady(
        f"A process on the cluster failed ({type(error.cause).__name__}). Each node needs this version of "
        "image-prediction-api with its extra `ray`."
    )
