"""The table of what decoding JPEGs at a fraction of their size changes, made of the rows of `bench.jpeg`."""

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.machine import machine

DENOMINATORS = (1, 2, 4, 8)
DEFAULT_BOUND, LEAST = 5.0, 512
_BOUNDS = (1.4, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0)
_EDGES = (1.0, 1.5, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0, 12.0, float("inf"))
_HEAD = """# JPEGs decoded at a fraction of their size

{machine}

Photographs of 0.2 megapixels, as they are and enlarged (Lanczos), with the noise of a sensor and saved with
quality 92. Each was decoded whole and at 1/2, 1/4 and 1/8 of its sides, and each network answered to all. A
difference is the largest of an image's confidences to those of the whole decoding. `efficientnet-lite` has
the weights of training, and was trained for 224 (lite0) and 260 (lite2) pixels; at other sizes many of its
classes are nearly tied. The other networks are those of `tests/data/exports`, with random weights.

"Rounding" is what a network makes of the whole image if its rows are resized before its columns: some pixels
then differ by one level, so no faster decoding can be expected to change less.
`python -m bench.jpeg --help` says how to measure.

The service leaves at least 5 times the target and 512 pixels.
"""


@dataclass(frozen=True)
class Row:
    """One image at one size, decoded at one scale, with one network.

    `denominator` divided the sides of the image, whose short side is `short` pixels; `target` is wanted.
    `difference` is the largest of a confidence to those of the image decoded whole; for a denominator of 1,
    it is what another rounding in the resize changes.
    """

    image: str
    megapixels: float
    network: str
    denominator: int
    short: int
    target: int
    difference: float
    changed: bool
    milliseconds: float

    @property
    def left(self) -> float:
        """How many times the target size the decoder left."""
        return self.short / self.denominator / self.target


def chosen(short: int, target: int, bound: float) -> int:
    """The denominator of the decoding if `bound` times the target and 512 pixels must be left."""
    least = max(bound * target, LEAST)
    return max(one for one in DENOMINATORS if one == 1 or short >= one * least)


def document(rows: Sequence[Row]) -> str:
    """The rows in short, as Markdown."""
    tables = (_by_bound(rows), _by_network(rows), _by_room(rows), _by_size(rows))
    return "\n".join((_HEAD.format(machine=machine()), *("\n".join((*table, "")) for table in tables)))


def _by_bound(rows: Sequence[Row]) -> Iterator[str]:
    """For each bound, all images that the service would decode at a fraction."""
    yield f"| at least left, and {LEAST} pixels | reduced | median | largest | another first class |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    yield f"| rounding | {_figures([row for row in rows if row.denominator == 1])} |"
    for bound in _BOUNDS:
        yield f"| {bound:g} | {_figures(_kept(rows, bound))} |"


def _by_network(rows: Sequence[Row]) -> Iterator[str]:
    """The same with the default bound, network by network, beside what rounding changes."""
    yield (
        "| network | target | rounding: images | median | largest | another first class "
        "| fast: images | median difference | largest | another first class |"
    )
    yield "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |"
    for name, target in dict.fromkeys((row.network, row.target) for row in rows):
        of_network = [row for row in rows if row.network == name]
        rounded = [row for row in of_network if row.denominator == 1]
        kept = _kept(of_network, DEFAULT_BOUND)
        yield f"| {name} | {target} | {_figures(rounded)} | {_figures(kept)} |"


def _by_room(rows: Sequence[Row]) -> Iterator[str]:
    yield "| times the target left | reduced | median difference | largest | another first class |"
    yield "| --- | ---: | ---: | ---: | ---: |"
    reduced = [row for row in rows if row.denominator > 1]
    for low, high in itertools.pairwise(_EDGES):
        yield f"| {low:g} to {high:g} | {_figures([row for row in reduced if low <= row.left < high])} |"


def _by_size(rows: Sequence[Row]) -> Iterator[str]:
    yield "| megapixels | decoded whole, ms | 1/2 | 1/4 | 1/8 |"
    yield "| ---: | ---: | ---: | ---: | ---: |"
    for size in sorted({row.megapixels for row in rows}):
        of_size = [row for row in rows if row.megapixels == size]
        times = ([row.milliseconds for row in of_size if row.denominator == one] for one in DENOMINATORS)
        yield f"| {size:g} | {' | '.join(f'{np.median(ms):.1f}' for ms in times if ms)} |"


def _kept(rows: Iterable[Row], bound: float) -> list[Row]:
    """What the service would have decoded at a fraction with this bound."""
    reduced = (row for row in rows if row.denominator > 1)
    return [row for row in reduced if row.denominator == chosen(row.short, row.target, bound)]


def _figures(rows: Sequence[Row]) -> str:
    differences = [row.difference for row in rows] or [0.0]
    changed = sum(row.changed for row in rows)
    return f"{len(rows)} | {np.median(differences):.5f} | {max(differences):.4f} | {changed}"
