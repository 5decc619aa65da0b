"""Machines that die or hang at a chosen step of an upload: nobody waits beyond a bound, all agree at last."""

import signal
import time
from collections.abc import Callable

import pytest
import requests

from tests.cluster.real.cluster import DEAD, Cluster, in_background, killed, wait
from tests.cluster.real.figures import Row
from tests.cluster.real.judge import judge
from tests.cluster.real.machine import POLL_SECONDS, Machine
from tests.cluster.real.wire import Moment

pytestmark = pytest.mark.cluster
# What an upload takes by itself on a busy machine; the bounds below come on top of it.
UPLOAD_SECONDS = 30.0
STEPS: dict[str, tuple[str, Moment]] = {
    "before it announces": ("PUT pending", "before"),
    "after it has announced": ("PUT pending", "after"),
    "before it decides": ("PUT changes", "before"),
    "after it has decided": ("PUT changes", "after"),
}


def lost(machine: Machine, number: int) -> Callable[[], object]:
    """An upload at a machine that dies during it."""

    def upload() -> object:
        try:
            return machine.upload(number)
        except requests.RequestException as error:
            return error

    return upload


@pytest.mark.parametrize("step", STEPS)
def test_author_dies(cluster: Cluster, figure: Row, step: str) -> None:
    """The author is killed at a step of its upload: the next one elsewhere succeeds; the author follows."""
    kind, moment = STEPS[step]
    before = cluster.upload(cluster.machines[1])
    author, others = cluster.machines[0], cluster.machines[1:]
    number = cluster.next_number()
    sprung = cluster.wires[author].once(kind, moment, killed(author))
    with cluster.load(*others) as sent:
        with in_background(lost(author, number)):
            wait(sprung)
        died = time.monotonic()
        image = cluster.image.read_bytes()
        if step == "after it has decided":
            settled = max(other.until(number, image) for other in others)
        else:
            settled = cluster.agree(before.number, others)
        second = cluster.upload_soon(others[0], DEAD + UPLOAD_SECONDS)
        took = time.monotonic() - died
        cluster.agree(second.number, others)
    found = judge(sent, [second])
    back = author.start()
    agreed = cluster.agree(second.number)

    figure(
        f"the author dies {step}",
        f"the next upload is not blocked beyond {DEAD:g} s and its own time",
        f"the others agree after {settled:.1f} s, next upload answered after {took:.1f} s; {found}; "
        f"back after {back:.1f} s with the version of all",
    )
    assert (found.failed, found.old) == (0, 0)
    assert agreed < 5


@pytest.mark.parametrize(
    ("when", "moment"), [("before it is ready", "before"), ("after it is ready", "after")]
)
def test_participant_dies(cluster: Cluster, figure: Row, when: str, moment: Moment) -> None:
    """A machine killed during an upload at another is waited for until its heartbeat is old, no longer."""
    author, victim = cluster.machines[0], cluster.machines[2]
    sprung = cluster.wires[victim].once("PUT acks", moment, killed(victim))
    with cluster.load(*cluster.machines[:2]) as sent:
        start = time.monotonic()
        done = cluster.upload_soon(author, DEAD + UPLOAD_SECONDS)
        took = time.monotonic() - start
        wait(sprung)
    found = judge(sent, [done])
    back = victim.start()
    first = victim.predict(cluster.image.read_bytes())

    figure(
        f"another machine dies {when}",
        f"the author waits {DEAD:g} s at most; the machine comes back with the version",
        f"answered after {took:.1f} s; {found}; back after {back:.1f} s, "
        f"first answer right: {first == done.number}",
    )
    assert (found.failed, found.old) == (0, 0)
    assert first == done.number
    cluster.agree(done.number)


def test_author_hangs_and_is_overruled(cluster: Cluster, figure: Row) -> None:
    """An author that hangs until the others abort its change learns that when it decides; all agree."""
    before = cluster.upload(cluster.machines[1])
    author, others = cluster.machines[0], cluster.machines[1:]

    def hang() -> bool:
        author.host.signal(signal.SIGSTOP)
        time.sleep(DEAD + 4 * POLL_SECONDS + 2)
        author.host.signal(signal.SIGCONT)
        return True

    sprung = cluster.wires[author].once("PUT changes", "before", hang)
    with cluster.load(*others) as sent, in_background(lambda: author.upload(cluster.next_number())) as answer:
        wait(sprung, 120)
        woken = time.monotonic()
        status = getattr(answer.result(), "status_code", None)
        took = time.monotonic() - woken
    found = judge(sent, [])
    agreed = cluster.agree(before.number)

    figure(
        "the author hangs until the others have aborted",
        "the author answers 503; nothing has changed",
        f"{status} after {took:.1f} s awake, all agree {agreed:.1f} s later; {found}",
    )
    assert status == 503
    assert found.failed == 0
    cluster.agree(cluster.upload_soon(author, UPLOAD_SECONDS).number)


def test_the_answer_to_the_decision_is_lost(cluster: Cluster, figure: Row) -> None:
    """An author whose connection ends after the store has taken its decision reads what was decided."""
    author = cluster.machines[0]
    sprung = cluster.wires[author].once("PUT changes", "after", lambda: False)
    with cluster.load() as sent:
        start = time.monotonic()
        done = cluster.upload(author)
        took = time.monotonic() - start
    wait(sprung, 1)
    found = judge(sent, [done])

    figure(
        "the store's answer to the decision is lost", "200, as decided", f"200 after {took:.1f} s; {found}"
    )
    assert (found.failed, found.old) == (0, 0)
    cluster.agree(done.number)
