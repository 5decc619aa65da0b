"""Three machines switch together: uploads at any of them, a new machine, two authors, one without room."""

import io
import shutil
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import requests
from PIL import Image

from tests.cluster.real.cluster import DEAD, Cluster
from tests.cluster.real.figures import Row
from tests.cluster.real.judge import judge
from tests.cluster.real.machine import Machine
from tests.cluster.real.network import run
from tests.live.models import eventually
from tools import bad_models
from tools.sample_models import classifier

pytestmark = pytest.mark.cluster
UPLOADS = 20
LARGE_MB = 100
MIXED_SECONDS = 0.5


def test_uploads_in_turn(cluster: Cluster, figure: Row) -> None:
    """Twenty uploads, at each machine in turn, fail no request and leave no old answer after their 200."""
    seconds, uploads = list[float](), []
    with cluster.load() as sent:
        for number in range(UPLOADS):
            start = time.monotonic()
            uploads.append(cluster.upload(cluster.machines[number % 3]))
            seconds.append(time.monotonic() - start)
            time.sleep(0.5)
    found = judge(sent, uploads)

    middle = sorted(seconds)[UPLOADS // 2]
    took = f"an upload took {middle:.1f} s, {max(seconds):.1f} s at most"
    must = f"0 failed, 0 old, mixed below {MIXED_SECONDS} s in all"
    figure(f"{UPLOADS} uploads in turn at three machines", must, f"{found}; {took}")
    assert (found.failed, found.old) == (0, 0)
    assert sum(found.mixed) < MIXED_SECONDS
    cluster.agree(uploads[-1].number)


def test_requests_to_the_store(cluster: Cluster, figure: Row) -> None:
    """A machine without changes asks the store as often as it polls and beats; what it asks is counted."""
    cluster.agree(cluster.upload(cluster.machines[0]).number)
    time.sleep(2 * DEAD)
    start, seconds = time.monotonic(), 30.0
    time.sleep(seconds)
    wires = list(cluster.wires.values())
    idle = sum((wire.counts(start) for wire in wires), Counter[str]())
    asked = [one for wire in wires for one in wire.asked if one.at >= start and one.seconds]
    change = time.monotonic()
    cluster.upload(cluster.machines[1])
    time.sleep(1)
    during = sum(wire.counts(change).total() for wire in wires)

    times = sorted(1000 * (one.seconds or 0) for one in asked)
    rates = ", ".join(f"{kind} {count / seconds / len(wires):.2f}/s" for kind, count in sorted(idle.items()))
    latency = f"median {times[len(times) // 2]:.0f} ms, p99 {times[int(0.99 * len(times))]:.0f} ms"
    figure(
        "requests of a machine to the store, no change", "no LIST but for heartbeats", f"{rates}; {latency}"
    )
    figure("requests of three machines in an upload", "-", f"{during}")
    assert len(asked) > seconds


def test_a_large_model(cluster: Cluster, figure: Row) -> None:
    """A model of 100 MB reaches all machines; what a machine fetches and loads it in, `bench.scale` uses."""
    number, start = cluster.next_number(), time.monotonic()
    data = classifier([f"v{number:03} one", "other"], winner=0, seed=number, padding_mb=LARGE_MB)
    answer = cluster.machines[0].post("/upload", files={"model": ("large.onnx", io.BytesIO(data))})
    took = time.monotonic() - start
    assert answer.status_code == 200, answer.text
    fetched, loaded = zip(
        *(_fetch_and_load(cluster, one, start) for one in cluster.machines[1:]), strict=True
    )

    figure(
        f"a model of {LARGE_MB} MB",
        "-",
        f"answered after {took:.1f} s; a machine fetched it in {max(fetched):.1f} s and was ready "
        f"{max(loaded):.1f} s later, {1000 * max(loaded) / LARGE_MB:.0f} ms for each MB",
    )
    cluster.agree(number)


def _fetch_and_load(cluster: Cluster, machine: Machine, start: float) -> tuple[float, float]:
    """Seconds from the first part of a file to the last, and from there to the acknowledgement."""
    asked = [one for one in cluster.wires[machine].asked if one.at >= start]
    parts = [one.at for one in asked if one.kind == "GET blobs"]
    ready = next(one.at for one in asked if one.kind == "PUT acks")
    return max(parts) - min(parts), ready - max(parts)


def test_a_fourth_machine_joins(cluster: Cluster, figure: Row) -> None:
    """A machine with an empty folder that joins under load serves the live version once it is ready."""
    newest = cluster.upload(cluster.machines[0])
    image = cluster.image.read_bytes()
    joined = cluster.add()
    with cluster.load(*cluster.machines[:3]) as sent:
        took = joined.start()
        first = [joined.predict(image) for _ in range(8)]
        second = cluster.upload(joined)
        agreed = cluster.agree(second.number)
    found = judge(sent, [second])

    figure(
        "a cold fourth machine joins under load",
        "right version when it is ready, 0 failed",
        f"ready after {took:.1f} s, {first.count(newest.number)} of 8 first answers right; {found}",
    )
    assert set(first) == {newest.number}
    assert (found.failed, found.old) == (0, 0)
    assert agreed < 5
    cluster.remove(joined)


def test_two_authors(cluster: Cluster, figure: Row) -> None:
    """Of two uploads at once at two machines each is served or refused with a conflict; all agree at last."""
    numbers = [cluster.next_number(), cluster.next_number()]
    start = time.monotonic()
    with ThreadPoolExecutor(2) as pool:
        pairs = zip(cluster.machines, numbers, strict=False)
        answers = [future.result() for future in [pool.submit(one.upload, number) for one, number in pairs]]
    took = time.monotonic() - start
    statuses = sorted(answer.status_code for answer in answers)

    image = cluster.image.read_bytes()
    eventually(lambda: len({machine.predict(image) for machine in cluster.machines}) == 1, 30)
    figure("two authors at once", "200 and 409, or 200 and 200", f"{statuses} after {took:.1f} s")
    assert statuses in ([200, 409], [200, 200])
    cluster.agree(cluster.machines[0].predict(image))


def test_a_machine_without_room(cluster: Cluster, figure: Row) -> None:
    """A machine that cannot take the new version has the change aborted, with its reason."""
    before = cluster.upload(cluster.machines[0])
    full = cluster.machines[1]
    full.stop()
    kept = full.data.with_name("kept")
    full.data.rename(kept)
    full.data.mkdir()
    held = sum(path.lstat().st_size for path in kept.rglob("*"))
    run("mount", "-t", "tmpfs", "-o", f"size={held + 40_000_000}", "tmpfs", full.data)
    try:
        shutil.copytree(kept, full.data, dirs_exist_ok=True)
        full.start()
        _fill(full)
        start = time.monotonic()
        answer = cluster.machines[0].upload(cluster.next_number())
        took = time.monotonic() - start
        agreed = cluster.agree(before.number)
        full.stop()
    finally:
        run("umount", full.data)
    full.data.rmdir()
    kept.rename(full.data)
    full.start()

    problem = answer.json()
    text = f"{answer.status_code} `{problem['code']}` after {took:.1f} s; all agree {agreed:.1f} s later"
    figure("a machine has no room for the version", "aborted with the reason", text)
    assert answer.status_code in {422, 503, 507}
    assert problem["detail"]
    cluster.agree(cluster.upload(cluster.machines[2]).number)


def _fill(machine: Machine) -> None:
    with (machine.data / "ballast").open("wb", buffering=0) as ballast:
        try:
            while ballast.write(bytes(4096)):
                pass
        except OSError:
            pass


def test_a_quarantine_is_for_all(cluster: Cluster, figure: Row) -> None:
    """A version that brings down two workers of one machine is quarantined on all."""
    cluster.agree(cluster.upload(cluster.machines[0]).number)
    good = cluster.machines[0].live()
    bomb = bad_models.time_bomb("crash")
    answer = cluster.machines[0].post("/upload", files={"model": ("bomb.onnx", io.BytesIO(bomb))})
    assert answer.status_code == 200, answer.text
    bad = cluster.machines[2].live()
    for _ in range(2):
        eventually(lambda: len(cluster.machines[1].workers()) == 2)
        with pytest.raises(requests.RequestException):
            cluster.machines[1].post("/predict", data=_hot(), headers={"Content-Type": "image/png"})

    start = time.monotonic()
    eventually(lambda: all(machine.live() == good for machine in cluster.machines), 60)
    took = time.monotonic() - start
    eventually(lambda: all(machine.ready() for machine in cluster.machines), 60)
    figure(
        "a version brings down two workers of one machine",
        "gone on all",
        f"{took:.1f} s after the second death",
    )
    assert bad != good
    cluster.agree(cluster.upload(cluster.machines[2]).number)


def _hot() -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(np.full((64, 64, 3), bad_models.HOT, np.uint8)).save(buffer, "PNG")
    return buffer.getvalue()
