"""The keys of the pane Peers, and what its help says. Two actions of one key exclude each other."""

from __future__ import annotations

from typing import Final

from textual.binding import Binding, BindingType

HELP: Final = (
    "Who is in the network, and what they have to offer. The first row is this node.\n"
    "state   ● there   ◌ tried, not reached yet   ▲ takes nothing new   ✕ blocked\n"
    "role    C client, G gateway, P processor\n"
    "models  of who is not reached: why not\n"
    "tok/s   of one answer; in brackets what a processor says of itself\n"
    "ms      there and back;  path: directly, or by which relay\n"
    "Enter shows all of a peer, with its figures of the last hour and day.\n"
    "m shows the members and their certificates, on the owner's node.\n"
    "Below: how this machine is shared, who uses it, what was given and taken."
)

BINDINGS: Final[list[BindingType]] = [
    Binding("i", "invite", "Invite", id="peers.invite"),
    Binding("n", "create", "New network", id="peers.create"),
    Binding("j", "join", "Join", id="peers.join"),
    Binding("d", "drain", "Drain", id="peers.drain"),
    Binding("d", "undrain", "Undrain", id="peers.undrain"),
    Binding("p", "pause", "Pause sharing", id="peers.pause"),
    Binding("p", "resume", "Resume sharing", id="peers.resume"),
    Binding("t", "terms", "Terms", id="peers.terms"),
    Binding("D", "doctor", "Doctor", id="peers.doctor"),
    Binding("m", "members", "Members", id="peers.members"),
    Binding("m", "all", "Peers", id="peers.all"),
    Binding("b", "block", "Block", id="peers.block"),
    Binding("b", "unblock", "Unblock", id="peers.unblock"),
    Binding("R", "revoke", "Revoke", id="peers.revoke"),
    Binding("P", "pause_now", "Pause, end theirs", show=False, id="peers.pause_now"),
    Binding("L", "leave", "Leave the network", show=False, id="peers.leave"),
]
