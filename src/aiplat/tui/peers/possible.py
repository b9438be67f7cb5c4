"""What can be done now, with the network and with one peer, and why not. Knows no widget."""

from __future__ import annotations

from aiplat.control.messages import MemberStatus, ShareStatus, Status
from aiplat.tui.peers.rows import Row

WITH_ROW = ("drain", "undrain", "block", "unblock", "revoke")
"""Actions with the peer that is chosen."""


def offers(row: Row, status: Status | None) -> list[tuple[str, str]]:
    """What can be done with a row: the action, and its words."""
    if row.here:
        drained = status is not None and status.drained
        return [("undrain", "take requests again") if drained else ("drain", "drain this node")]
    found: list[tuple[str, str]] = []
    is_gateway = status is not None and "gateway" in status.roles
    if is_gateway and "processor" in row.peer.roles and row.state in ("connected", "draining"):
        found.append(("drain", "drain") if row.state == "connected" else ("undrain", "undrain"))
    found.append(("unblock", "let in again") if row.state == "blocked" else ("block", "block"))
    network = status.network if status is not None else None
    if network is not None and network.owner:
        found.append(("revoke", "revoke"))
    return found


def why_not(action: str, status: Status | None, share: ShareStatus | None) -> str:
    """Why an action with the network, or with what is shared, makes no sense now; else nothing."""
    network = status.network if status is not None else None
    paused = share is not None and share.terms.paused
    match action:
        case "create" | "join":
            return "this node is in a network already" if network is not None else ""
        case "leave":
            return "" if network is not None else "this node is in no network"
        case "invite" | "members" | "all":
            return "" if network is not None and network.owner else "on the owner's node only"
        case "pause" | "resume" | "terms" | "pause_now" if share is None or share.state in (
            "none",
            "stopped",
        ):
            return "this node is no processor"
        case "pause" | "pause_now":
            return "sharing is paused" if paused else ""
        case "resume":
            return "" if paused else "sharing is not paused"
        case _:
            return ""


def why_not_with(action: str, row: Row | None, status: Status | None) -> str:
    """Why an action with a row makes no sense; else nothing."""
    if row is None:
        return "no peer is chosen"
    if action in [name for name, _ in offers(row, status)]:
        return ""
    match action:
        case "block" | "unblock" | "revoke" if row.here:
            return "not of this node itself"
        case "drain" | "undrain" if not row.here and "processor" not in row.peer.roles:
            return "it is no processor"
        case "drain" | "undrain":
            return "on its gateway only" if action == "drain" else "it is not drained"
        case "block":
            return "it is blocked"
        case "unblock":
            return "it is not blocked"
        case _:
            return "on the owner's node only"


def why_not_revoke(member: MemberStatus | None, status: Status | None) -> str:
    """Why a member cannot be revoked; else nothing."""
    if member is None:
        return "no member is chosen"
    if status is not None and member.peer_id == status.peer_id:
        return "not of this node itself"
    return "it is revoked" if member.revoked else ""
