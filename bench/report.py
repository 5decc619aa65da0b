"""The rounds of `bench.peers` as a table and as targets that were held or not."""

import statistics
from collections.abc import Iterable

from bench.machine import machine
from bench.rounds import Medians, Results, medians

_COUNTS = " | ".join(("1", "8", "32"))
_HEAD = (
    f"| pictures/s at {_COUNTS} | of bare at 8 | 32 | p50 ms at {_COUNTS} | p99 ms at {_COUNTS} "
    "| p99 of ideal | start s | memory MB |"
)
_KEY = """
Columns are for 1, 8 and 32 connections that post the same picture without a pause; every figure is the median
of the rounds, each of which starts every contestant anew. The bare loop decodes, prepares and runs in one
process for each core (at 1: in one alone), without any server; "of bare" is the rate over that of the bare
loop in the same round. The ideal p99 at 8 connections is the time in which 8 pictures are answered: everybody
in turn. Start is from the start of the process to its first answer, not the first time. Memory is the
proportional set size of all processes under load. Everybody names the same class for the picture; how each is
made stands in `bench/contestants/`.
"""


def report(results: Results) -> str:
    """All of it as Markdown."""
    found = medians(results)
    rows = [*_rows(results, found), *_absent(results)]
    parts = [
        "# This service and its peers",
        machine() + "\n" + "\n".join(f"{one.name}: {what}." for one, what in results.versions.items()),
        "\n".join([f"| {_HEAD}", f"| --- |{14 * ' ---: |'}", *rows]),
        _KEY.strip(),
        "## Targets",
        "\n".join(["| target | measured | |", "| --- | --- | --- |", *_targets(results, found)]),
    ]
    if (service := found.get("service")) is not None:
        each = ", ".join(f"{ratio:.3f}" for ratio in _each_round(results, service))
        parts.append(f"This service's rate at 8 connections over the bare loop's, round by round: {each}.")
    return "\n\n".join(parts) + "\n"


_PHOTOGRAPH = """
The same for a photograph of 12 megapixels and 2.3 MB, as telephones take them. The bare loop reads it as the
service does, at a part of its size where JPEG allows that; who writes the model's service oneself mostly does
not know of that.
"""


def of_photographs(results: Results) -> str:
    """What was measured with a photograph at 1 and 8 connections."""
    found = medians(results)
    bare, alone = (statistics.median(one.rate for one in which) for which in (results.bare, results.alone))
    rows = [f"| bare loop | {alone:.1f} | {bare:.1f} | | {_alone(results):.2f} | | | |"]
    for contestant in sorted(results.figures, key=lambda one: -found[one.key].rate(8)):
        one = found[contestant.key]
        cells = [f"{one.rate(1):.1f}", f"{one.rate(8):.1f}", f"{one.of_bare(8):.3f}"]
        cells += [f"{one.p50(1):.2f}", f"{one.p50(8):.2f}", f"{one.p99(8):.2f}", f"{one.pss:.0f}"]
        rows.append(f"| {contestant.name} | {' | '.join(cells)} |")
    head = "| | pictures/s at 1 | 8 | of bare at 8 | p50 ms at 1 | 8 | p99 ms at 8 | memory MB |"
    table = "\n".join([head, f"| --- |{7 * ' ---: |'}", *rows])
    return f"## A photograph\n\n{_PHOTOGRAPH.strip()}\n\n{table}\n"


def _each_round(results: Results, service: Medians) -> list[float]:
    return [
        figures.loads[8].rate / bare.rate for figures, bare in zip(service.rounds, results.bare, strict=True)
    ]


def _rows(results: Results, found: dict[str, Medians]) -> Iterable[str]:
    """One for each contestant, the quickest first; last those that know the answer beforehand."""
    bare, alone = (statistics.median(one.rate for one in which) for which in (results.bare, results.alone))
    yield f"| bare loop | {alone:.1f} | {bare:.1f} | | 1.00 | | {_alone(results):.2f} |" + 8 * " |"
    order = sorted(results.figures, key=lambda one: (not one.computes, -found[one.key].rate(8)))
    for contestant in order:
        one = found[contestant.key]
        cells = [f"{one.rate(connections):.1f}" for connections in (1, 8, 32)]
        ratios = [f"{one.of_bare(connections):.3f}" for connections in (8, 32)]
        cells += ratios if contestant.computes else ["", ""]
        cells += [f"{one.p50(connections):.2f}" for connections in (1, 8, 32)]
        cells += [f"{one.p99(connections):.2f}" for connections in (1, 8, 32)]
        cells += [f"{one.of_ideal():.2f}", f"{one.start:.2f}", f"{one.pss:.0f}"]
        yield f"| {contestant.name} | {' | '.join(cells)} |"


def _absent(results: Results) -> Iterable[str]:
    for contestant, why in results.absent.items():
        yield f"| {contestant.name} | left out: {why} |" + 13 * " |"


def _alone(results: Results) -> float:
    return statistics.median(one.milliseconds for one in results.alone)


def _targets(results: Results, found: dict[str, Medians]) -> Iterable[str]:
    """What this service promises, each with its figure; those whose contestants took no part are left out."""
    service, cached, hello, flask = (found.get(key) for key in ("service", "cached", "hello", "flask_sync"))
    if service is not None:
        yield from _own_targets(results, service)
        yield from _first(results, found, service)
    if cached is not None and hello is not None:
        for connections, noun in ((1, "connection"), (8, "connections"), (32, "connections")):
            share = cached.rate(connections) / hello.rate(connections)
            target = f"answers from the cache at {connections} {noun} >= 0.70 of the hello world's rate"
            yield _target(target, f"{share:.2f}", held=share >= 0.70)
    if service is not None and flask is not None:
        share = service.pss / flask.pss
        yield _target("memory <= 1.25 of the naive Flask's", f"{share:.2f}", held=share <= 1.25)


def _own_targets(results: Results, service: Medians) -> Iterable[str]:
    for connections in (8, 32):
        share = service.of_bare(connections)
        target = f"pictures/s at {connections} connections >= 0.95 of the bare loop"
        yield _target(target, f"{share:.3f}", held=share >= 0.95)
    more = service.p50(1) - _alone(results)
    target = "median at 1 connection within 2 ms of one bare picture"
    yield _target(target, f"{more:+.2f} ms", held=more <= 2)
    tail = service.of_ideal()
    yield _target("p99 at 8 connections <= 1.3 of the ideal", f"{tail:.2f}", held=tail <= 1.3)
    target = "first answer within 2.5 s of the second start"
    yield _target(target, f"{service.start:.2f} s", held=service.start <= 2.5)
    if service.many is not None:
        each = 1000 / service.rate(8)
        target = "a picture of 32 in one request takes no longer than one of 32 requests at 8 connections"
        yield _target(target, f"{service.many:.2f} ms to {each:.2f} ms", held=service.many <= each)


def _first(results: Results, found: dict[str, Medians], service: Medians) -> Iterable[str]:
    peers = [one for one in results.figures if one.computes and one.key != "service"]
    for connections in (8, 32) if peers else ():
        best = max(peers, key=lambda one: found[one.key].rate(connections))
        rates = service.rate(connections), found[best.key].rate(connections)
        measured = f"{rates[0]:.1f}; {best.name}: {rates[1]:.1f}"
        yield _target(
            f"first of all contestants at {connections} connections", measured, held=rates[0] > rates[1]
        )


def _target(target: str, measured: str, *, held: bool) -> str:
    return f"| {target} | {measured} | {'held' if held else '**not held**'} |"
