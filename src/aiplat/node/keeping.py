"""Staying connected to the peers that a person named, with growing pauses between tries."""

from __future__ import annotations

import logging
import random
from collections.abc import Awaitable, Callable
from typing import Literal, NamedTuple

import trio

from aiplat.domain.errors import AiplatError
from aiplat.domain.ids import PeerId, short
from aiplat.node.addresses import Target
from aiplat.node.channel import Channel
from aiplat.node.settings import NodeSettings

log = logging.getLogger("aiplat.node.keeping")

Reach = Callable[[Target], Awaitable[Channel]]


class Wanted(NamedTuple):
    """A peer to stay connected to. `note` is the last failure, in words."""

    address: str
    peer_id: PeerId
    state: Literal["connected", "connecting"]
    note: str


class Keeper:
    """Keeps the channel to one peer.

    Arguments:
        target: who, and where.
        settings: the pauses.
        reach: gives the live channel, or dials.
        reached: told of each channel that came to be.
    """

    def __init__(
        self,
        target: Target,
        settings: NodeSettings,
        reach: Reach,
        reached: Callable[[Target, Channel], None],
    ) -> None:
        self.target = target
        self.note = ""
        self._scope: trio.CancelScope | None = None
        self._stopped = False
        self._settings = settings
        self._reach = reach
        self._reached = reached

    async def run(self) -> None:
        """Try until cancelled. The pause grows with each failure, and starts anew after a
        channel that lived for longer than it."""
        with trio.CancelScope() as self._scope:
            if self._stopped:
                return
            pause = self._settings.reconnect_min_seconds
            while True:
                note, lived = await self._once()
                self._note(note)
                if lived > self._settings.reconnect_max_seconds:
                    pause = self._settings.reconnect_min_seconds
                # Not all at the same time, when many lost the same peer.
                await trio.sleep(pause * random.uniform(0.75, 1.0))  # no secret
                pause = min(pause * 2, self._settings.reconnect_max_seconds)

    def stop(self) -> None:
        """Try no more."""
        self._stopped = True
        if self._scope is not None:
            self._scope.cancel()

    async def _once(self) -> tuple[str, float]:
        """Reach the peer and stay until the channel ends; gives why it did, and its seconds.

        A try that fails slowly is no life: a frozen peer takes longer to fail than any pause.
        """
        try:
            channel = await self._reach(self.target)
        except AiplatError as fault:
            return str(fault), 0.0
        began = trio.current_time()
        self._reached(self.target, channel)
        reason = await channel.wait_ended()
        note = f"The channel to {short(self.target.peer)} ended: {reason}."
        return note, trio.current_time() - began

    def _note(self, note: str) -> None:
        level = logging.INFO if note != self.note else logging.DEBUG
        log.log(level, "not connected: %s", note, extra={"peer": self.target.peer})
        self.note = note
