"""Rates as bars, in SVG."""

import statistics
from collections.abc import Iterable
from html import escape

from bench.rounds import Medians, Results, medians

_CONNECTIONS = {1: "#9ecae1", 8: "#3182bd", 32: "#08519c"}
_LEFT, _WIDTH, _RIGHT, _TOP = 190, 480, 70, 56
_BAR, _GROUP = 14, 56


def bars(results: Results) -> str:
    """The contestants that compute every answer, the quickest first, and the bare pipeline as a line."""
    found = medians(results)
    computing = sorted(
        (one for one in results.figures if one.computes), key=lambda one: -found[one.key].rate(8)
    )
    limit = statistics.median(one.rate for one in results.bare)
    most = max([limit, *(found[one.key].rate(count) for one in computing for count in _CONNECTIONS)])
    height = _TOP + _GROUP * len(computing) + 24
    lines = [_open(_LEFT + _WIDTH + _RIGHT, height), *_legend()]
    for place, contestant in enumerate(computing):
        top = _TOP + _GROUP * place
        lines.append(_text(_LEFT - 8, top + 27, contestant.name, "end"))
        lines += _group(found[contestant.key], top, _WIDTH / most)
    right = _LEFT + _WIDTH * limit / most
    lines.append(f'<path d="M{right:.1f} {_TOP - 6}V{height - 20}" stroke="#c00" stroke-dasharray="4 3"/>')
    lines.append(_text(right, height - 6, f"bare loop {limit:.0f}", "middle"))
    return "\n".join([*lines, "</svg>", ""])


def _open(width: int, height: int) -> str:
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" '
        f'viewBox="0 0 {width} {height}" font-family="sans-serif" font-size="13">\n'
        f'<rect width="{width}" height="{height}" fill="#fff"/>'
    )


def _legend() -> Iterable[str]:
    yield _text(_LEFT, 16, "images a second, by connections", "start")
    for place, (count, colour) in enumerate(_CONNECTIONS.items()):
        left = _LEFT + 70 * place
        yield f'<rect x="{left}" y="25" width="12" height="12" fill="{colour}"/>'
        yield _text(left + 17, 36, str(count), "start")


def _group(one: Medians, top: int, scale: float) -> Iterable[str]:
    for place, (count, colour) in enumerate(_CONNECTIONS.items()):
        y, rate = top + place * _BAR, one.rate(count)
        width = rate * scale
        yield f'<rect x="{_LEFT}" y="{y}" width="{width:.1f}" height="{_BAR - 2}" fill="{colour}"/>'
        yield _text(_LEFT + width + 5, y + 11, f"{rate:.0f}", "start")


def _text(x: float, y: float, text: str, anchor: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="#222">{escape(text)}</text>'
