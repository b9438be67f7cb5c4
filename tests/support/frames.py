"""Whether the frame of a screen is whole: no line too long or short, every border in its place."""

from __future__ import annotations

import unicodedata

from textual._border import BORDER_CHARS
from textual.geometry import Region
from textual.widget import Widget

from aiplat.tui.app import AiplatApp
from tests.support.screens import _strips


def whole(app: AiplatApp) -> str:
    """What is wrong with the frame; empty where all is well."""
    size = app.size
    lines = [cells("".join(segment.text for segment in strip)) for strip in _strips(app)]
    if len(lines) != size.height:
        return f"{len(lines)} lines, and not {size.height}"
    for number, line in enumerate(lines):
        if len(line) != size.width:
            return f"line {number} has {len(line)} cells, and not {size.width}: {''.join(line)!r}"
    for widget in app.screen.query("*").results(Widget):
        for column, row, wanted in edges(app, widget):
            if lines[row][column] != wanted:
                found = "".join(lines[row])
                return f"{widget} has no {wanted!r} in column {column} of line {row}: {found!r}"
    return ""


def cells(text: str) -> list[str]:
    """The text cell by cell, as a terminal counts them; the second cell of a wide sign is empty."""
    found: list[str] = []
    for sign in text:
        if unicodedata.category(sign) in ("Mn", "Me", "Cf"):
            continue
        found.append(sign)
        if unicodedata.east_asian_width(sign) in "WF":
            found.append("")
    return found


def edges(app: AiplatApp, widget: Widget) -> list[tuple[int, int, str]]:
    """Where the lines at the left and right of a widget have to be, and as which sign."""
    place = app.screen._compositor.visible_widgets.get(widget)
    if place is None or not widget.visible:
        return []
    region, clip = place
    seen = region.intersection(clip)
    sides = ((widget.styles.border_left[0], region.x, 0),
             (widget.styles.border_right[0], region.right - 1, 2))  # fmt: skip
    return [
        (column, line, BORDER_CHARS[kind][1][place])
        for kind, column, place in sides
        if kind not in ("", "none", "hidden", "blank")
        for line in _inner(region, seen)
        if seen.x <= column < seen.right
    ]


def _inner(region: Region, seen: Region) -> range:
    """The lines of it that are seen, without its first and last, where corners may be."""
    return range(max(region.y + 1, seen.y), min(region.bottom - 1, seen.bottom))
