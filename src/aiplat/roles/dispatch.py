"""Hands what comes over a channel to the role that it is for."""

from __future__ import annotations

import logging
from collections.abc import Mapping

from aiplat.domain.answers import Failed
from aiplat.domain.errors import InvalidRequest, PermissionDenied, clip
from aiplat.domain.ids import PeerId, short
from aiplat.domain.ids import Role as RoleName
from aiplat.node.channel import Channel
from aiplat.node.incoming import Incoming
from aiplat.protocol.messages import Announce, Call, Drain, Hello, Reply
from aiplat.roles.base import Role

log = logging.getLogger("aiplat.roles")


class Dispatch:
    """The roles of one node, as its channels see them."""

    def __init__(self, roles: Mapping[RoleName, Role]) -> None:
        self._roles = dict(roles)

    def admit(self, peer: PeerId, hello: Hello) -> None:
        """Refuse who is no use here (`Node.run`); membership has decided before."""
        if not hello.roles:
            raise PermissionDenied(f"The peer {short(peer)} has no role.")

    def on_channel(self, channel: Channel) -> Handler:
        """Tell every role of the new channel; gives who hears what comes over it."""
        log.info(
            "connected to %s (%s)", short(channel.peer), ", ".join(channel.roles),
            extra={"peer": channel.peer, "address": channel.address, "sign": "✅"},
        )  # fmt: skip
        for role in self._roles.values():
            role.opened(channel)
        return Handler(channel, self._roles)


class Handler:
    """One channel's events (`ChannelHandler`)."""

    def __init__(self, channel: Channel, roles: Mapping[RoleName, Role]) -> None:
        self._channel = channel
        self._roles = roles

    def submitted(self, incoming: Incoming) -> None:
        """Hand it to the role that it names."""
        role = self._roles.get(incoming.submission.to)
        if role is None:
            raise PermissionDenied(f"This node does not serve as {incoming.submission.to}.")
        role.submitted(incoming)

    def announced(self, announce: Announce) -> None:
        """Tell every role."""
        for role in self._roles.values():
            role.announced(self._channel, announce)

    def drained(self, drain: Drain) -> None:
        """Tell every role."""
        for role in self._roles.values():
            role.drained(self._channel, drain)

    async def called(self, call: Call) -> Reply:
        """The first role that knows the method answers."""
        for role in self._roles.values():
            reply = await role.called(self._channel, call)
            if reply is not None:
                return reply
        unknown = InvalidRequest(f"This node knows no call named {clip(call.method)!r}.")
        return Reply(failed=Failed.of(unknown))

    def ended(self, reason: str) -> None:
        """Tell every role."""
        channel = self._channel
        ours = reason.startswith("this node")  # no news to who stopped it
        log.log(
            logging.DEBUG if ours else logging.INFO, "lost %s: %s", short(channel.peer), reason,
            extra={"peer": channel.peer, "reason": reason, "sign": "❌"},
        )  # fmt: skip
        for role in self._roles.values():
            role.ended(channel, reason)
