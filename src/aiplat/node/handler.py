"""What is done with what comes over a channel."""

from __future__ import annotations

from typing import Protocol

from aiplat.node.incoming import Incoming
from aiplat.protocol.messages import Addresses, Announce, Call, Drain, Reply, Revocations


class RolesHandler(Protocol):
    """The roles' side of one channel. Called from the node's loop; all but `called` at once."""

    def submitted(self, incoming: Incoming) -> None:
        """A request came; what is raised fails it, and it alone."""

    def announced(self, announce: Announce) -> None:
        """A processor said what it offers now."""

    def drained(self, drain: Drain) -> None:
        """The peer takes no new requests."""

    async def called(self, call: Call) -> Reply:
        """Answer a small question, in a task of its own."""

    def ended(self, reason: str) -> None:
        """The channel is gone, for this reason (a clause); its requests were told already."""


class ChannelHandler(RolesHandler, Protocol):
    """All of what a channel tells: to the roles, and to the node's own services."""

    def told(self, news: Revocations | Addresses) -> None:
        """The peer passed on who was revoked, or said where it is reached now."""
