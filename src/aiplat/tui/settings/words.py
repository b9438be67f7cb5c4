"""What the settings say: the themes in their order, the files, what is kept. Knows no widget."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from aiplat.control.history import MAX_DAYS, HistoryState
from aiplat.domain.errors import InvalidRequest
from aiplat.tui.preferences import Graphs, Preferences
from aiplat.tui.text import size

OWN = ("aiplat-dark", "aiplat-light")
OWN_FILE, SOCKET, LOG = "What you set here", "The node's socket", "Log"
KEPT, MODELS = "Conversations", "Models"
PLACES = (OWN_FILE, SOCKET, LOG, KEPT, MODELS)
"""In the order in which they are listed."""
TERMINAL = ("ansi-dark", "ansi-light")
GRAPHS: dict[Graphs, str] = {
    "auto": "automatic",
    "braille": "braille ⣀⣤⣶",
    "blocks": "blocks ▁▃▅█",
    "ascii": "ASCII .:|#",
}


@dataclass(frozen=True)
class Choice:
    """A thing that has some values.

    Arguments:
        name: of the preference.
        words: the value that holds.
        following: the value that comes next.
    """

    name: str
    title: str
    words: str
    following: bool | str


@dataclass(frozen=True)
class Place:
    """A file or folder, and what it holds."""

    what: str
    path: str


def choices_of(now: Preferences) -> tuple[Choice, ...]:
    """What can be chosen beside the theme, as it is now."""
    graphs = list(GRAPHS)
    after = graphs[(graphs.index(now.graphs) + 1) % len(graphs)]
    on = {True: "on", False: "off"}
    return (
        Choice("animation", "Movement", on[now.animation], not now.animation),
        Choice("sidebar", "Side list", on[now.sidebar], not now.sidebar),
        Choice("graphs", "Graphs", GRAPHS[now.graphs], after),
    )


def ordered(themes: Iterable[str]) -> list[str]:
    """Our own first, then those of the terminal's own colours, then the others by name."""
    known = set(themes)
    first = [name for name in (*OWN, *TERMINAL) if name in known]
    return [*first, *sorted(known.difference(first))]


def theme_words(name: str) -> str:
    """A theme as it is listed."""
    if name in TERMINAL:
        return f"{name} (terminal's)"
    return name


def days_of(text: str) -> int:
    """The days that a person typed.

    Raises:
        InvalidRequest: it is no whole number from 0 to `MAX_DAYS`.
    """
    if not text.strip().isascii() or not text.strip().isdigit() or int(text) > MAX_DAYS:
        raise InvalidRequest(
            f"“{text}” is no number of days: type a whole number from 0 to {MAX_DAYS}; 0 keeps "
            "conversations for ever."
        )
    return int(text)


def kept_words(state: HistoryState) -> str:
    """What is kept, and for how long."""
    many = f"{state.conversations} conversation{'' if state.conversations == 1 else 's'}"
    return f"{many}, {size(state.bytes)}; {lasting(state.days)}."


def lasting(days: int) -> str:
    """For how long, in words."""
    if not days:
        return "kept for ever"
    return f"each is deleted {days} day{'' if days == 1 else 's'} after it was used last"
