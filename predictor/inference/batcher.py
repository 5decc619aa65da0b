"""Images wait in one queue; who gets a slot takes them, and runs those of one model together.

Nothing waits for a batch to fill: a thread that gets a slot takes what is there by then. On the CPU it
prepares its images and runs them, so that a core does one thing after the other. Where a thread waits for one
of the images, it is that thread: two more changes of threads for each image cost 4 % of the rate at 32
connections. On a GPU other threads prepare images while one thread runs those that are ready.
"""

import threading
from collections import deque
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait

from predictor.inference.job import Job, Run, compute
from predictor.inference.slots import ComputeSlots
from predictor.inference.turn import Turn

# How often what can wait looks for a core that another worker has given back, and how often in that time
# whether another worker wants to predict.
_LOOK_SECONDS, _LOOKS = 0.02, 10


class Batcher:
    """The images that wait in this worker, and the threads that compute them.

    Args:
        slots: how many threads may compute at the same time.
        threads: of its own, for images that no thread waits for alone.
        preparers: threads that prepare images ahead of their run; with none, the thread that runs an image
            prepares it.
    """

    def __init__(self, slots: ComputeSlots, threads: int, preparers: int = 0) -> None:
        self._slots = slots
        self._queue: deque[Job] = deque()
        # What runs only while the queue is empty, and what of it is at work.
        self._spare: deque[Job] = deque()
        self._behind = list[Job]()
        self._ready = threading.Condition()
        # Slots taken for threads that have not taken an image yet; how many of these threads are own ones.
        self._granted = 0
        self._called = 0
        self._closed = False
        self._preparers = ThreadPoolExecutor(preparers, "prepare") if preparers else None
        for number in range(threads):
            threading.Thread(target=self._work, name=f"compute-{number}", daemon=True).start()

    def submit(self, jobs: Sequence[Job]) -> None:
        """Have images prepared and run, together with others that wait for the same model."""
        if self._preparers:
            for job in jobs:
                self._preparers.submit(self._prepare, job)
        else:
            self._put(jobs)

    def run(self, job: Job) -> None:
        """Have one image prepared and run, in this thread if its turn comes before another takes it along."""
        if self._preparers:
            self.submit([job])
            return
        turn = job.turn = Turn()
        self._put([job])
        if turn.wait():
            self._lead()

    def run_spare(self, jobs: Sequence[Job]) -> None:
        """Have images run while no others wait, on cores that these leave free; return once all have run.

        A run of a job that has a `stop` is interrupted for others, and run again. An image that is not needed
        any more does not wait for its turn.
        """
        for job in jobs if self._preparers else ():
            job.make()
        with self._ready:
            self._spare.extend(job for job in jobs if not job.future.done())
        while not self._closed and (left := [job for job in jobs if not job.future.done()]):
            with self._ready:
                for job in [job for job in jobs if job in self._spare and job.drop()]:
                    self._spare.remove(job)
                self._grant()
            self._look(left[0].future)

    def _look(self, future: "Future[Run]") -> None:
        """Wait a while for a job that can wait, and end its run if another worker wants to predict."""
        for _ in range(_LOOKS):
            if self._behind and self._slots.others():
                self._interrupt()
            if wait([future], _LOOK_SECONDS / _LOOKS).done:
                return

    def close(self) -> None:
        """End the threads; what waits is not run any more."""
        with self._ready:
            self._closed = True
            self._ready.notify_all()
        if self._preparers:
            self._preparers.shutdown(wait=False)

    def _prepare(self, job: Job) -> None:
        if job.make():
            self._put([job])

    def _interrupt(self) -> None:
        """End the runs of what can wait."""
        for job in list(self._behind):
            if job.stop:
                job.stop()

    def _put(self, jobs: Sequence[Job]) -> None:
        self._interrupt()
        with self._ready:
            self._queue.extend(jobs)
            self._grant()

    def _grant(self, *, spare: bool = True) -> None:
        """Wake threads while there are images for them and free slots; of what can wait, only if it may."""
        here = True
        while len(self._queue) > self._granted and self._slots.take():
            self._granted += 1
            self._wake(here=here)
            # This thread leaves its core to one of them.
            here = False
        while spare and not self._queue and len(self._spare) > self._granted and self._slots.take_spare():
            self._granted += 1
            self._wake()

    def _wake(self, *, here: bool = False) -> None:
        """Wake a thread that waits for one of the images, on this core or any, or else one of our own."""
        for job in self._queue:
            if job.turn:
                job.turn.tell(run=True, here=here)
                job.turn = None
                return
        self._called += 1
        self._ready.notify()

    def _lead(self) -> None:
        """Use a slot that was taken for this thread, for one batch."""
        with self._ready:
            self._granted -= 1
            batch = self._taken()
        compute(batch)
        with self._ready:
            self._ended(batch)
            # This thread has an answer to send, for which it needs a core and the interpreter.
            self._grant(spare=False)

    def _ended(self, batch: list[Job]) -> None:
        """Give back the slot of a run; what was interrupted waits again."""
        self._slots.give_back()
        if self._behind:
            self._behind = [job for job in self._behind if job not in batch]
            self._spare.extendleft(job for job in batch if not job.future.done())
        # The last images must not stay in memory until others come.
        batch.clear()

    def _work(self) -> None:
        batch = self._next([])
        while batch:
            compute(batch)
            batch = self._next(batch)

    def _next(self, ended: list[Job]) -> list[Job]:
        """Wait for a slot and images; none once the batcher is closed.

        Args:
            ended: the images of this thread's last run, if it has a slot, which it gives back.
        """
        with self._ready:
            if ended:
                self._ended(ended)
                # This thread goes on where it can; to wake another for that would cost a core twice.
                if len(self._queue) > self._granted and self._slots.take():
                    self._granted += 1
                    self._called += 1
                self._grant()
            while self._ready.wait_for(lambda: self._called or self._closed) and not self._closed:
                self._called -= 1
                self._granted -= 1
                if batch := self._taken():
                    return batch
                self._slots.give_back()
        return []

    def _taken(self) -> list[Job]:
        """The image that waits first, and others for its model; each thread that was woken keeps one."""
        waiting = self._queue or self._spare
        if not waiting:
            return []
        runner = waiting[0].runner
        room = min(runner.max_batch, max(1, len(waiting) - self._granted))
        batch, rest = list[Job](), list[Job]()
        for job in waiting:
            (batch if job.runner is runner and len(batch) < room else rest).append(job)
        if waiting is self._spare:
            self._behind += batch
        waiting.clear()
        waiting.extend(rest)
        return batch
