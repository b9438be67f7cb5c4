"""The table of peers: as many of its columns as the terminal has room for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from aiplat.cli import output, tables
from aiplat.cli.tables import Column
from aiplat.domain.errors import clip

if TYPE_CHECKING:
    from rich.console import Group

    from aiplat.control.messages import PeerStatus

_LONGEST_WORD = 24
_LONGEST_NAME = 60
_MOST_MODELS = 8


COLUMNS: tuple[Column[PeerStatus], ...] = (
    Column("peer", 0, lambda p: f"…{p.peer_id[-8:]}"),
    Column("role", 0, lambda p: ", ".join(p.roles), breaks=True),
    Column("state", 0, lambda p: p.state),
    Column("models", 2, lambda p: _models(p.models), breaks=True),
    Column("slots", 3, lambda p: "" if p.slots is None else f"{p.running or 0}/{p.slots}"),
    Column("queue", 6, lambda p: "" if p.waiting is None else str(p.waiting)),
    Column("tok/s", 5, lambda p: _speed(p)),
    Column("ms", 4, lambda p: "" if p.latency_ms is None else f"{p.latency_ms:.1f}"),
    Column("path", 1, lambda p: _path(p)),
    Column("version", 8, lambda p: p.version[:_LONGEST_WORD]),
    Column("since", 7, lambda p: "" if p.since_seconds is None else _ago(p.since_seconds)),
)


def _models(names: Sequence[str]) -> str:
    """A peer may offer many, and call them what it likes."""
    shown = [clip(name, _LONGEST_NAME) for name in names[:_MOST_MODELS]]
    more = len(names) - len(shown)
    return ", ".join([*shown, *([f"{more} more"] if more else [])])


def _path(peer: PeerStatus) -> str:
    if peer.via:
        return f"by …{peer.via[-8:]}"
    return peer.path or (f"seen by …{peer.seen_by[-8:]}" if peer.seen_by else "")


def _speed(peer: PeerStatus) -> str:
    """What this gateway measured; in brackets what the processor says of itself."""
    shown = peer.measured_tokens_per_second or peer.tokens_per_second
    if not shown:
        return ""
    return f"{shown:.0f}" if peer.measured_tokens_per_second else f"({shown:.0f})"


def _ago(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days} d {hours} h"
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"


def fitting(found: Sequence[PeerStatus], columns: int) -> tuple[Column[PeerStatus], ...]:
    """Choose what a terminal of `columns` has room for; all of it when that is 0."""
    return tables.fitting(COLUMNS, found, columns)


def lines(found: Sequence[PeerStatus], columns: int) -> list[str]:
    """Write the table down for a terminal of `columns`, or whole when that is 0."""
    return tables.lines(COLUMNS, found, columns)


def notes(found: Sequence[PeerStatus]) -> list[str]:
    """Why peers are not reached that are tried, or take nothing."""
    return [
        f"…{peer.peer_id[-8:]}: {output.flat(peer.note)}"
        for peer in found
        if peer.note and (peer.state == "connecting" or peer.note != peer.state == "draining")
    ]


_MORE = "… and more: make the terminal higher, or leave --watch out."


def screen(found: Sequence[PeerStatus], searching: str, columns: int, rows: int) -> Group:
    """Everything that fits one screen: peers, then why some are not reached.

    Arguments:
        found: the peers.
        searching: what the node looks for in vain.
        columns: of the terminal.
        rows: of the terminal.
    """
    from rich.console import Group
    from rich.text import Text

    said = [*notes(found), *([output.flat(searching)] if searching else [])]
    if not found:
        said = ["No peers yet.", *said]
    said = said[: max(1, rows // 3)]
    drawn = lines(found, columns)
    room = max(3, rows - len(said) - 1)
    if len(drawn) > room:
        drawn = [
            *drawn[: room - 1],
            _MORE if len(_MORE) <= columns else "… and more: higher, please.",
        ]
    return Group(*(Text(line, no_wrap=True, overflow="ellipsis") for line in (*drawn, *said)))
