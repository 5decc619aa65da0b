"""Machines whose packets are dropped, and a store that is killed, hangs or is emptied: predictions go on."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cluster.real.ceph import Ceph
from tests.cluster.real.cluster import DEAD, Cluster, in_background, wait
from tests.cluster.real.figures import Row
from tests.cluster.real.judge import judge
from tests.live.models import eventually
from tests.live.service import ROOT

pytestmark = pytest.mark.cluster
DOWN_SECONDS = 30.0
REQUEST_SECONDS = 10.0
"""How long a change may wait for a store that is silent, with time to spare on a busy machine."""
UPLOAD_SECONDS = 30.0


@pytest.mark.parametrize(("lag", "place"), [("serve", 1), ("unready", 2)])
def test_cut_off_from_the_store(cluster: Cluster, figure: Row, lag: str, place: int) -> None:
    """A machine that reaches no store is not waited for; it serves its version, or is not ready."""
    before = cluster.upload(cluster.machines[0])
    alone = cluster.machines[place]
    with cluster.load() as sent:
        with alone.host.cut_off(cluster.store.address):
            start = time.monotonic()
            done = cluster.upload_soon(cluster.machines[0], DEAD + UPLOAD_SECONDS)
            took = time.monotonic() - start
            unready = not alone.ready()
            refused = alone.upload(cluster.next_number())
            waited = time.monotonic() - start - took
            still = alone.predict(cluster.image.read_bytes())
        follows = cluster.agree(done.number)
        eventually(alone.ready, 30)
    found = judge(sent, [])

    figure(
        f"a machine is cut off from the store, PREDICTOR_STORE_LAG={lag}",
        f"the author waits {DEAD:g} s at most; the machine serves on" + ", unready" * (lag == "unready"),
        f"upload at another answered after {took:.1f} s; then the machine was {'not ' * unready}ready, "
        f"refused a change with {refused.status_code} after {waited:.1f} s, and followed {follows:.1f} s "
        f"after the packets passed again; {found.failed} failed of {found.requests}",
    )
    assert unready == (lag == "unready")
    assert still == before.number
    assert refused.status_code == 507
    assert found.failed == 0


def test_cut_off_from_all(cluster: Cluster, figure: Row) -> None:
    """A machine whose packets are all dropped in an upload is not waited for, and follows when they pass."""
    alone, rest = cluster.machines[2], cluster.machines[:2]

    def cut() -> bool:
        alone.host.cut()
        return False

    sprung = cluster.wires[alone].once("PUT acks", "before", cut)
    with cluster.load(*rest) as sent:
        start = time.monotonic()
        done = cluster.upload_soon(rest[0], DEAD + UPLOAD_SECONDS)
        took = time.monotonic() - start
        wait(sprung)
        alone.host.heal()
        follows = cluster.agree(done.number)
    found = judge(sent, [done])

    figure(
        "a machine is cut off from all during an upload",
        f"the author waits {DEAD:g} s at most",
        f"answered after {took:.1f} s; followed {follows:.1f} s after the packets passed again; {found}",
    )
    assert (found.failed, found.old) == (0, 0)


def test_author_is_cut_off(cluster: Cluster, figure: Row) -> None:
    """An author that loses the store before it decides refuses in a bounded time; the others abort."""
    before = cluster.upload(cluster.machines[1])
    author, others = cluster.machines[0], cluster.machines[1:]

    def cut() -> bool:
        author.host.cut(cluster.store.address)
        return False

    sprung = cluster.wires[author].once("PUT changes", "before", cut)
    with (
        cluster.load() as sent,
        in_background(lambda: author.upload(cluster.next_number())) as answer,
    ):
        wait(sprung)
        start = time.monotonic()
        second = cluster.upload_soon(others[0], DEAD + UPLOAD_SECONDS)
        took = time.monotonic() - start
        status = getattr(answer.result(), "status_code", None)
        waited = time.monotonic() - start
        author.host.heal()
        follows = cluster.agree(second.number)
    found = judge(sent, [])

    figure(
        "the author is cut off before it decides",
        f"503 in a bounded time; the others are not blocked beyond {DEAD:g} s",
        f"{status} after {waited:.1f} s; next upload at another answered after {took:.1f} s; the author "
        f"followed {follows:.1f} s after the packets passed; {found.failed} failed of {found.requests}",
    )
    assert before.number < second.number
    assert status in {503, 507}
    assert found.failed == 0


@pytest.mark.parametrize("trouble", ["killed", "hung"])
def test_store_is_gone(cluster: Cluster, figure: Row, trouble: str) -> None:
    """While the store is away for 30 s predictions go on, changes are refused, and a machine starts again."""
    before = cluster.upload(cluster.machines[0])
    store, again = cluster.store, cluster.machines[1]
    with cluster.load(cluster.machines[0], cluster.machines[2]) as sent:
        (store.kill if trouble == "killed" else store.hang)()
        start = time.monotonic()
        refused = cluster.machines[0].upload(cluster.next_number())
        waited = time.monotonic() - start
        again.kill()
        restarted = again.start()
        first = again.predict(cluster.image.read_bytes())
        time.sleep(max(0.0, start + DOWN_SECONDS - time.monotonic()))
        (store.restart if trouble == "killed" else store.go_on)()
        back = time.monotonic()
        done = cluster.upload_soon(cluster.machines[2], UPLOAD_SECONDS)
        took = time.monotonic() - back
        cluster.agree(done.number)
        eventually(lambda: all(machine.ready() for machine in cluster.machines), 30)
    found = judge(sent, [done])

    figure(
        f"the store is {trouble} for {DOWN_SECONDS:g} s",
        "0 failed; 507 for changes; a machine starts with its own copy",
        f"{found}; a change refused with {refused.status_code} after {waited:.1f} s; a killed machine ready "
        f"again after {restarted:.1f} s with the right version: {first == before.number}; an upload answered "
        f"{took:.1f} s after the store was back",
    )
    assert (found.failed, found.old) == (0, 0)
    assert refused.status_code == 507
    assert waited < 2 * REQUEST_SECONDS
    assert first == before.number


def test_store_goes_before_the_decision(cluster: Cluster, figure: Row) -> None:
    """A store that hangs between readiness and decision holds up no prediction; then all agree."""
    author = cluster.machines[0]
    before = cluster.upload(author)
    number = cluster.next_number()

    def hang() -> bool:
        cluster.store.hang()
        return True

    sprung = cluster.wires[author].once("PUT changes", "before", hang)
    with cluster.load() as sent, in_background(lambda: author.upload(number)) as answer:
        wait(sprung)
        time.sleep(DOWN_SECONDS)
        cluster.store.go_on()
        status = getattr(answer.result(), "status_code", None)
        image = cluster.image.read_bytes()
        eventually(lambda: len({machine.predict(image) for machine in cluster.machines}) == 1, 60)
        end = cluster.machines[1].predict(image)
    found = judge(sent, [])

    figure(
        f"the store hangs for {DOWN_SECONDS:g} s between readiness and decision",
        "no prediction waits; one outcome everywhere",
        f"the author answered {status}; all serve the {'new' if end == number else 'old'} version; "
        f"{found.failed} failed of {found.requests}",
    )
    assert end in {number, before.number}
    assert (status == 200) <= (end == number)
    assert found.failed == 0
    cluster.agree(cluster.upload_soon(author, UPLOAD_SECONDS).number)


def test_store_is_emptied(store: Ceph, cat: Path, tmp_path: Path, figure: Row) -> None:
    """A store whose log a person has removed changes nothing that serves; changes wait until adopted."""
    cluster = Cluster(tmp_path, store, cat, first=21)
    try:
        for _ in range(2):
            cluster.add().start()
        before = cluster.upload(cluster.machines[0])
        _remove_log(cluster)
        time.sleep(2)
        cluster.agree(before.number)
        refused = cluster.machines[0].upload(cluster.next_number())
        _adopt(cluster)
        start = time.monotonic()
        done = cluster.upload_soon(cluster.machines[1], DEAD + UPLOAD_SECONDS)
        cluster.agree(done.number)
        took = time.monotonic() - start
    finally:
        cluster.close()

    figure(
        "the store's log is removed by a person",
        "the version serves on; changes are refused until `store adopt`",
        f"a change refused with {refused.status_code}; after `store adopt` all agree on a new version in "
        f"{took:.1f} s",
    )
    assert refused.status_code == 507


def _remove_log(cluster: Cluster) -> None:
    prefix = cluster.url.rpartition("/")[2]
    for folder in ("changes", "pending"):
        query = f"?list-type=2&max-keys=1000&prefix={prefix}%2F{folder}%2F"
        listed = cluster.store.request("GET", "", query)
        for part in listed.split("<Key>")[1:]:
            cluster.store.request("DELETE", part.split("</Key>")[0])


def _adopt(cluster: Cluster) -> None:
    told = cluster.store.environment() | {
        "PREDICTOR_DATA": str(cluster.machines[0].data),
        "PREDICTOR_STORE": cluster.url,
    }
    command = [sys.executable, "-m", "predictor", "store", "adopt", "--yes"]
    subprocess.run(command, cwd=ROOT, env=os.environ | told, check=True, timeout=120)
