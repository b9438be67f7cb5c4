"""Parts of the node that hear of every channel besides the roles: membership, finding, NAT."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

import trio

from aiplat.node.handler import RolesHandler
from aiplat.node.incoming import Incoming
from aiplat.protocol.messages import Addresses, Announce, Call, Drain, Reply, Revocations

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.host import Host

log = logging.getLogger("aiplat.node")

FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
"""Before a service that failed begins again: twice as long each time."""


class Service(Protocol):
    """One such part. All but `run` and `called` return at once; a fault harms nobody else."""

    async def run(self, host: Host) -> None:
        """Work over this host until cancelled; called anew for each life of the host."""

    def opened(self, channel: Channel) -> None:
        """A channel came up; the roles hear of it next."""

    def told(self, channel: Channel, news: Revocations | Addresses) -> None:
        """A peer passed on who was revoked, or said where it is reached now."""

    async def called(self, channel: Channel, call: Call) -> Reply | None:
        """Answer a small question of a peer's; None when it is not for this part."""

    def ended(self, channel: Channel, reason: str) -> None:
        """A channel is gone."""


class ServedChannel:
    """One channel's events (`ChannelHandler`), for the services and then the roles."""

    def __init__(self, channel: Channel, services: Sequence[Service], roles: RolesHandler) -> None:
        self._channel = channel
        self._services = services
        self._roles = roles

    def submitted(self, incoming: Incoming) -> None:
        """Hand it to the roles."""
        self._roles.submitted(incoming)

    def announced(self, announce: Announce) -> None:
        """Hand it to the roles."""
        self._roles.announced(announce)

    def drained(self, drain: Drain) -> None:
        """Hand it to the roles."""
        self._roles.drained(drain)

    def told(self, news: Revocations | Addresses) -> None:
        """Tell every service."""
        tell_each(self._services, lambda service: service.told(self._channel, news))

    async def called(self, call: Call) -> Reply:
        """Ask each service, then the roles."""
        for service in self._services:
            reply = await service.called(self._channel, call)
            if reply is not None:
                return reply
        return await self._roles.called(call)

    def ended(self, reason: str) -> None:
        """Tell the roles, then every service."""
        try:
            self._roles.ended(reason)
        finally:
            tell_each(self._services, lambda service: service.ended(self._channel, reason))


def tell_each(services: Sequence[Service], step: Callable[[Service], None]) -> None:
    """Tell every service, whatever one of them does."""
    for service in services:
        try:
            step(service)
        except Exception:
            log.exception("%s failed", type(service).__name__)


async def run_service(service: Service, host: Host) -> None:
    """Run one service; a fault is its own, and never the node's: it begins again after a pause."""
    pause = FIRST_PAUSE_SECONDS
    while True:
        began = trio.current_time()
        try:
            await service.run(host)
        except Exception:
            log.exception("%s failed, and begins again", type(service).__name__)
        else:
            return  # it has nothing to do
        if trio.current_time() - began > LONGEST_PAUSE_SECONDS:
            pause = FIRST_PAUSE_SECONDS
        await trio.sleep(pause)
        pause = min(2 * pause, LONGEST_PAUSE_SECONDS)
