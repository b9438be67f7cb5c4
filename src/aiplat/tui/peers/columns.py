"""The columns of the two tables: peers, and members."""

from __future__ import annotations

from aiplat.control.messages import MemberStatus
from aiplat.tui.clock import Clock
from aiplat.tui.peers import rows, words
from aiplat.tui.peers.rows import Row
from aiplat.tui.table import Column
from aiplat.tui.text import flat, short_peer

_WIDE = 142
"""Cells of a table that has room for roles in words."""


def peer_columns() -> list[Column[Row]]:
    """Peers: fewer of them on a narrow screen."""
    return [
        Column("state", "state", rows.state_cell, sort=rows.order, width=12),
        Column("peer", "peer", lambda r: (r.name, "accent" if r.here else ""), width=9),
        Column("role", "role", lambda r: rows.role_letters(r.peer.roles), width=5, until=_WIDE),
        Column("roles", "role", lambda r: rows.role_words(r.peer.roles), width=26, least=_WIDE),
        Column("models", "models", rows.models_cell, width=10, grows=True),
        Column("slots", "slots", lambda r: rows.slots_cell(r.peer),
               sort=lambda r: (r.peer.running or 0) / (r.peer.slots or 1), right=True, falls=True),
        Column("queue", "queue", lambda r: rows.queue_cell(r.peer),
               sort=lambda r: r.peer.waiting or 0, right=True, width=5, least=70, falls=True),
        Column("speed", "tok/s", lambda r: rows.speed_cell(r.peer),
               sort=lambda r: rows.speed(r.peer), right=True, width=6, least=78, falls=True),
        Column("latency", "ms", lambda r: rows.latency_cell(r.peer),
               sort=lambda r: 1e9 if r.peer.latency_ms is None else r.peer.latency_ms,
               right=True, width=5, least=86),
        Column("path", "path", lambda r: rows.path_cell(r.peer), width=17, least=124),
        Column("version", "version", lambda r: flat(r.peer.version), width=8, least=106),
        Column("since", "since", lambda r: rows.since_cell(r.peer),
               sort=lambda r: r.peer.since_seconds or 0.0, right=True, width=8, least=96,
               falls=True),
    ]  # fmt: skip


def member_columns(clock: Clock) -> list[Column[MemberStatus]]:
    """Members, on the owner's node."""
    return [
        Column("state", "state", words.member_state, width=12),
        Column("member", "member", lambda m: f"…{flat(short_peer(m.peer_id))}", width=9,
               until=110),
        Column("whole", "member", lambda m: m.peer_id, width=53, least=110),
        Column("roles", "roles", lambda m: ", ".join(m.roles), width=12, grows=True),
        Column("until", "certificate until", lambda m: words.until(m, clock.now(), clock.local),
               sort=lambda m: m.expires, width=17),
        Column("joined", "joined", lambda m: words.day(m.joined, clock.local),
               sort=lambda m: m.joined, width=10, least=80),
    ]  # fmt: skip
