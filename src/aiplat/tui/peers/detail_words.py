"""All that is known of a peer, or of this node, in lines. Knows no widget."""

from __future__ import annotations

from collections.abc import Sequence

from aiplat.control.messages import PeerStatus, Status
from aiplat.tui.peers.figures import Figures, bars
from aiplat.tui.peers.folding import beside
from aiplat.tui.peers.rows import Row, latency_cell, role_words, since_cell, state_cell
from aiplat.tui.peers.share_words import state_words
from aiplat.tui.peers.words import MUTED, Line, Part
from aiplat.tui.text import flat, short_peer, size, speed

MAX_MODELS = 32
Fact = tuple[str, Part]
"""What it is called, and what it is."""


def facts(row: Row, status: Status | None) -> list[Fact]:
    """What is known of it."""
    sign, style = state_cell(row)
    state = (sign, f"${style}" if style else "")
    peer = row.peer
    found: list[Fact] = [("id", (flat(peer.peer_id), "")), ("state", state)]
    if peer.note and peer.note != row.state:
        found.append(("", (flat(peer.note), "")))
    found.append(("roles", (role_words(peer.roles) or "not known", "")))
    if row.here and status is not None:
        return [*found, *_own(status)]
    return [*found, *_load(peer), *_channel(peer)]


def _load(peer: PeerStatus) -> list[Fact]:
    """What it offers, and how busy it is."""
    found: list[Fact] = []
    for place, name in enumerate(peer.models[:MAX_MODELS]):
        found.append(("models" if not place else "", (flat(name), "")))
    if len(peer.models) > MAX_MODELS:
        found.append(("", (f"and {len(peer.models) - MAX_MODELS} more", MUTED)))
    if peer.slots is not None:
        waiting = f", {peer.waiting} wait" if peer.waiting else ""
        found.append(("slots", (f"{peer.running or 0} of {peer.slots} taken{waiting}", "")))
    speeds = []
    if peer.measured_tokens_per_second:
        speeds.append(f"{speed(peer.measured_tokens_per_second)} tok/s measured here")
    if peer.tokens_per_second:
        speeds.append(f"{speed(peer.tokens_per_second)} tok/s by its own word")
    found += [("speed" if not place else "", (text, "")) for place, text in enumerate(speeds)]
    return found


def _channel(peer: PeerStatus) -> list[Fact]:
    """How it is reached."""
    found: list[Fact] = []
    if peer.latency_ms is not None:
        found.append(("latency", (f"{latency_cell(peer)} ms there and back", "")))
    if peer.since_seconds is not None:
        found.append(("since", (since_cell(peer), "")))
    if peer.version:
        found.append(("version", (flat(peer.version), "")))
    if peer.agent and peer.agent != f"aiplat/{peer.version}":
        found.append(("agent", (flat(peer.agent), "")))
    if peer.path or peer.via:
        by = f" by {flat(peer.via)}" if peer.via else ""
        found.append(("path", (f"{peer.path or 'relayed'}{by}", "")))
    if peer.address:
        found.append(("address", (flat(peer.address), "")))
    elif peer.seen_by:
        found.append(("path", ("no channel from here", "")))
    if peer.seen_by:
        found.append(("seen by", (f"the gateway {flat(peer.seen_by)}", "")))
    return found


def _own(status: Status) -> list[Fact]:
    """What is known of this node alone."""
    found: list[Fact] = []
    for place, model in enumerate(status.here[:MAX_MODELS]):
        note = f": {flat(model.note)}" if model.note else ""
        on_disk = f", {size(model.bytes)}" if model.bytes else ""
        text = f"{flat(model.name)} ({model.state}{on_disk}{note})"
        found.append(("models" if not place else "", (text, "")))
    if len(status.here) > MAX_MODELS:
        found.append(("", (f"and {len(status.here) - MAX_MODELS} more", MUTED)))
    if status.active:
        found.append(("running", (f"{status.active} requests", "")))
    for place, address in enumerate(status.addresses):
        found.append(("address" if not place else "", (flat(address), "")))
    reach = status.reach
    if reach is not None:
        by = f" by {', '.join(f'…{short_peer(peer)}' for peer in reach.via)}" if reach.via else ""
        why = f": {flat(reach.why)}" if reach.why else ""
        found.append(("reached", (f"{reach.state}{by}{why}", "")))
    found += [
        ("shared", (state_words(status.share) if status.share is not None else "no", "")),
        ("door", (flat(status.http) or "none", "")),
        ("version", (flat(status.version), "")),
        ("uptime", (since_cell(PeerStatus(peer_id="", since_seconds=status.uptime_seconds)), "")),
        ("process", (f"{status.pid}{', in the background' if status.background else ''}", "")),
    ]
    return found


def fact_lines(found: Sequence[Fact], cells: int) -> list[Line]:
    """What is known, each beside its label, for lines of so many cells."""
    return [line for label, part in found for line in beside(label, part, cells, margin=9)]


def history_lines(figures: Sequence[Figures], kind: str, problem: str = "") -> list[Line]:
    """Its figures: for each time a line of bars, and the sums.

    Arguments:
        kind: what graphs are drawn with (`Preferences.graphs`).
        problem: why there may be less than there was.
    """
    lines: list[Line] = []
    for one in figures:
        drawn = bars(one.tokens, "ascii" if kind == "ascii" else "blocks")
        lines.append(((f"{one.label}  ", MUTED), (drawn, "$accent" if one.requests else MUTED)))
        lines.append(((one.words, ""),))
    return [*lines, *([((f"▲ {flat(problem)}", "$warning"),)] if problem else [])]
