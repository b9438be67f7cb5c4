"""Shutting a peer out that a person names, and letting it in again."""

from __future__ import annotations

from collections.abc import Iterable

from aiplat.control.messages import Done
from aiplat.domain.errors import InvalidRequest, NoPeer
from aiplat.domain.ids import PeerId
from aiplat.node.addresses import parse_peer
from aiplat.node.node import Node
from aiplat.runtime.networks import match_peer


def shut_out(node: Node, name: str, heard_of: Iterable[PeerId]) -> Done:
    """Block a peer.

    Arguments:
        name: its peer id, or the end of it where it is known here.
        heard_of: those that others tell of.

    Raises:
        InvalidRequest: nobody has that name, it is this node, or is blocked already.
    """
    blocked = node.membership.blocked
    wanted = (wanted.peer_id for wanted in node.wanted)
    known = {*node.channels, *wanted, *heard_of, *blocked, node.peer_id}
    found = match_peer(name, {*known, *_whole(name)}, "peer")
    if found == node.peer_id:
        raise InvalidRequest("That is this node itself.", param="peer")
    if found in blocked:
        raise InvalidRequest(f"The peer {found} is blocked already.", param="peer")
    node.block(found)
    return Done(message=f"The peer {found} is shut out of this node. `aiplat unblock "
                f"{found[-8:]}` lets it in again.", peer_id=found)  # fmt: skip


def let_in(node: Node, name: str) -> Done:
    """Block a peer no more.

    Raises:
        InvalidRequest: it is not blocked.
    """
    found = match_peer(name, node.membership.blocked, "blocked peer")
    node.unblock(found)
    return Done(message=f"The peer {found} may come again.", peer_id=found)


def _whole(name: str) -> set[PeerId]:
    """A peer id that was given whole: whoever it is of need not be known yet."""
    try:
        return {parse_peer(name)}
    except NoPeer:
        return set()
