"""The rounds of `bench.peers` as tables and as targets that were held or not."""

import statistics
from collections.abc import Iterable, Sequence

from bench.courses import MAIN
from bench.machine import machine
from bench.rounds import Medians, Results, medians

_INTRODUCTION = """
`make bench` writes this page. The load generator posts the same image to each server over 1, 8 or 32
connections, without a pause. Each round starts each server again, one at a time. Each figure is the median
of the rounds. The bare loop decodes, prepares and runs in one process for each core (at 1: in one
alone), without any server; "of bare" is the rate over that of the bare loop in the same round. The ideal
p99 at 8 connections is the time in which 8 images are answered: everybody in turn. CPU is the processor
time of all processes for an image at 8 connections, without nginx. Start is from the start of the process
to its first answer, not the first time. Memory is the proportional set size of all processes under load.
Everybody has the same release of ONNX Runtime and names the same class for the small image; how each is made
stands in `bench/contestants/`, and this service needs no setting but `PREDICTOR_CACHE=off`. Where this
service is not first, or a target is not held, [tried.md](../bench/results/tried.md#rows-that-are-not-held)
says why and what was tried.
"""


def report(all_results: Sequence[Results]) -> str:
    """All courses as Markdown."""
    versions = {one.name: what for results in all_results for one, what in results.versions.items()}
    parts = [
        "# Performance",
        _INTRODUCTION.strip(),
        machine() + "\n" + "\n".join(f"{name}: {what}." for name, what in versions.items()),
    ]
    for results in all_results:
        parts += _course(results)
    return "\n\n".join(parts) + "\n"


def _course(results: Results) -> Iterable[str]:
    found = medians(results)
    yield f"## {results.course.title}"
    if results.course.key == MAIN:
        yield "![Images a second of each contestant](performance.svg)"
    yield "\n".join([*_head(results), *_rows(results, found), *_absent(results)])
    service = found.get("service")
    if service is not None:
        each = ", ".join(f"{ratio:.3f}" for ratio in _each_round(results, service))
        yield f"This service's rate at 8 connections over the bare loop's, round by round: {each}."
    targets = list(_targets(results, found))
    if targets:
        yield "\n".join(["| target | measured | |", "| --- | --- | --- |", *targets])


def _columns(results: Results) -> tuple[list[int], list[int]]:
    """Numbers of connections in order, and those that are held against the bare loop."""
    connections = sorted(results.course.connections)
    return connections, [count for count in connections if count > 1]


def _head(results: Results) -> Iterable[str]:
    connections, several = _columns(results)
    counts = " | ".join(map(str, connections))
    cells = [f"images/s at {counts}", f"of bare at {' | '.join(map(str, several))}"]
    cells += [f"p50 ms at {counts}", f"p99 ms at {counts}", "p99 of ideal", "CPU ms", "start s", "memory MB"]
    line = f"| | {' | '.join(cells)} |"
    yield line
    yield f"| --- |{(line.count('|') - 2) * ' ---: |'}"


def _rows(results: Results, found: dict[str, Medians]) -> Iterable[str]:
    """One for each contestant, the quickest first; last those that know the answer beforehand."""
    connections, several = _columns(results)
    bare, alone = (statistics.median(one.rate for one in which) for which in (results.bare, results.alone))
    rates = {1: f"{alone:.1f}", 8: f"{bare:.1f}"}
    cells = [rates.get(count, "") for count in connections]
    cells += ["1.00" if count == 8 else "" for count in several]
    cells += [f"{_alone(results):.2f}" if count == 1 else "" for count in connections]
    yield f"| bare loop | {' | '.join(cells)} |{(len(connections) + 4) * ' |'}"
    for contestant in sorted(results.figures, key=lambda one: (not one.computes, -found[one.key].rate(8))):
        one = found[contestant.key]
        cells = [f"{one.rate(count):.1f}" for count in connections]
        cells += [f"{one.of_bare(count):.3f}" if contestant.computes else "" for count in several]
        cells += [f"{one.p50(count):.2f}" for count in connections]
        cells += [f"{one.p99(count):.2f}" for count in connections]
        cells += [f"{one.of_ideal():.2f}", f"{one.spent:.2f}", f"{one.start:.2f}", f"{one.pss:.0f}"]
        yield f"| {contestant.name} | {' | '.join(cells)} |"


def _absent(results: Results) -> Iterable[str]:
    connections, several = _columns(results)
    for contestant, why in results.absent.items():
        yield f"| {contestant.name} | left out: {why} |{(3 * len(connections) + len(several) + 3) * ' |'}"


def _alone(results: Results) -> float:
    return statistics.median(one.milliseconds for one in results.alone)


def _each_round(results: Results, service: Medians) -> list[float]:
    return [
        figures.loads[8].rate / bare.rate for figures, bare in zip(service.rounds, results.bare, strict=True)
    ]


# The least share of the bare loop's rate at 8 connections, by course; nothing else is promised there.
_SHARES = {MAIN: 0.90, "medium": 0.97, "large": 0.97, "resnet50": 0.97}


def _targets(results: Results, found: dict[str, Medians]) -> Iterable[str]:
    """What this service promises, each with its figure; those whose contestants took no part are left out."""
    service = found.get("service")
    if service is not None and (least := _SHARES.get(results.course.key)):
        share = service.of_bare(8)
        target = f"images/s at 8 connections >= {least:.2f} of the bare loop"
        yield _target(target, f"{share:.3f}", held=share >= least)
    if service is not None and results.course.key in {MAIN, "resnet50"}:
        tail = service.of_ideal()
        yield _target("p99 at 8 connections <= 1.3 of the ideal", f"{tail:.2f}", held=tail <= 1.3)
    if service is not None and results.course.key == MAIN:
        yield from _main_targets(results, found, service)
    yield from _first(results, found)
    yield from _protocol(found)


def _main_targets(results: Results, found: dict[str, Medians], service: Medians) -> Iterable[str]:
    more = service.p50(1) - _alone(results)
    yield _target("median at 1 connection within 2 ms of one bare image", f"{more:+.2f} ms", held=more <= 2)
    target = "first answer within 2.5 s of the second start"
    yield _target(target, f"{service.start:.2f} s", held=service.start <= 2.5)
    if service.many is not None:
        each = 1000 / service.rate(8)
        target = "an image of 32 in one request takes no longer than one of 32 requests at 8 connections"
        yield _target(target, f"{service.many:.2f} ms to {each:.2f} ms", held=service.many <= each)
    cached, hello, flask = (found.get(key) for key in ("cached", "hello", "flask_sync"))
    if cached is not None and hello is not None:
        for connections in (1, 8, 32):
            share = cached.rate(connections) / hello.rate(connections)
            target = f"answers from the cache at connections: {connections} >= 0.70 of the hello world's rate"
            yield _target(target, f"{share:.2f}", held=share >= 0.70)
    if flask is not None:
        share = service.pss / flask.pss
        yield _target("memory <= 1.25 of the naive Flask's", f"{share:.2f}", held=share <= 1.25)


def _first(results: Results, found: dict[str, Medians]) -> Iterable[str]:
    """Whether this service comes first at each number of connections."""
    computing = [one for one in results.figures if one.computes]
    own = [one for one in computing if one.dependencies is None]
    peers = [one for one in computing if one.dependencies is not None]
    for connections in sorted(results.course.connections) if own and peers else ():
        ours, best = (max(found[one.key].rate(connections) for one in which) for which in (own, peers))
        (name,) = [one.name for one in peers if found[one.key].rate(connections) == best][:1]
        target = f"first of all contestants at connections: {connections}"
        yield _target(target, f"{ours:.1f}; {name}: {best:.1f}", held=ours > best)


def _protocol(found: dict[str, Medians]) -> Iterable[str]:
    """Whether images over the Open Inference Protocol are as quick as over `/predict`."""
    service, protocol = found.get("service"), found.get("service_v2")
    if service is not None and protocol is not None:
        share = protocol.rate(8) / service.rate(8)
        target = "/v2 with an image as BYTES at 8 connections >= 0.95 of /predict"
        yield _target(target, f"{share:.3f}", held=share >= 0.95)


def _target(target: str, measured: str, *, held: bool) -> str:
    return f"| {target} | {measured} | {'held' if held else '**not held**'} |"
