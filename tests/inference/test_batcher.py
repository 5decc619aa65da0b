"""Images of different requests run together, each gets its own answer, and none waits for ever."""

import gc
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from predictor.errors import Internal, InvalidImage, Overloaded, Stopped
from predictor.inference.batcher import Batcher
from predictor.inference.job import Job, Prepare, Runner
from predictor.inference.pairs import Pairs
from predictor.inference.slots import ComputeSlots
from predictor.model.session import Stop
from predictor.shared import SharedCounters

Array = npt.NDArray[Any]
Make = Callable[..., Batcher]


class Model:
    """A model whose runs wait for `gate`, so that a queue builds up behind the first.

    The score of an image is the image's own number, doubled.
    """

    def __init__(self, max_batch: int = 32) -> None:
        self.gate = threading.Event()
        self.started = threading.Event()
        self.sizes: list[int] = []
        self.seconds = 0.0
        self.running = 0
        self.most_running = 0
        self.lock = threading.Lock()
        self.runner = Runner(self.run, max_batch=max_batch, seconds=1.0, observe=self.sizes.append)

    def run(self, batch: Array) -> Array:
        """Double the images; fail on a batch that holds a negative number."""
        with self.lock:
            self.running += 1
            self.most_running = max(self.most_running, self.running)
        self.started.set()
        assert self.gate.wait(30)
        time.sleep(self.seconds)
        with self.lock:
            self.running -= 1
        if (batch < 0).any():
            raise Internal("negative")
        return batch * 2


@pytest.fixture
def make() -> Iterator[Make]:
    """Build batchers, by default with one thread."""
    with ExitStack() as made:

        def build(slots: ComputeSlots | None = None, threads: int = 1, preparers: int = 0) -> Batcher:
            batcher = Batcher(slots or ComputeSlots(threads), threads, preparers)
            made.callback(batcher.close)
            return batcher

        yield build


def image(number: int) -> Prepare:
    """What makes an image of one pixel."""
    return lambda: np.array([number])


def broken() -> Array:
    """What makes no image."""
    raise InvalidImage("This one is damaged.")


def score(scores: Array) -> int:
    """The only score of an image."""
    return int(scores[0])


def jobs_of(*asked: tuple[Model, Prepare]) -> list[Job]:
    """A job for each."""
    return [Job(model.runner, prepare, score) for model, prepare in asked]


def queue_up(batcher: Batcher, jobs: list[Job], model: Model) -> None:
    """Have the first image run until the model's gate opens, and the others wait behind it."""
    batcher.submit(jobs[:1])
    assert model.started.wait(30)
    for job in jobs[1:]:
        batcher.submit([job])


def results(jobs: list[Job]) -> list[Any]:
    """Each image's answer, or the code of its error."""
    return [
        error.code if (error := job.future.exception(30)) else job.future.result().value  # type: ignore[attr-defined]
        for job in jobs
    ]


def test_one_image(make: Make) -> None:
    """An image alone runs at once, in a batch of one."""
    model = Model()
    model.gate.set()
    (job,) = jobs_of((model, image(21)))

    make().submit([job])
    run = job.future.result(30)

    assert run.value == 42
    assert run.queued >= 0
    assert run.ran >= 0
    assert model.sizes == [1]


def test_run_in_the_thread_that_waits(make: Make) -> None:
    """A thread that waits for its only image runs it itself, when nothing else is to be run."""
    threads = list[threading.Thread]()
    model = Model()
    model.gate.set()

    def prepare() -> Array:
        threads.append(threading.current_thread())
        return np.array([21])

    job = Job(model.runner, prepare, score)
    make().run(job)

    assert job.future.result(0).value == 42
    assert threads == [threading.current_thread()]


def test_waiting_threads_share_a_run(make: Make) -> None:
    """Images for which threads wait run in one batch, by one of these threads, and each has its answer."""
    model, batcher = Model(), make()
    jobs = jobs_of(*((model, image(number)) for number in range(9)))

    with ThreadPoolExecutor(9) as pool:
        first = pool.submit(batcher.run, jobs[0])
        assert model.started.wait(30)
        others = [pool.submit(batcher.run, job) for job in jobs[1:]]
        wait_for(lambda: all(job.turn for job in jobs[1:]))
        model.gate.set()
        for waiting in (first, *others):
            waiting.result(30)

    assert results(jobs) == [2 * number for number in range(9)]
    assert sum(model.sizes) == 9
    assert len(model.sizes) <= 3


def test_waiting_and_own_threads_keep_to_the_slots(make: Make) -> None:
    """Images that come alone and in groups have their answers, and no more runs at a time than slots."""
    model, batcher = Model(max_batch=3), make(ComputeSlots(2), threads=4)
    model.seconds = 0.001
    model.gate.set()

    def ask(number: int) -> list[Any]:
        jobs = jobs_of(*((model, image(10 * number + part)) for part in range(1 + number % 3)))
        if len(jobs) == 1:
            batcher.run(jobs[0])
        else:
            batcher.submit(jobs)
        return results(jobs)

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(600)))

    assert answers == [[2 * (10 * number + part) for part in range(1 + number % 3)] for number in range(600)]
    assert model.most_running == 2


def test_waiting_images_run_together(make: Make) -> None:
    """What waits while the model is busy runs in one batch, and each image gets its own answer."""
    model = Model()
    jobs = jobs_of(*((model, image(number)) for number in range(12)))

    queue_up(make(), jobs, model)
    model.gate.set()

    assert results(jobs) == [2 * number for number in range(12)]
    assert model.sizes == [1, 11]


def test_largest_batch(make: Make) -> None:
    """No run has more images than allowed; what is left runs next."""
    model = Model(max_batch=4)
    jobs = jobs_of(*((model, image(number)) for number in range(12)))

    queue_up(make(), jobs, model)
    model.gate.set()

    assert results(jobs) == [2 * number for number in range(12)]
    assert model.sizes == [1, 4, 4, 3]


def test_images_of_one_request(make: Make) -> None:
    """Images that come together run together from the first run on."""
    model = Model(max_batch=8)
    model.gate.set()
    jobs = jobs_of(*((model, image(number)) for number in range(16)))

    make().submit(jobs)

    assert results(jobs) == [2 * number for number in range(16)]
    assert model.sizes == [8, 8]


def test_each_free_core_has_its_part(make: Make) -> None:
    """Two images that come together run on two free cores rather than in one batch."""
    model = Model(max_batch=2)
    jobs = jobs_of((model, image(1)), (model, image(2)))

    make(threads=2).submit(jobs)
    wait_for(lambda: model.running == 2)
    model.gate.set()

    assert results(jobs) == [2, 4]


def test_broken_image(make: Make) -> None:
    """An image that cannot be prepared gets its error, in whichever place, and is in no batch."""
    model = Model()
    makers = [image(0), broken, image(1), broken, broken, image(2), image(3), broken]
    jobs = jobs_of(*((model, maker) for maker in makers))

    queue_up(make(), jobs, model)
    model.gate.set()

    bad = InvalidImage.code
    assert results(jobs) == [0, bad, 2, bad, bad, 4, 6, bad]
    assert model.sizes == [1, 3]


def test_not_needed(make: Make) -> None:
    """An image whose answer is not needed any more is neither prepared nor run."""
    model, prepared = Model(), list[int]()

    def leave() -> None:
        raise Overloaded

    def prepare() -> Array:
        prepared.append(1)
        return np.array([1])

    model.gate.set()
    job = Job(model.runner, prepare, score, leave)
    make().submit([job])

    assert results([job]) == ["overloaded"]
    assert (prepared, model.sizes) == ([], [])


def test_models_do_not_mix(make: Make) -> None:
    """Images that wait for different models never run together, and each model has its runs."""
    first, second = Model(), Model()
    jobs = jobs_of(*(((first, second)[number % 2], image(number)) for number in range(9)))

    queue_up(make(), jobs, first)
    second.gate.set()
    first.gate.set()

    assert results(jobs) == [2 * number for number in range(9)]
    assert (first.sizes, second.sizes) == ([1, 4], [4])


def test_slots(make: Make) -> None:
    """As many runs happen at the same time as there are slots, and no more."""
    model = Model(max_batch=1)
    jobs = jobs_of(*((model, image(number)) for number in range(6)))

    make(ComputeSlots(2), threads=4).submit(jobs)
    wait_for(lambda: model.running == 2)
    model.gate.set()

    assert results(jobs) == [0, 2, 4, 6, 8, 10]
    assert model.most_running == 2


def test_prepared_ahead(make: Make) -> None:
    """With threads that prepare, images are made while another runs, and then run together."""
    model, made = Model(max_batch=8), list[int]()

    def prepare(number: int) -> Prepare:
        def make_it() -> Array:
            made.append(number)
            return np.array([number])

        return make_it

    jobs = jobs_of(*((model, prepare(number)) for number in range(8)))
    queue_up(make(preparers=2), jobs, model)
    wait_for(lambda: len(made) == 8)
    model.gate.set()

    assert results(jobs) == [2 * number for number in range(8)]
    assert sum(model.sizes) == 8
    assert model.most_running == 1


def test_failed_run(make: Make) -> None:
    """A failure reaches the images of its own run, and those behind it run."""
    model = Model(max_batch=2)
    jobs = jobs_of(*((model, image(number)) for number in (0, -1, 2, 3, 4)))

    queue_up(make(), jobs, model)
    model.gate.set()

    assert results(jobs) == [0, "internal", "internal", 6, 8]


def test_unexpected_failures(make: Make) -> None:
    """Whatever preparing, running or ranking raises, the image has an error without its words."""
    model = Model()
    model.gate.set()

    def fail(*_: object) -> Array:
        raise RuntimeError("/secret")

    failing = Runner(fail, max_batch=2, seconds=1.0, observe=lambda _: None)
    jobs = [
        Job(model.runner, fail, score),
        Job(failing, image(1), score),
        Job(model.runner, image(1), fail),
        Job(model.runner, image(2), score),
    ]
    make().submit(jobs)

    assert results(jobs) == ["internal", "internal", "internal", 4]
    assert "secret" not in str(jobs[0].future.exception())


@pytest.mark.parametrize("rows", [1, 4])
def test_wrong_number_of_answers(make: Make, rows: int) -> None:
    """A model that gives too few or too many rows answers for no image."""
    runner = Runner(lambda _: np.zeros((rows, 1)), max_batch=2, seconds=1.0, observe=lambda _: None)
    jobs = [Job(runner, image(number), score) for number in (1, 2)]

    make().submit(jobs)

    assert results(jobs) == ["internal", "internal"]


def test_learns(make: Make) -> None:
    """What an image took lately is known, whatever was measured at first."""
    model = Model(max_batch=1)
    model.gate.set()
    jobs = jobs_of(*((model, image(1)) for _ in range(100)))
    make().submit(jobs)
    results(jobs)

    assert 0 < model.runner.seconds_per_image < 0.5


def test_learns_from_runs_only(make: Make) -> None:
    """A run that failed, and images that cannot be prepared, say nothing of what an image takes."""
    model = Model()
    model.gate.set()
    jobs = jobs_of((model, image(-1)), (model, broken))
    batcher = make()
    for job in jobs:
        batcher.submit([job])
        results([job])

    assert model.runner.seconds_per_image == 1.0


@pytest.mark.parametrize(("seconds_of_two", "most"), [(1.9, 2), (1.97, 1), (2.5, 1)])
def test_pairs(seconds_of_two: float, most: int) -> None:
    """Both sizes are tried in turns; then two run together if that saves 2.5 % in most runs."""
    pairs, sizes = Pairs(), list[int]()
    for number in range(300):
        size = pairs.max_batch
        sizes.append(size)
        usual = 1.0 if size == 1 else seconds_of_two
        pairs.note(size, {0: usual + 5.0, 1: 0.1}.get(number % 10, usual))

    assert set(sizes[:30]) == {1, 2}
    assert set(sizes[150:]) == {most}


def test_pairs_of_a_quiet_service() -> None:
    """Two run together as soon as two wait; they are compared with what one takes then, and not before."""
    pairs = Pairs()
    for _ in range(1000):
        pairs.note(1, 0.9)
    first = pairs.max_batch
    for _ in range(300):
        size = pairs.max_batch
        pairs.note(size, 1.0 if size == 1 else 1.9)

    assert (first, pairs.max_batch) == (2, 2)


def test_pairs_that_fail(make: Make) -> None:
    """Where a model fails on two images, each is run alone, and two are not tried again."""

    def run(batch: Array) -> Array:
        if len(batch) > 1:
            raise Internal("two")
        return batch

    sizes = list[int]()
    runner = Runner(run, max_batch=Pairs(), seconds=0.001, observe=sizes.append)
    jobs = [Job(runner, image(number), score) for number in range(20)]
    make().submit(jobs)

    assert results(jobs) == list(range(20))
    assert sizes.count(2) == 1


@pytest.mark.parametrize(("shares", "most"), [(False, 1), (True, 2)])
def test_runs_decide_on_pairs(make: Make, shares: bool, most: int) -> None:
    """The time of the processor that runs take decides; waiting images run by twos where that saves it."""

    def run(batch: Array) -> Array:
        end = time.thread_time() + 0.001 * (1 if shares else len(batch) ** 2)
        while time.thread_time() < end:
            pass
        return batch

    sizes = list[int]()
    runner = Runner(run, max_batch=Pairs(), seconds=0.001, observe=sizes.append)
    jobs = [Job(runner, image(1), score) for _ in range(300)]
    make().submit(jobs)
    results(jobs)

    assert set(sizes[:30]) == {1, 2}
    assert set(sizes[-10:-1]) == {most}


@pytest.mark.parametrize("outcome", ["answer", "error"])
def test_nothing_is_kept(make: Make, outcome: str) -> None:
    """Once an image has its answer or its error, its bytes are in memory no more."""
    held = np.zeros(3)
    known = weakref.ref(held)
    model, batcher = Model(), make()
    model.gate.set()

    def prepare(held: Array = held) -> Array:
        if outcome == "error":
            raise InvalidImage(f"{held.shape}")
        return held

    gc.disable()
    try:
        job = Job(model.runner, prepare, score)
        batcher.submit([job])
        results([job])
        del prepare, held, job
        wait_for(lambda: known() is None)
    finally:
        gc.enable()


def test_closed(make: Make) -> None:
    """The threads of a closed batcher end."""
    before = threading.active_count()
    batcher = make(threads=3)
    batcher.close()

    wait_for(lambda: threading.active_count() <= before)


def test_many_threads(make: Make) -> None:
    """Under load from many threads each image gets its own answer."""
    models = [Model(max_batch=5), Model(max_batch=3)]
    for model in models:
        model.gate.set()
    batcher = make(threads=2)

    def ask(number: int) -> int:
        (job,) = jobs_of((models[number % 2], image(number)))
        batcher.submit([job])
        found: int = job.future.result(30).value
        return found

    with ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(2000)))

    assert answers == [2 * number for number in range(2000)]
    assert max(models[0].sizes) <= 5
    assert max(models[1].sizes) <= 3


def wait_for(condition: Callable[[], bool]) -> None:
    """Wait until something holds, for as long as a busy machine may need."""
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.001)


class TestSpare:
    """What can wait runs while nothing else does."""

    def test_runs(self, make: Make) -> None:
        """Jobs that can wait are all run, before this returns."""
        model, batcher = Model(), make(ComputeSlots(2), threads=2)
        model.gate.set()
        jobs = jobs_of(*[(model, image(number)) for number in range(20)])

        batcher.run_spare(jobs)

        assert [job.future.result(0).value for job in jobs] == [2 * number for number in range(20)]

    def test_others_first(self, make: Make) -> None:
        """An image that comes while they wait runs next."""
        model, batcher, order = Model(max_batch=1), make(), list[int]()
        waiting = [
            Job(model.runner, image(number), lambda scores: order.append(score(scores)))
            for number in range(5)
        ]
        thread = threading.Thread(target=batcher.run_spare, args=(waiting,))
        thread.start()
        assert model.started.wait(30)
        late = Job(model.runner, image(100), lambda scores: order.append(score(scores)))
        batcher.submit([late])

        model.gate.set()
        thread.join()

        assert order == [0, 200, 2, 4, 6, 8]

    def test_one_core_is_left(self, make: Make) -> None:
        """After an image they leave a core to the next one, which then runs at once."""
        model, batcher = Model(max_batch=1), make(ComputeSlots(2), threads=2)
        model.gate.set()
        (first,) = jobs_of((model, image(1)))
        batcher.run(first)
        model.gate.clear()
        thread = threading.Thread(
            target=batcher.run_spare, args=(jobs_of(*[(model, image(2))] * 3),), daemon=True
        )
        thread.start()
        wait_for(lambda: model.running == 1)
        (late,) = jobs_of((model, image(3)))
        batcher.submit([late])
        wait_for(lambda: model.running == 2)

        model.gate.set()
        thread.join()
        assert late.future.result(30).value == 6

    @pytest.mark.parametrize("elsewhere", [False, True], ids=["here", "in another worker"])
    def test_interrupted(self, make: Make, elsewhere: bool) -> None:
        """Its run ends for an image that others wait for, and is run once more, then to its end."""
        counters, begun = SharedCounters(), list[int]()
        batcher = make(ComputeSlots(1, 2, 2, index=0, shared=counters))
        other, going_on = Model(max_batch=1), threading.Event()
        other.gate.set()

        def run(batch: npt.NDArray[Any], stop: Stop | None = None) -> npt.NDArray[Any]:
            begun.append(len(begun))
            while not going_on.wait(0.001):
                if stop and stop.options.terminate:
                    raise Stopped("for others")
            return 2 * batch

        slow = Runner(run, max_batch=1, seconds=0.01, observe=lambda _: None)
        spare = Job(slow, image(1), score, stop=Stop())
        thread = threading.Thread(target=batcher.run_spare, args=([spare],), daemon=True)
        thread.start()
        wait_for(lambda: len(begun) == 1)
        if elsewhere:
            counters.set(1, 1)
            wait_for(lambda: next(iter(counters.of(2))) == 0)
            counters.set(1, 0)
        else:
            (late,) = jobs_of((other, image(3)))
            batcher.submit([late])
            assert late.future.result(30).value == 6
        wait_for(lambda: len(begun) == 2)
        batcher.submit(jobs_of((other, image(3))))
        going_on.set()

        thread.join(30)
        assert (spare.future.result(0).value, begun) == (2, [0, 1])

    @pytest.mark.parametrize("spare", [False, True])
    def test_stopped_by_another(self, make: Make, spare: bool) -> None:
        """One whose run the watchdog ends has its error; what can wait is tried once more before."""
        runs = list[bool]()

        def run(batch: npt.NDArray[Any], stop: Stop | None = None) -> npt.NDArray[Any]:
            runs.append(stop is not None)
            raise Stopped("takes too long")

        slow = Runner(run, max_batch=1, seconds=0.01, observe=lambda _: None)
        job = Job(slow, image(1), score, stop=Stop() if spare else None)
        batcher = make()

        batcher.run_spare([job]) if spare else batcher.submit([job])

        assert isinstance(job.future.exception(30), Stopped)
        assert runs == ([True, False] if spare else [False])

    def test_not_needed(self, make: Make) -> None:
        """One that is not needed any more does not wait until the others have run."""
        model, batcher, gone = Model(max_batch=1), make(), threading.Event()

        def check() -> None:
            if gone.is_set():
                raise Overloaded("too late")

        first, second = jobs_of(*[(model, image(1))] * 2)
        batcher.submit([first, second])
        assert model.started.wait(30)
        spare = Job(model.runner, image(3), score, check)
        thread = threading.Thread(target=batcher.run_spare, args=([spare],), daemon=True)
        thread.start()
        gone.set()

        thread.join(30)
        assert isinstance(spare.future.exception(0), Overloaded)
        model.gate.set()
        assert [job.future.result(30).value for job in (first, second)] == [2, 2]

    def test_errors(self, make: Make) -> None:
        """One that fails or is not needed any more has its error, and the others run."""
        model = Model()
        model.gate.set()

        def left() -> None:
            raise Overloaded("too late")

        jobs = [*jobs_of((model, image(1)), (model, broken)), Job(model.runner, image(3), score, left)]

        make(preparers=1).run_spare(jobs)

        assert jobs[0].future.result(0).value == 2
        assert isinstance(jobs[1].future.exception(0), InvalidImage)
        assert isinstance(jobs[2].future.exception(0), Overloaded)
