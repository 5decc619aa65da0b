"""What a soak showed, as text, and whether every promise was kept."""

import statistics
from collections.abc import Iterator
from dataclasses import dataclass

from bench.soak.judge import Events, Tally, in_flight, lost_by_kill, tally
from bench.soak.load import Sent
from bench.soak.mix import KINDS
from bench.soak.watch import Sample, by_minute, files, slope
from predictor.inference.cache_sqlite import MAX_ENTRIES
from tests.live.service import Service

_WARM_MINUTES = 5
_MINUTES_TO_JUDGE = 5
_LEAST_SHARE = 0.999
_MAX_SLOPE_MB = 1.0
# Connections come and go; what grows all the time grows by more than this.
_MORE_DESCRIPTORS, _MORE_THREADS, _MORE_FILES = 16, 8, 4
_MAX_VERSIONS = 6
_MAX_WRONG = 5
# An answer of five labels takes some 1.5 kB; what was written last lies in a log of 4 MB beside the file.
_MAX_CACHE_MB = 40


@dataclass(frozen=True)
class Left:
    """What lies in the data folder at the end."""

    incoming: int
    workers: int
    metrics: int
    versions: int
    cache_mb: float
    living: int


@dataclass(frozen=True)
class Soaked:
    """All that was seen."""

    minutes: float
    capacity: float
    rate: float
    sent: list[Sent]
    events: Events
    samples: list[Sample]
    left: Left


Promise = tuple[str, bool | None]
"""What is promised, and whether it was kept; None if the run was too short to tell."""


def left_over(service: Service) -> Left:
    """Look into the data folder."""

    def many(name: str) -> int:
        return len(files(service.data / name))

    versions = list((service.data / "models" / "default").glob("*/model.onnx"))
    cache = sum(path.stat().st_size for path in files(service.data / "cache")) / 1e6
    return Left(
        many("incoming"),
        many("workers"),
        len(files(service.metrics)),
        len(versions),
        cache,
        len(service.workers()),
    )


def report(soaked: Soaked) -> tuple[list[str], bool]:
    """The lines to print, and whether all promises were kept."""
    promises = [*_about_requests(soaked), *_about_memory(soaked.samples), *_about_files(soaked)]
    lines = [*_head(soaked), *_table(soaked), *_losses(soaked), *_minutes(soaked.samples), ""]
    words = {True: "kept", False: "BROKEN", None: "too short to tell"}
    lines += [f"{words[kept]}: {promise}" for promise, kept in promises]
    return lines, all(kept is not False for _, kept in promises)


def _head(soaked: Soaked) -> Iterator[str]:
    events = soaked.events
    rates = f"{soaked.rate:.1f} requests a second (as many as it can: {soaked.capacity:.1f})"
    yield f"{soaked.minutes:g} minutes at {rates}"
    yield (
        f"{len(events.kills)} workers killed, {len(events.switches) - 1} models switched,"
        f" {events.bad_models} bad models refused"
    )
    yield from events.trouble


def _table(soaked: Soaked) -> Iterator[str]:
    heads = ("requests", "right", "wrong", "refused", "lost", "p50 ms", "p95 ms", "p99 ms")
    yield "\n" + " " * 15 + " ".join(f"{head:>9}" for head in heads)
    for kind in KINDS:
        sent = [one for one in soaked.sent if one.kind == kind]
        yield _row(kind, tally(sent, soaked.events))
    everything = tally(soaked.sent, soaked.events)
    for title, proxied in (("directly", False), ("behind nginx", True)):
        yield _row(title, tally([one for one in soaked.sent if one.proxied is proxied], soaked.events))
    yield _row("all", everything)
    for one in [*everything.wrong[:_MAX_WRONG], *everything.lost[:_MAX_WRONG]]:
        yield f"{one.kind}: {one.status} {one.labels}, {one.answered - one.sent:.2f} s, sent {one.sent:.2f}"


def _row(title: str, found: Tally) -> str:
    lists = (found.right, found.wrong, found.refused, found.lost)
    counts = [len(one) for one in lists]
    figures = [f"{count:9}" for count in (sum(counts), *counts)]
    times = [f"{found.milliseconds(share):9.1f}" for share in (0.5, 0.95, 0.99)]
    return f"{title:15}" + " ".join([*figures, *times])


def _losses(soaked: Soaked) -> Iterator[str]:
    yield ""
    for title, proxied in (("directly", False), ("behind nginx", True)):
        counts = _lost_by_kill(soaked, proxied=proxied)
        mean = statistics.mean(counts) if counts else 0.0
        yield f"lost by each kill {title}: {counts}, {mean:.2f} on average, {max(counts, default=0)} at most"
    under_way = in_flight(soaked.sent, soaked.events.kills)
    yield f"under way in all workers at the moment of a kill: {under_way:.2f} on average"


def _lost_by_kill(soaked: Soaked, *, proxied: bool) -> list[int]:
    sent = [one for one in soaked.sent if one.proxied is proxied]
    return lost_by_kill(tally(sent, soaked.events).lost, soaked.events.kills)[0]


def _minutes(samples: list[Sample]) -> Iterator[str]:
    for title, field in (
        ("memory, MB", "total_mb"),
        ("of the eldest worker", "eldest_mb"),
        ("descriptors", "descriptors"),
        ("threads", "threads"),
        ("files", "files"),
    ):
        yield f"{title:21} by minute: " + " ".join(f"{value:.0f}" for value in by_minute(samples, field))


def _about_requests(soaked: Soaked) -> Iterator[Promise]:
    everything = tally(soaked.sent, soaked.events)
    _, without = lost_by_kill(everything.lost, soaked.events.kills)
    yield f"99.9 % of what was accepted is right: {everything.share:.4%}", everything.share >= _LEAST_SHARE
    yield f"nothing is lost but what a killed worker had or was just given: {without} were", without == 0
    if any(one.proxied for one in soaked.sent):
        most = max(_lost_by_kill(soaked, proxied=True), default=0)
        yield f"behind nginx no worker's death costs more than one request: {most} at most", most <= 1
    yield "every good model is served, every bad one refused", not soaked.events.trouble


def _about_memory(samples: list[Sample]) -> Iterator[Promise]:
    for title, field in (("memory", "total_mb"), ("the eldest worker's memory", "eldest_mb")):
        values = by_minute(samples, field)[_WARM_MINUTES:]
        growth = slope(values)
        kept = growth < _MAX_SLOPE_MB if len(values) >= _MINUTES_TO_JUDGE else None
        yield f"{title} grows by less than 1 MB a minute after five: {growth:+.2f}", kept


def _about_files(soaked: Soaked) -> Iterator[Promise]:
    for field, most in (
        ("descriptors", _MORE_DESCRIPTORS),
        ("threads", _MORE_THREADS),
        ("files", _MORE_FILES),
    ):
        values = [getattr(sample, field) for sample in soaked.samples]
        third = max(1, len(values) // 3)
        more = statistics.median(values[-third:]) - statistics.median(values[:third])
        yield f"{field} stay as they were: {more:+.0f} from the first third to the last", more <= most
    left = soaked.left
    yield f"no upload is left behind: {left.incoming} files", left.incoming == 0
    # A record and an empty file for each worker's crash report; three files of metrics.
    yield (
        f"the dead leave no pages: {left.workers} files, {left.living} workers",
        left.workers <= 2 * left.living + 2,
    )
    yield f"the dead leave no metrics: {left.metrics} files", left.metrics <= 3 * (left.living + 1)
    yield (
        f"the cache is bounded: {left.cache_mb:.1f} MB for {MAX_ENTRIES} answers",
        left.cache_mb < _MAX_CACHE_MB,
    )
    yield f"old versions go: {left.versions} kept", left.versions <= _MAX_VERSIONS
