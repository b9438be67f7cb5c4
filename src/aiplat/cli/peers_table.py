"""The table of peers: as many of its columns as the terminal has room for."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from aiplat.cli import output
from aiplat.domain.errors import clip

if TYPE_CHECKING:
    from rich.console import Group
    from rich.table import Table

    from aiplat.control.messages import PeerStatus

_GAP = 2
_LONGEST_WORD = 24
_LONGEST_NAME = 60
_MOST_MODELS = 8


@dataclass(frozen=True)
class Column:
    """One column.

    Arguments:
        name: its head.
        rank: what is left out first where there is no room, highest first; 0 is always there.
        cell: what stands in it; a peer may have written it.
        breaks: whether a cell may be broken into lines, behind a comma.
    """

    name: str
    rank: int
    cell: Callable[[PeerStatus], str]
    breaks: bool = False

    def text(self, peer: PeerStatus) -> str:
        """A cell as it is shown: one line, harmless."""
        return output.flat(self.cell(peer))

    def width(self, found: Sequence[PeerStatus], *, whole: bool = False) -> int:
        """The columns of the terminal that it needs, or has `whole`, with no cell broken."""
        from rich.cells import cell_len

        cells = [self.text(peer) for peer in found]
        if self.breaks and not whole:
            cells = [f"{word}," for cell in cells for word in cell.split(", ")]
        widest = max(map(cell_len, cells), default=0)
        return max(len(self.name), min(widest, _LONGEST_WORD) if self.breaks else widest)


COLUMNS = (
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


def fitting(found: Sequence[PeerStatus], columns: int) -> tuple[Column, ...]:
    """Choose what a terminal of `columns` has room for; all of it when that is 0."""
    shown = list(COLUMNS)
    for column in sorted(COLUMNS, key=lambda column: -column.rank):
        needed = sum(c.width(found) for c in shown) + _GAP * (len(shown) - 1)
        if not columns or needed <= columns or not column.rank:
            break
        shown.remove(column)
    return tuple(shown)


def table(found: Sequence[PeerStatus], shown: Sequence[Column]) -> Table:
    """Draw the peers; what they name themselves is text, never markup."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0))
    for column in shown:
        drawn.add_column(column.name, overflow="fold", no_wrap=not column.breaks)
    for peer in found:
        drawn.add_row(*(Text(column.text(peer)) for column in shown))
    return drawn


def lines(found: Sequence[PeerStatus], columns: int) -> list[str]:
    """Write the table down for a terminal of `columns`, or whole when that is 0."""
    import io

    from rich.console import Console

    shown = fitting(found, columns)
    whole = sum(c.width(found, whole=True) for c in shown) + _GAP * len(shown)
    stream = io.StringIO()
    Console(width=columns or whole, file=stream, color_system=None).print(table(found, shown))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


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
