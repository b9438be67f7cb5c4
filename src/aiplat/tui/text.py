"""Makes text of peers, models and persons safe to draw, and numbers short to read.

What comes from elsewhere is never markup and never controls the terminal. Every text that is drawn
passes `clean` (or `flat`, for one line) on its way into a `Content`.
"""

from __future__ import annotations

import re
from typing import Final

from rich.cells import cell_len, set_cell_size

_CONTROLS: Final = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 but tab and line feed, DEL, C1
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # bidirectional controls reorder what is near
    "\u2028\u2029\ufff9-\ufffb\ufeff"  # separators, annotations, byte order mark
    "\U000e0000-\U000e007f"  # invisible tags
    "\ud800-\udfff]"  # halves of characters
)
_ESCAPES: Final = re.compile(
    "\x1b(?:\\[[0-?]*[ -/]*[@-~]"  # CSI (ECMA-48, 5.4)
    "|[\\]PX^_][^\x07\x1b]*(?:\x07|\x1b\\\\)?"  # OSC, DCS, SOS, PM, APC with their text
    "|[ -/]*[0-~]?)"
)
TAB = 4
"""Cells from one tab stop to the next."""


def harmless(text: str) -> str:
    """Take away what controls a terminal; lines and tabs stay: for what is copied or edited."""
    if "\x1b" in text:
        text = _ESCAPES.sub("", text)
    return _CONTROLS.sub("", text.replace("\r\n", "\n").replace("\r", "\n"))


def clean(text: str) -> str:
    """The same for what is drawn: tabs are spaces, because only the terminal knows their width."""
    text = harmless(text)
    if "\t" in text:
        text = "\n".join(line.expandtabs(TAB) for line in text.split("\n"))
    return text


def flat(text: str) -> str:
    """The same on one line."""
    return " ".join(clean(text).split())


def cut(text: str, cells: int) -> str:
    """Cut a line to so many cells of the screen, with an ellipsis where something is lost."""
    if cell_len(text) <= cells:
        return text
    return set_cell_size(text, max(0, cells - 1)).rstrip() + "…" if cells > 0 else ""


def filled(text: str, cells: int) -> str:
    """Fill a line up with spaces to so many cells of the screen; a longer one stays as it is."""
    return text + " " * (cells - cell_len(text))


def short_peer(peer: str) -> str:
    """A peer as a person tells it from others: the end of its id, as the commands show it."""
    return flat(peer)[-8:]


def amount(number: float) -> str:
    """A count in at most five characters: 999, 12.3k, 1.5M."""
    if number < 1000:
        return f"{number:.0f}"
    for unit in ("k", "M", "G", "T"):
        number /= 1000
        if number < 999.5:
            return f"{number:.1f}{unit}" if number < 99.95 else f"{number:.0f}{unit}"
    return f"{number:.0f}P"


def speed(rate: float) -> str:
    """Tokens a second, with a tenth as long as that says something: 41.3, 7.0M."""
    return f"{rate:.1f}" if rate < 999.95 else amount(rate)


def size(count: float) -> str:
    """Bytes in binary units, as the commands show them: 512 B, 1.5 GiB."""
    if count < 1024:
        return f"{count:.0f} B"
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        count /= 1024
        if count < 1023.5:
            return f"{count:.1f} {unit}" if count < 99.95 else f"{count:.0f} {unit}"
    return f"{count:.0f} PiB"


def span(seconds: float) -> str:
    """A duration in at most two units: 850 ms, 4.2 s, 3 m 12 s, 2 h 5 m, 6 d 3 h."""
    if seconds < 1:
        return f"{seconds * 1000:.0f} ms"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    whole = round(seconds)
    for long, short, unit, part in ((3600, 60, "m", "s"), (86_400, 3600, "h", "m")):
        if whole < long:
            rest = whole % short * 60 // short if part == "m" else whole % short
            return f"{whole // short} {unit} {rest} {part}" if rest else f"{whole // short} {unit}"
    days, hours = divmod(whole // 3600, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"
