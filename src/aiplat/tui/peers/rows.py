"""The rows of the table of peers, and what stands in their cells. Knows no widget."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from aiplat.control.messages import PeerStatus, Status
from aiplat.domain.ids import Role
from aiplat.tui.text import amount, flat, short_peer, span

MAX_NAMES = 8
"""Models of a peer that are named; it may offer many."""

_SIGNS = {
    "connected": ("●", "success"),
    "ready": ("●", "success"),
    "connecting": ("◌", "warning"),
    "starting": ("◌", "warning"),
    "draining": ("▲", "warning"),
    "drained": ("▲", "warning"),
    "blocked": ("✕", "error"),
}
_LETTERS: dict[Role, str] = {"client": "C", "gateway": "G", "processor": "P"}


@dataclass(frozen=True)
class Row:
    """A line of the table: a peer, or this node itself.

    Arguments:
        peer: what is known of it.
        here: whether it is this node.
        state: of the peer, or of the node, which has others.
    """

    peer: PeerStatus
    here: bool = False
    state: str = ""

    @property
    def key(self) -> str:
        """What tells it from others."""
        return self.peer.peer_id

    @property
    def name(self) -> str:
        """What a person tells it by."""
        return "this node" if self.here else f"…{flat(short_peer(self.peer.peer_id))}"


def rows_of(status: Status | None, peers: Iterable[PeerStatus]) -> list[Row]:
    """This node, and then the others."""
    found = [Row(peer, state=peer.state) for peer in peers]
    return found if status is None else [own_row(status), *found]


def own_row(status: Status) -> Row:
    """This node, as a peer would be shown."""
    models = status.here  # those of all processors are in `status.models`
    peer = PeerStatus(
        peer_id=status.peer_id,
        roles=status.roles,
        address=status.addresses[0] if status.addresses else "",
        models=tuple(model.name for model in models),
        version=status.version,
        since_seconds=status.uptime_seconds,
        slots=sum(model.slots for model in models) if models else None,
        running=sum(model.running for model in models) if models else None,
        waiting=sum(model.waiting for model in models) if models else None,
    )
    state = "drained" if status.drained else status.state
    return Row(peer, here=True, state=state)


def order(row: Row) -> tuple[int, str]:
    """What rows are sorted by when it is for their state: who can be used, before who cannot."""
    return list(_SIGNS).index(row.state) if row.state in _SIGNS else len(_SIGNS), row.key


# -- cells ---------------------------------------------------------------------------------------


def state_cell(row: Row) -> tuple[str, str]:
    """How it is: a sign, a word, and the colour of both."""
    sign, style = _SIGNS.get(row.state, ("○", ""))
    return f"{sign} {row.state}", style


def role_words(roles: Sequence[str]) -> str:
    """Its roles, in words."""
    return ", ".join(roles)


def role_letters(roles: Sequence[Role]) -> str:
    """Its roles, each by its first letter."""
    return " ".join(_LETTERS[role] for role in roles if role in _LETTERS)


def models_cell(row: Row) -> tuple[str, str]:
    """Its models; of who is not connected the reason, which matters more."""
    if row.state not in ("connected", "ready") and row.peer.note not in ("", row.state):
        return row.peer.note, "text-muted"
    return few(row.peer.models), ""


def few(names: Sequence[str]) -> str:
    """Some names, and how many more there are."""
    more = len(names) - MAX_NAMES
    return ", ".join([*names[:MAX_NAMES], *([f"{more} more"] if more > 0 else [])])


def slots_cell(peer: PeerStatus) -> str:
    """How many of its slots are taken."""
    return "" if peer.slots is None else f"{peer.running or 0}/{peer.slots}"


def queue_cell(peer: PeerStatus) -> str:
    """How many wait there."""
    return "" if peer.waiting is None else str(peer.waiting)


def speed(peer: PeerStatus) -> float:
    """Tokens a second of one answer: measured here, else as it says of itself; 0 for neither."""
    return peer.measured_tokens_per_second or peer.tokens_per_second or 0.0


def speed_cell(peer: PeerStatus) -> str:
    """Its speed; in brackets what it says of itself."""
    shown = amount(speed(peer)) if speed(peer) else ""
    return f"({shown})" if shown and not peer.measured_tokens_per_second else shown


def latency_cell(peer: PeerStatus) -> str:
    """There and back, in milliseconds."""
    if peer.latency_ms is None:
        return ""
    return f"{peer.latency_ms:.1f}" if peer.latency_ms < 99.95 else f"{peer.latency_ms:.0f}"


def path_cell(peer: PeerStatus) -> str:
    """How it is reached."""
    if peer.via:
        return f"by …{short_peer(peer.via)}"
    if peer.path:
        return peer.path
    return f"seen by …{short_peer(peer.seen_by)}" if peer.seen_by else ""


def since_cell(peer: PeerStatus) -> str:
    """How long the channel, or this node, stands."""
    return "" if peer.since_seconds is None else span(int(peer.since_seconds))
