"""Pictures of one request that one thread takes: when the first must be computed, the others go with it.

So a thread has a full batch of its own, and neither waits for another thread nor has to be woken by one.
"""

from collections.abc import Callable, Iterator
from dataclasses import replace

from predictor.runtime.batch import Array, Prepare, Run

Tensor = Callable[[], Array]
"""Makes a picture's tensor, without a batch axis; or raises why there is none."""
RunAll = Callable[[Prepare, int], Run]
"""Runs pictures, of which there are at most so many; or raises why none was run."""


class _NothingToRunError(Exception):
    """Each picture has an error of its own."""


class Together:
    """The pictures that wait, and what came of those that were run.

    Args:
        run: runs them.
    """

    def __init__(self, run: RunAll) -> None:
        self._run = run
        self._waiting: dict[int, Tensor] = {}
        self._keys = set[str | None]()
        self._came: dict[int, Run | Exception] = {}

    def add(self, place: int, prepare: Tensor, key: str | None = None) -> None:
        """Have a picture go with the first that is run.

        Args:
            place: names the picture; they are asked for in this order.
            prepare: makes its tensor.
            key: the same for equal pictures, of which only the first goes; by default all are different.
        """
        if key is None or key not in self._keys:
            self._waiting[place] = prepare
            self._keys.add(key)

    def run(self, place: int, prepare: Tensor) -> Run:
        """The run of one picture, alone if it was not added or asks for the second time.

        Args:
            place: names the picture.
            prepare: makes its tensor.

        Raises:
            Exception: the picture or the run failed.
        """
        if place in self._waiting:
            self._run_waiting(place)
        came = self._came.pop(place, None) or self._run(lambda: [prepare()], 1)
        if isinstance(came, Exception):
            raise came
        return came

    def _run_waiting(self, first: int) -> None:
        # Those before it had their answer from elsewhere.
        waiting = {place: make for place, make in self._waiting.items() if place >= first}
        self._waiting = {}
        ready = dict[int, Array]()

        def prepare() -> list[Array]:
            ready.update(self._tensors(waiting))
            if not ready:
                raise _NothingToRunError
            return list(ready.values())

        try:
            run = self._run(prepare, len(waiting))
        except _NothingToRunError as nothing:
            # Its frames hold the pictures, and are held by it, until the collector comes by.
            nothing.with_traceback(None)
            return
        except Exception as error:  # noqa: BLE001 (raised for each picture that has no error of its own)
            for place in waiting:
                self._came.setdefault(place, error)
            return
        for row, place in enumerate(ready):
            self._came[place] = replace(run, scores=run.scores[row : row + 1])

    def _tensors(self, waiting: dict[int, Tensor]) -> Iterator[tuple[int, Array]]:
        """The tensors of those pictures that have one."""
        for place, make in waiting.items():
            try:
                yield place, make()
            except Exception as error:  # noqa: BLE001 (raised when this picture is asked for)
                self._came[place] = error
