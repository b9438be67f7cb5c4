"""Why a peer was not reached, in words that say which step failed and what to do."""

from __future__ import annotations

import errno
import re
from collections.abc import Iterator

from libp2p.network.exceptions import SwarmException
from libp2p.security.noise.exceptions import PeerIDMismatchesPubkey

from aiplat.domain.errors import NoPeer, clip
from aiplat.domain.ids import short
from aiplat.node.addresses import Target
from aiplat.node.handshake import HandshakeFailed
from aiplat.node.host import NotOurs
from aiplat.protocol.messages import MAJOR

_ACTUAL_ID = re.compile(r"remote_peer_id_from_pubkey=(\w+)")
_MAJOR = re.compile(r"/aiplat/(\d{1,9})\Z")


def no_peer(target: Target, fault: Exception, *, private: bool = False) -> NoPeer:
    """The error for a try that ended with `fault`.

    Arguments:
        target: what was tried.
        fault: what came of it.
        private: whether this node has a pre-shared key, which the other would need too.
    """
    if isinstance(fault, NoPeer):
        return fault
    if isinstance(fault, HandshakeFailed):
        return _not_agreed(target, fault)
    if isinstance(fault, NotOurs):
        return _not_ours(target, fault)
    if isinstance(fault, OSError):
        return _not_connected(target, fault)
    return _not_that_peer(target, fault, private=private)


def is_another_peer(fault: Exception) -> bool:
    """Whether a dial failed because another peer answered there than was expected."""
    return any(isinstance(cause, PeerIDMismatchesPubkey) for cause in _causes(fault))


def too_slow(target: Target, seconds: float) -> NoPeer:
    """The error for a peer that did not answer."""
    return NoPeer(
        f"The peer {_at(target)} did not answer within {seconds:g} s (node.connect_seconds)."
        " It may be frozen, or overloaded: look there, or try again."
    )


def _at(target: Target) -> str:
    """Where a peer was dialed: the address behind a relay is the relay's."""
    relay = "" if target.relay is None else f"behind the relay {short(target.relay)} "
    return f"{relay}at {target.endpoint}"


def _not_connected(target: Target, fault: OSError) -> NoPeer:
    if fault.errno == errno.ECONNREFUSED or isinstance(fault, ConnectionRefusedError):
        return NoPeer(
            f"Nothing listens at {target.endpoint} (connection refused). Is the node running "
            'there, and is the address its newest? "aiplat status" there prints it.'
        )
    return NoPeer(f"Cannot connect to {target.endpoint}: {fault.strerror or fault}.")


def _not_that_peer(target: Target, fault: Exception, *, private: bool) -> NoPeer:
    for cause in _causes(fault):
        if isinstance(cause, PeerIDMismatchesPubkey):
            found = _ACTUAL_ID.search(str(cause))
            other = found.group(1) if found else "another one"
            return NoPeer(
                f"At {target.endpoint} is not the peer {target.peer} but {other}. "
                "If the other node was set up anew, use the address that it prints now."
            )
        if isinstance(cause, SwarmException) and "connections limit" in str(cause):
            return NoPeer("This node has all the connections that it allows (max_connections).")
    if private:
        return NoPeer(
            f"What answers at {target.endpoint} does not have the pre-shared key of this node's "
            "network, or is no aiplat node. If it is meant to be a member: is it in the same "
            "network? `aiplat network show` on both nodes names it; a new token lets it join."
        )
    return NoPeer(
        f"What answers at {target.endpoint} is no aiplat node: it does not speak libp2p with "
        "Noise, or closed the connection at once. The nodes of a private network do so with "
        "whoever is not in it: a token from its owner lets this node join."
    )


def _not_ours(target: Target, fault: NotOurs) -> NoPeer:
    majors = sorted(int(m.group(1)) for p in fault.protocols if (m := _MAJOR.match(p)))
    if majors and MAJOR not in majors:
        theirs = ", ".join(str(major) for major in majors)
        return NoPeer(
            f"The peer {short(target.peer)} at {target.endpoint} speaks major version {theirs} "
            f"of the aiplat protocol, this node speaks {MAJOR}. Install the same major version "
            "of aiplat on both."
        )
    return NoPeer(
        f"The peer {short(target.peer)} at {target.endpoint} is a libp2p host but no aiplat "
        f"node: it does not speak /aiplat/{MAJOR}."
    )


def _not_agreed(target: Target, fault: HandshakeFailed) -> NoPeer:
    who = f"The peer {short(target.peer)} {_at(target)}"
    if fault.goodbye is not None:
        words = clip(fault.goodbye.message or fault.goodbye.code, 300)
        return NoPeer(f"{who} refused this node: {words}")
    return NoPeer(f"{who} did not agree on a channel: {fault.clause}.")


def _causes(fault: BaseException | None) -> Iterator[BaseException]:
    while fault is not None:
        yield fault
        if isinstance(fault, BaseExceptionGroup):
            for inner in fault.exceptions:
                yield from _causes(inner)
        fault = fault.__cause__ or fault.__context__
