"""The keys of the pane Usage."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding, BindingType

BINDINGS: Final[list[BindingType]] = [
    Binding("r", "range", "Range", id="usage.range"),
    Binding("left", "shorter", "Shorter", show=False, id="usage.shorter"),
    Binding("right", "longer", "Longer", show=False, id="usage.longer"),
    Binding("b", "by", "By", id="usage.by"),
    Binding("v", "view", "Seen as", id="usage.view"),
    Binding("n,down", "next", "Next", key_display="n", id="usage.next"),
    Binding("p,up", "previous", "Previous", show=False, key_display="p", id="usage.previous"),
    Binding("z", "alone", "Alone", id="usage.alone"),
    Binding("t", "table", "Table", id="usage.table"),
    Binding("space", "pause", "Pause", id="usage.pause"),
    Binding("e", "export", "Export", id="usage.export"),
    Binding("g", "style", "Drawn in", id="usage.style"),
]
