"""The channels that stand: one for each peer, and which one when there are two."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

import trio

from aiplat.domain.ids import PeerId
from aiplat.node.channel import Channel
from aiplat.node.duplicates import Claim, replaces
from aiplat.node.handler import ChannelHandler, RolesHandler
from aiplat.node.services import ServedChannel, Service, tell_each
from aiplat.protocol.messages import (
    Addresses,
    Announce,
    Call,
    Drain,
    Hello,
    Reply,
    Revocations,
)

log = logging.getLogger("aiplat.node")

OnChannel = Callable[[Channel], RolesHandler]


class Standing:
    """The table of channels.

    Arguments:
        us: this node's peer id.
        services: who hears of every channel besides the roles.
    """

    def __init__(self, us: PeerId, services: Sequence[Service] = ()) -> None:
        self.channels: dict[PeerId, Channel] = {}
        self.on_channel: OnChannel | None = None
        self.proved: Callable[[PeerId], None] = lambda peer: None
        self._us = us
        self._services = services
        self._appeared = trio.lowlevel.ParkingLot()

    def live(self, peer: PeerId) -> Channel | None:
        """The channel to `peer` that something can be said on."""
        channel = self.channels.get(peer)
        return None if channel is None or channel.is_ended else channel

    async def wait_for(self, peer: PeerId) -> Channel:
        """Wait until there is a channel to `peer`."""
        while (channel := self.live(peer)) is None:
            await self._appeared.park()
        return channel

    def would_stand(self, peer: PeerId, hello: Hello) -> bool:
        """Tell whether a channel that `peer` dials now would stay."""
        old = self.live(peer)
        new = Claim(hello.incarnation, peer)
        return old is None or replaces(new, self._claim(old), self._us, peer)

    def take(self, channel: Channel, nursery: trio.Nursery) -> Channel:
        """Let a channel live in `nursery`, or another in its place; gives the one that stays."""
        peer = channel.peer
        old = self.live(peer)
        if old is not None and not replaces(self._claim(channel), self._claim(old), self._us, peer):
            channel.close("duplicate", "There is a channel between us already.")
            nursery.start_soon(channel.run, _Nobody())
            return old
        self.channels[peer] = channel
        self.proved(peer)
        self._appeared.unpark_all()
        if old is None:
            # At once: who reached the peer finds that the roles know of it already.
            nursery.start_soon(channel.run, self._handler_of(channel), self._releasing(channel))
        else:
            old.close("duplicate", "A newer channel took its place.")
            nursery.start_soon(self._succeed, channel, old)
        return channel

    async def _succeed(self, channel: Channel, old: Channel) -> None:
        """Run a channel after the one in whose place it comes, so that the roles hear in order."""
        with trio.CancelScope(shield=True):  # it ends at once
            await old.wait_ended()
        await channel.run(self._handler_of(channel), self._releasing(channel))

    def _claim(self, channel: Channel) -> Claim:
        dialed_by = self._us if channel.dialed else channel.peer
        return Claim(channel.hello.incarnation, dialed_by)

    def _releasing(self, channel: Channel) -> Callable[[], None]:
        def release() -> None:
            if self.channels.get(channel.peer) is channel:
                del self.channels[channel.peer]

        return release

    def _handler_of(self, channel: Channel) -> ChannelHandler:
        assert self.on_channel is not None
        tell_each(self._services, lambda service: service.opened(channel))
        try:
            roles = self.on_channel(channel)
            return ServedChannel(channel, self._services, roles)
        except Exception:
            log.exception("no handler for a channel", extra={"peer": channel.peer})
            channel.close("internal", "The node failed to take the channel; its log says why.")
            return _Nobody()


class _Nobody:
    """The handler of a channel that is only there to say goodbye."""

    def submitted(self, incoming: object) -> None: ...
    def announced(self, announce: Announce) -> None: ...
    def drained(self, drain: Drain) -> None: ...
    def told(self, news: Revocations | Addresses) -> None: ...
    def ended(self, reason: str) -> None: ...

    async def called(self, call: Call) -> Reply:
        return Reply()
