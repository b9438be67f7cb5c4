"""Plots as SVG text: groups of bars with whiskers. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from bench.engine.figures import short

_COLOURS = ("#1b6ca8", "#79b4d8", "#e08e45", "#7a9e57", "#8d6a9f")
_WIDTH, _HEIGHT = 760, 340
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 16, 66, 34
_HALO = "fill='#222' stroke='white' stroke-width='3' paint-order='stroke'"
_FONT = "font-family='sans-serif' font-size='12'"

Bar = tuple[float, float, float] | None
"""The whisker's low end, the bar's height, and the whisker's high end."""


@dataclass(frozen=True)
class Series:
    """Bars of one colour: one for each group, None where nothing was measured."""

    name: str
    bars: Sequence[Bar]


@dataclass(frozen=True)
class Chart:
    """A plot.

    Arguments:
        title: above it.
        unit: of the vertical axis.
        groups: names below the bars.
        series: what stands side by side in each group.
    """

    title: str
    unit: str
    groups: Sequence[str]
    series: Sequence[Series]

    def svg(self) -> str:
        """The plot as a file's text."""
        most = max((bar[2] for one in self.series for bar in one.bars if bar), default=1.0)
        step = _step(most)
        top = step * math.ceil(most / step)
        parts = [
            f"<svg xmlns='http://www.w3.org/2000/svg' viewBox='0 0 {_WIDTH} {_HEIGHT}' {_FONT}>",
            f"<rect width='{_WIDTH}' height='{_HEIGHT}' fill='white'/>",
            _text(_LEFT, 20, f"{self.title} ({self.unit})", "start", "font-weight='bold'"),
            *self._legend(),
            *_axis(top, step),
        ]
        for place in range(len(self.groups)):
            parts += self._group(place, top)
        return "\n".join([*parts, "</svg>", ""])

    def _legend(self) -> list[str]:
        parts, x = [], float(_LEFT)
        for one, colour in zip(self.series, _COLOURS, strict=False):
            parts.append(f"<rect x='{x:.0f}' y='32' width='11' height='11' fill='{colour}'/>")
            parts.append(_text(x + 16, 42, one.name, "start"))
            x += 16 + 7 * len(one.name) + 22
        return parts

    def _group(self, place: int, top: float) -> list[str]:
        room = (_WIDTH - _LEFT - _RIGHT) / len(self.groups)
        width = min(70.0, 0.84 * room / len(self.series))
        middle = _LEFT + room * (place + 0.5)
        parts = [_text(middle, _HEIGHT - 12, self.groups[place], "middle")]
        x = middle - width * len(self.series) / 2
        for one, colour in zip(self.series, _COLOURS, strict=False):
            bar = one.bars[place]
            if bar is not None:
                parts += _bar(x, width, bar, top, colour)
            else:
                parts.append(_text(x + width / 2, _y(0, top) - 4, "–", "middle", "fill='#666'"))
            x += width
        return parts


def _bar(x: float, width: float, bar: Bar, top: float, colour: str) -> list[str]:
    assert bar is not None
    low, value, high = bar
    y, centre = _y(value, top), x + width / 2
    shape = (
        f"<rect class='bar' x='{x + 2:.1f}' y='{y:.1f}' width='{width - 4:.1f}' "
        f"height='{_y(0, top) - y:.1f}' fill='{colour}'/>"
    )
    whisker = "".join(
        f"M{a:.1f},{b:.1f}L{c:.1f},{d:.1f}"
        for a, b, c, d in (
            (centre, _y(low, top), centre, _y(high, top)),
            (centre - 4, _y(low, top), centre + 4, _y(low, top)),
            (centre - 4, _y(high, top), centre + 4, _y(high, top)),
        )
    )
    line = f"<path d='{whisker}' stroke='#222' fill='none'/>" if high > low else ""
    return [shape, line, _text(centre, _y(high, top) - 5, short(value), "middle", _HALO)]


def _axis(top: float, step: float) -> list[str]:
    parts = []
    for n in range(round(top / step) + 1):
        y = _y(n * step, top)
        colour = "#444" if n == 0 else "#ddd"
        parts.append(f"<path d='M{_LEFT},{y:.1f}H{_WIDTH - _RIGHT}' stroke='{colour}'/>")
        parts.append(_text(_LEFT - 6, y + 4, f"{n * step:,g}", "end", "fill='#444'"))
    return parts


def _step(most: float) -> float:
    """A round distance of the axis's marks, four to ten of them."""
    raw = most / 5 if most > 0 else 0.2
    power = 10 ** math.floor(math.log10(raw))
    return float(next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw))


def _y(value: float, top: float) -> float:
    return _HEIGHT - _BOTTOM - (_HEIGHT - _TOP - _BOTTOM) * value / top


def _text(x: float, y: float, text: str, anchor: str, more: str = "") -> str:
    return f"<text x='{x:.1f}' y='{y:.1f}' text-anchor='{anchor}' {more}>{escape(text)}</text>"
