"""Plots as plain SVG, readable on light and dark pages: points over an axis of powers of ten, joined by a line."""

from collections.abc import Sequence
from html import escape
from math import ceil, floor, log10
from typing import NamedTuple

WIDTH, HEIGHT = 640, 320
LEFT, RIGHT, TOP, BOTTOM = 64, 24, 48, 56
STEPS = (1, 2, 2.5, 5, 10)
TICKS = 5

_STYLE = """<style>
text { font: 13px sans-serif; fill: #444c56 } .title { font-weight: bold; font-size: 15px }
.grid { stroke: #d0d7de } .line { stroke: #0969da; fill: none; stroke-width: 2 } .point { fill: #0969da }
@media (prefers-color-scheme: dark) {
  text { fill: #adbac7 } .grid { stroke: #444c56 } .line { stroke: #539bf5 } .point { fill: #539bf5 }
}
</style>"""


class Plot(NamedTuple):
    """What is shown: values of the vertical axis begin at 0, those of the horizontal one are above 0."""

    title: str
    across: str
    points: Sequence[tuple[float, float]]


def svg(plot: Plot) -> str:
    """The plot as a whole file."""
    points = sorted(plot.points)
    first, last = decades([x for x, _ in points])
    step = tick(max(y for _, y in points))
    top = step * TICKS
    places = [(_x(x, first, last), _y(y, top)) for x, y in points]
    marks = [_mark(*place, y) for place, (_, y) in zip(places, points, strict=True)]
    return "\n".join(
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img">',
            f"<title>{escape(plot.title)}</title>",
            _STYLE,
            f'<text class="title" x="{LEFT}" y="24">{escape(plot.title)}</text>',
            *(_level(step * n, top) for n in range(TICKS + 1)),
            *(_decade(power, first, last) for power in range(first, last + 1)),
            f'<text x="{WIDTH // 2}" y="{HEIGHT - 12}" text-anchor="middle">{escape(plot.across)}</text>',
            f'<polyline class="line" points="{" ".join(f"{x:.1f},{y:.1f}" for x, y in places)}"/>',
            *marks,
            "</svg>\n",
        )
    )


def decades(values: Sequence[float]) -> tuple[int, int]:
    """The powers of ten that all values lie between."""
    first = floor(log10(min(values)))
    return first, max(first + 1, ceil(log10(max(values))))


def tick(highest: float) -> float:
    """The smallest round distance of lines of which five reach beyond the highest value."""
    power = 10.0 ** floor(log10(max(highest, 1) / TICKS))
    return next(step * power for step in (*STEPS, 20) if step * power * TICKS > highest)


def _x(value: float, first: int, last: int) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * (log10(value) - first) / (last - first)


def _y(value: float, top: float) -> float:
    return HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * value / top


def _level(value: float, top: float) -> str:
    y = _y(value, top)
    line = f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>'
    return f'{line}<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{value:,.0f}</text>'


def _decade(power: int, first: int, last: int) -> str:
    x = _x(10.0**power, first, last)
    line = f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}"/>'
    return f'{line}<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{10**power:,}</text>'


def _mark(x: float, y: float, value: float) -> str:
    point = f'<circle class="point" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'
    return f'{point}<text x="{x:.1f}" y="{y - 10:.1f}" text-anchor="middle">{value:,.0f}</text>'
