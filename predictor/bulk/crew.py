"""Hand out pieces to processes of a cluster, and replace those that die.

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
from predictor.bulk.shards import Piece
from predictor.errors import Internal, NotReady, PredictorError

Rows = Iterator[tuple[Piece, list[Row]]]
"""Pieces with their rows."""
_AHEAD = 2  # pieces of each process, so that it has one when it is done with the other
_DEATHS = 2  # so often a process must have died with an image before the image is to blame
_SURE = 20  # so many deaths, and two of each process, without a row between them are no chance


@dataclass
class _Task:
    """A piece, and how often a process died with it."""

    piece: Piece
    deaths: int = 0

    def again(self) -> Iterator["_Task"]:
        """What to do after another death; nothing if it is one image, which is to blame."""
        names, start = self.piece.names, self.piece.start
        if self.deaths + 1 < _DEATHS:
            yield _Task(self.piece, self.deaths + 1)
        elif len(names) > 1:
            half = len(names) // 2
            yield _Task(dataclasses.replace(self.piece, names=names[:half]), self.deaths)
            yield _Task(dataclasses.replace(self.piece, names=names[half:], start=start + half), self.deaths)


@dataclass(eq=False)
class _Member:
    """An actor, with the number of tasks that it has; none is given before it is ready."""

    actor: Any
    ready: bool = False
    tasks: int = 0


@dataclass
class Crew:
    """The processes of a run.

    Attributes:
        ray: has the functions `wait`, `get` and `kill`, and the `exceptions`, of Ray.
        make: starts an actor; the actor, and the reference that is there when it has its model.
        count: how many there are.
    """

    ray: Any
    make: Callable[[], tuple[Any, Any]]
    count: int
    members: list[_Member] = field(default_factory=list)
    waiting: dict[Any, tuple[_Member, _Task | None]] = field(default_factory=dict)
    queue: deque[_Task] = field(default_factory=deque)
    deaths: int = 0

    def run(self, pieces: Iterator[Piece]) -> Rows:
        """Hand out pieces until each has its rows."""
        for _ in range(self.count):
            self._start()
        try:
            while self._hand_out(pieces):
                (reference,), _ = self.ray.wait(list(self.waiting), num_returns=1)
                member, task = self.waiting.pop(reference)
                yield from self._received(reference, member, task)
        finally:
            for member in self.members:
                self.ray.kill(member.actor)

    def _start(self) -> None:
        actor, begun = self.make()
        self.members.append(_Member(actor))
        self.waiting[begun] = self.members[-1], None

    def _hand_out(self, pieces: Iterator[Piece]) -> bool:
        """Give tasks to those that are ready; whether any is left or at work."""
        for member in sorted(self.members, key=lambda one: one.tasks):
            while member.ready and member.tasks < _AHEAD and self._next(pieces):
                # With a task that may kill its process, another one would be lost.
                if self.queue[0].deaths and member.tasks:
                    break
                task = self.queue.popleft()
                member.tasks += _AHEAD if task.deaths else 1
                self.waiting[member.actor.rows.remote(task.piece.names)] = member, task
        return self._next(pieces) or any(task for _, task in self.waiting.values())

    def _next(self, pieces: Iterator[Piece]) -> bool:
        """Whether the queue has a task, if need be a new one."""
        if not self.queue:
            self.queue.extend(map(_Task, itertools.islice(pieces, 1)))
        return bool(self.queue)

    def _received(self, reference: Any, member: _Member, task: _Task | None) -> Rows:
        errors = self.ray.exceptions
        try:
            rows = self.ray.get(reference)
        except errors.RayTaskError as error:
            raise _cause(error) from error
        except errors.RayError:
            yield from self._lost(member, task)
            return
        member.ready = True
        if task is not None:
            member.tasks -= _AHEAD if task.deaths else 1
            self.deaths = 0
            yield task.piece, rows

    def _lost(self, member: _Member, task: _Task | None) -> Rows:
        """Replace a process that died, and hand out its task again, or blame its only image."""
        if member in self.members:
            self.members.remove(member)
            self.ray.kill(member.actor)
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
                yield task.piece, [Row(written(task.piece.names[0]), [], problem)]


def _cause(error: Any) -> PredictorError:
    """What a process raised, for the caller."""
    if isinstance(error.cause, PredictorError):
        return error.cause.bare()
    return NotReady(
        f"A process on the cluster failed ({type(error.cause).__name__}). Each node needs this version of "
        "image-prediction-api with its extra `ray`."
    )
