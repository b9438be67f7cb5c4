"""Draws values as dots of characters: braille, halves of blocks, or plain ASCII. Pure.

A picture is rows of characters, and who owns each: the place of the curve that was drawn there
last, so that the widget can give it its colour.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import floor

from aiplat.tui.preferences import Graphs

NOBODY = -1
Values = Sequence[float | None]
"""A value for each column of dots, from the left; None where there is nothing to show."""


@dataclass(frozen=True)
class Pen:
    """What is drawn with.

    Arguments:
        wide, high: dots of one character.
        bits: of each column of dots the bits from the bottom up.
        chars: the characters by their bits; empty where the curve decides (`GLYPHS`).
        axis, tick, full, light, signs: what else is drawn in the same manner: the line beside the
            graph, a mark on it, a bar's two parts, and the signs of curves in the legend.
    """

    name: Graphs
    wide: int
    high: int
    bits: tuple[tuple[int, ...], ...]
    chars: str
    axis: str
    tick: str
    full: str
    light: str
    signs: tuple[str, ...]


BRAILLE = Pen(
    "braille", 2, 4, ((0x40, 0x04, 0x02, 0x01), (0x80, 0x20, 0x10, 0x08)),
    "".join(chr(0x2800 + mask) for mask in range(256)),
    axis="│", tick="┤", full="━", light="─", signs=("⠤", "⠄⠄", "⠂ ⠂", "⠁"),
)  # fmt: skip
"""Eight dots a character (Unicode, "Braille Patterns": dots 1 to 8 are the bits 0 to 7)."""
BLOCKS = Pen(
    "blocks", 1, 2, ((1, 2),), " ▄▀█", axis="│", tick="┤", full="█", light="░",
    signs=("■", "■ ■", "■  ■", "▪"),
)  # fmt: skip
"""Halves alone: the Linux console's fonts have no finer ones."""
ASCII = Pen(
    "ascii", 1, 1, ((1,),), "", axis="|", tick="+", full="#", light="-",
    signs=("*", "+", "o", "."),
)  # fmt: skip
PENS: dict[Graphs, Pen] = {"braille": BRAILLE, "blocks": BLOCKS, "ascii": ASCII}
GLYPHS = "*+o."
FILLING = "#"
DASHES = ((1, 0), (2, 2), (1, 3), (1, 5))
"""Of the first curve, the second, …: so many columns with a dot, and without. Curves can be told
apart without colour."""


def pen_for(wanted: Graphs, encoding: str, terminal: str) -> Pen:
    """Choose what to draw with.

    Arguments:
        wanted: what the person set.
        encoding: of the terminal.
        terminal: its name, as TERM has it.
    """
    if wanted != "auto":
        return PENS[wanted]
    if encoding.lower().replace("-", "").replace("_", "") != "utf8":
        return ASCII
    return BLOCKS if terminal == "linux" else BRAILLE


def columns(
    points: Sequence[tuple[float, float | None]],
    hold: float,
    since: float,
    until: float,
    count: int,
) -> list[float | None]:
    """Spread points over columns of dots; where several fall into one, the greatest is seen.

    Arguments:
        points: times and values; None is a gap.
        hold: seconds that a point stands for, from its time on.
        since, until: the times of the left and the right edge.
        count: of columns.
    """
    found: list[float | None] = [None] * count
    scale = count / (until - since)
    for at, value in points:
        if value is None:
            continue
        begin = floor((at - since) * scale)
        end = floor((at + hold - since) * scale)
        for column in range(begin, end if end > begin else begin + 1):
            if 0 <= column < count:
                before = found[column]
                if before is None or before < value:
                    found[column] = value
    return found


def draw(
    curves: Sequence[Values], width: int, height: int, top: float, pen: Pen, *, fill: bool
) -> tuple[list[str], list[list[int]]]:
    """Draw curves over each other, the last one above all.

    Arguments:
        curves: values of `width` × `pen.wide` columns each.
        width, height: in characters.
        top: the value at the upper edge; the lower one is 0.
        fill: whether all below a curve is filled.

    Returns:
        The rows from the top down, and for each of their characters the place of the curve that
        it belongs to, or `NOBODY`.
    """
    masks = [[0] * width for _ in range(height)]
    owners = [[NOBODY] * width for _ in range(height)]
    for place, values in enumerate(curves):
        _draw_one(masks, owners, values, place, top, pen, fill=fill)
    if pen.chars:
        rows = ["".join(map(pen.chars.__getitem__, row)) for row in masks]
    else:
        glyphs = FILLING if fill else GLYPHS
        rows = [
            "".join(" " if o == NOBODY else glyphs[min(o, len(glyphs) - 1)] for o in row)
            for row in owners
        ]
    return rows, owners


def _draw_one(
    masks: list[list[int]],
    owners: list[list[int]],
    values: Values,
    place: int,
    top: float,
    pen: Pen,
    *,
    fill: bool,
) -> None:
    height, high = len(masks), pen.high
    dots = height * high - 1
    on, off = DASHES[min(place, len(DASHES) - 1)]
    before: int | None = None
    for column, value in enumerate(values):
        if value is None:
            before = None
            continue
        level = min(dots, max(1 if fill and value > 0 else 0, round(value / top * dots)))
        low, up = _run(before, level)
        before = level
        if not fill and low == up and column % (on + off) >= on:
            continue  # what goes up or down is drawn whole: it would be lost
        if fill:
            low, up = 0, level
        cell, bits = column // pen.wide, pen.bits[column % pen.wide]
        for row in range(low // high, up // high + 1):
            begin, end = max(low - row * high, 0), min(up - row * high, high - 1)
            masks[height - 1 - row][cell] |= sum(bits[begin : end + 1])
            owners[height - 1 - row][cell] = place


def _run(before: int | None, level: int) -> tuple[int, int]:
    """The dots of a column that join it to the one before: to half of the way, its own part."""
    if before is None or before == level:
        return level, level
    return (before + 1, level) if before < level else (level, before - 1)
