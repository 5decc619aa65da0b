"""The rounds of a scenario as a table: the whole in its own units, every other row relative to it."""

import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.ablate.rows import WHOLE, Row

Round = dict[str, Mapping[str, float]]
"""Figures by the heads of their columns, by the keys of the rows."""
COUNTED = "lost"
"""How the heads of columns begin that are added up over the rounds, and are no ratios."""


@dataclass
class Measured:
    """What was measured in one scenario.

    Attributes:
        rows: what was to be measured.
        rounds: what was.
        failed: by the keys of the rows, why one was not, of the last time.
    """

    rows: Sequence[Row]
    rounds: list[Round] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)


def of_whole(rounds: Sequence[Round], key: str, column: str) -> float | None:
    """The median of a row's figure over that of the whole in the same round; None without such a round."""
    ratios = [
        done[key][column] / done[WHOLE][column]
        for done in rounds
        if key in done and WHOLE in done and done[WHOLE][column]
    ]
    return statistics.median(ratios) if ratios else None


def total(rounds: Sequence[Round], key: str, column: str) -> int | None:
    """The sum of a row's figure over all rounds; None if there is no round with it."""
    found = [done[key][column] for done in rounds if key in done]
    return int(sum(found)) if found else None


def table(measured: Measured) -> str:
    """Markdown."""
    columns = list(
        dict.fromkeys(column for done in measured.rounds for one in done.values() for column in one)
    )
    lines = [f"| | {' | '.join(columns)} |", f"| --- |{len(columns) * ' ---: |'}"]
    lines += [_line(row, columns, measured) for row in measured.rows]
    return "\n".join(lines)


def _line(row: Row, columns: Sequence[str], measured: Measured) -> str:
    cells = [_cell(row.key, column, measured.rounds) for column in columns]
    missing = len(measured.rounds) - sum(row.key in done for done in measured.rounds)
    note = (
        f" (**failed in {missing} of {len(measured.rounds)} rounds**: {measured.failed[row.key]})"
        if missing
        else ""
    )
    return f"| {row.name}{note} | {' | '.join(cells)} |"


def _cell(key: str, column: str, rounds: Sequence[Round]) -> str:
    if column.startswith(COUNTED):
        return _shown(total(rounds, key, column), 0)
    if key == WHOLE:
        found = [done[key][column] for done in rounds if key in done]
        middle = statistics.median(found) if found else None
        return _shown(middle, 1 if middle is None or middle >= 10 else 3)
    return _shown(of_whole(rounds, key, column), 3)


def _shown(value: float | None, digits: int) -> str:
    return "" if value is None else f"{value:.{digits}f}"
