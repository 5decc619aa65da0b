"""What can be answered in time is taken on, and nothing else."""

import threading
import time
from collections.abc import Iterator

import pytest

from predictor import shared
from predictor.config import Settings
from predictor.errors import Overloaded
from predictor.inference.admission import Admission, Deadline

PATIENT = Deadline()


@pytest.fixture(autouse=True)
def alone() -> Iterator[None]:
    """No worker has told how many images it has before or after a test."""
    for slot in range(8):
        shared.release(slot)
    yield
    for slot in range(8):
        shared.release(slot)


def admission(**settings: object) -> Admission:
    """An admission of a worker that is alone, with eight places."""
    return Admission(Settings(**{"max_queue": 8, "workers": 1, **settings}))  # type: ignore[arg-type]


def test_bound() -> None:
    """Images are counted, not requests; past the bound a request is refused, and later accepted again."""
    door = admission()

    with door.reserve(6, 1.0, PATIENT):
        assert door.waiting == 6
        with pytest.raises(Overloaded), door.reserve(3, 1.0, PATIENT):
            pass
        with door.reserve(2, 1.0, PATIENT):
            pass
    assert door.waiting == 0
    with door.reserve(3, 1.0, PATIENT):
        pass


def test_first_is_accepted() -> None:
    """A request that finds nobody waiting is accepted however many images it has."""
    with admission().reserve(9, 1.0, PATIENT):
        pass


def test_retry_after() -> None:
    """When to come back is what waits, times what an image takes, in whole seconds."""
    door = admission(workers=10_000)

    with door.reserve(8, 0.7, PATIENT), pytest.raises(Overloaded) as refused, door.reserve(1, 0.7, PATIENT):
        pass

    assert refused.value.retry_after == 6


def test_too_late() -> None:
    """An image that would be begun after its caller's deadline is refused at once; a shorter wait is not."""
    door = admission(workers=10_000)

    with door.reserve(4, 0.5, PATIENT):
        with pytest.raises(Overloaded, match="deadline"), door.reserve(1, 0.5, Deadline(timeout=1.5)):
            pass
        with door.reserve(1, 0.5, Deadline(timeout=2.5)):
            pass


def test_crowded() -> None:
    """The mark is reached at three quarters of all places, and left again below one half."""
    door = admission()
    seen = []

    for images in (5, 6, 5, 4, 3, 5):
        with door.reserve(images, 1.0, PATIENT):
            seen.append(door.crowded)

    assert seen == [False, True, True, True, False, False]


def test_crowded_together() -> None:
    """What waits in other workers counts, too."""
    door = admission(workers=2)
    with door.reserve(6, 1.0, PATIENT):
        assert not door.crowded
        shared.waiting.set(1, 6)

        assert door.crowded


def test_patience() -> None:
    """A caller waits until its time is over."""
    assert Deadline(timeout=60).still_wanted()
    assert not Deadline(timeout=60).still_wanted(61)
    assert not Deadline(timeout=1, since=time.monotonic() - 2).still_wanted()


def test_gone() -> None:
    """Whether a caller has left is asked only of those who had the time to leave."""
    asked = list[float]()

    def gone() -> bool:
        asked.append(time.monotonic())
        return True

    assert Deadline(disconnected=gone).still_wanted()
    assert asked == []
    assert not Deadline(disconnected=gone, since=time.monotonic() - 1).still_wanted()


def test_many_threads() -> None:
    """However many come and go at once, all places are free in the end."""
    door = admission(max_queue=50)

    def come_and_go() -> None:
        for _ in range(200):
            with door.reserve(1, 0.0, PATIENT):
                pass

    threads = [threading.Thread(target=come_and_go) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert list(shared.waiting.of(1)) == [0]
