"""Chunks are handed out to processes that may die, and each image has one row in the end."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from predictor.bulk.actor_pool import ActorPool
from predictor.bulk.rows import Row
from predictor.bulk.shards import Chunk
from predictor.errors import Internal, NotReady


class RayError(Exception):
    """Something of the cluster is lost."""


class RayTaskError(RayError):
    """The code of a task raised something."""

    def __init__(self, cause: Exception) -> None:
        self.cause = cause


@dataclass
class Exceptions:
    """Those of Ray that matter."""

    RayError = RayError
    RayTaskError = RayTaskError


@dataclass(eq=False)
class Call:
    """A call of an actor that is under way; it is done when its result is asked for."""

    actor: "Actor"
    work: Callable[[], Any]


@dataclass(eq=False)
class Actor:
    """An actor that ends with an image called `end`, and raises with one called `raise`."""

    alive: bool = True
    killed: bool = False

    @property
    def rows(self) -> "Actor":
        """The method."""
        return self

    def remote(self, names: tuple[str, ...]) -> Call:
        """Call it."""
        return Call(self, lambda: self._rows(names))

    def _rows(self, names: tuple[str, ...]) -> list[Row]:
        if "end" in names:
            self.alive = False
            raise RayError
        if "raise" in names:
            raise RayTaskError(NotReady("The model is gone."))
        return [Row(name, []) for name in names]


@dataclass
class Ray:
    """A cluster in this process, whose calls are ready in any order."""

    exceptions: Exceptions = field(default_factory=Exceptions)
    actors: list[Actor] = field(default_factory=list)
    random: Random = field(default_factory=lambda: Random(1))
    mortal: int = 0  # so many of the first actors end before they have their model

    def make(self) -> tuple[Actor, Call]:
        """Start an actor."""
        actor = Actor(alive=len(self.actors) >= self.mortal)
        self.actors.append(actor)
        return actor, Call(actor, lambda: None)

    def wait(self, calls: list[Call], num_returns: int) -> tuple[list[Call], list[Call]]:
        """One of the calls that are ready."""
        assert num_returns == 1
        ready = self.random.randrange(len(calls))
        return calls[ready : ready + 1], calls[:ready] + calls[ready + 1 :]

    def get(self, call: Call) -> Any:
        """The result of a call."""
        if not call.actor.alive:
            raise RayError
        return call.work()

    def kill(self, actor: Actor) -> None:
        """End an actor."""
        actor.killed = True


def chunks(names: list[str], size: int) -> Iterator[Chunk]:
    """Chunks of one shard."""
    for start in range(0, len(names), size):
        yield Chunk(0, start, tuple(names[start : start + size]))


def found(ray: Ray, names: list[str], size: int, count: int = 3) -> list[Row]:
    """The rows of all images, in order; each chunk has as many rows as images."""
    rows = dict[int, Row]()
    for chunk, some in ActorPool(ray, ray.make, count).run(chunks(names, size)):
        assert len(chunk.names) == len(some)
        for number, row in enumerate(some, chunk.start):
            assert number not in rows
            rows[number] = row
    return [rows[number] for number in sorted(rows)]


def test_all() -> None:
    """Each image has its row, and no process outlives the run."""
    ray = Ray()
    names = [str(number) for number in range(100)]

    assert [row.name for row in found(ray, names, 7)] == names
    assert [actor.killed for actor in ray.actors] == [True] * 3


def test_images_that_end_processes() -> None:
    """An image that ends its process has an error, and all others of its chunk have their rows."""
    names = ["end" if number in {0, 31, 32, 77} else str(number) for number in range(100)]

    rows = found(Ray(), names, 32)

    assert [row.name for row in rows] == names
    assert [row.name for row in rows if isinstance(row.problem, Internal)] == ["end"] * 4


@pytest.mark.parametrize("size", [1, 2])
def test_neighbours_are_not_to_blame(size: int) -> None:
    """What waits in a process when another image ends it is predicted again, however often that happens."""
    names = ["end" if number % 2 else str(number) for number in range(40)]

    rows = found(Ray(), names, size, count=1)

    assert [row.name for row in rows if row.problem is None] == [name for name in names if name != "end"]


def test_processes_that_die_at_their_start() -> None:
    """A process that dies before it has its model is replaced; if all do, the run ends with a sentence."""
    names = [str(number) for number in range(10)]

    assert [row.name for row in found(Ray(mortal=10), names, 2)] == names
    with pytest.raises(NotReady, match="end before they predict"):
        found(Ray(mortal=1000), names, 2)


def test_error_of_all_images() -> None:
    """What is wrong with every image ends the run with its sentence, and the processes."""
    ray = Ray()

    with pytest.raises(NotReady, match="The model is gone"):
        found(ray, ["a", "raise"], 1)
    assert all(actor.killed for actor in ray.actors)


def test_lazy() -> None:
    """Chunks are taken as processes need them, so any number of them needs little memory."""
    taken = list[int]()

    def endless() -> Iterator[Chunk]:
        while True:
            taken.append(1)
            yield Chunk(len(taken), 0, ("a",))

    ray = Ray()
    rows = ActorPool(ray, ray.make, 3).run(endless())
    for _ in range(50):
        next(rows)

    assert len(taken) < 50 + 3 * 2 + 2
    rows.close()  # type: ignore[attr-defined] # it is a generator
