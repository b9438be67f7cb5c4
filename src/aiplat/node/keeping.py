"""Staying connected to one peer at one address, with growing pauses between tries."""

from __future__ import annotations

import logging
import math
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

AWAY_SHARE = 1 / 20
"""Of the time that a peer is away already, the longest pause: after 10 minutes it is 30 s."""

Reach = Callable[[Target], Awaitable[Channel]]


class Wanted(NamedTuple):
    """A peer to stay connected to. `note` is the last failure, in words; `away_seconds` says for
    how long there is no channel."""

    address: str
    peer_id: PeerId
    state: Literal["connected", "connecting"]
    note: str
    away_seconds: float = 0.0


class Keeper:
    """Keeps the channel to one peer.

    Arguments:
        target: who, and where.
        settings: the pauses.
        reach: gives the live channel, or dials.
        reached: told of each channel that came to be.
        patience: for how long an address is tried that was only heard of, in seconds; the first
            time that it works sets it to infinity.
        is_out: tells whether the peer may not be here any more: then it is given up.
    """

    def __init__(
        self,
        target: Target,
        settings: NodeSettings,
        reach: Reach,
        reached: Callable[[Target, Channel], None],
        patience: float = math.inf,
        is_out: Callable[[], bool] = lambda: False,
    ) -> None:
        self.target = target
        self.note = ""
        self.patience = patience
        self._is_out = is_out
        self._away_since: float | None = None
        self._scope: trio.CancelScope | None = None
        self._stopped = False
        self._hurried = trio.Event()
        self._settings = settings
        self._reach = reach
        self._reached = reached

    @property
    def is_hearsay(self) -> bool:
        """Whether it was only heard of, and never worked."""
        return self.patience < math.inf

    @property
    def away_seconds(self) -> float:
        """For how long there is no channel to the peer; 0 while there is one."""
        return 0.0 if self._away_since is None else trio.current_time() - self._away_since

    async def run(self) -> None:
        """Try until cancelled, or out of patience. The pause grows with each failure, and starts
        anew after a channel that lived for longer than it."""
        with trio.CancelScope() as self._scope:
            if self._stopped:
                return
            pause = self._settings.reconnect_min_seconds
            self._away_since = trio.current_time()
            while True:
                note, lived = await self._once()
                self._note(note)
                if self.away_seconds >= self.patience or self._is_out():
                    return
                if lived > self._settings.reconnect_max_seconds:
                    pause = self._settings.reconnect_min_seconds
                pause = await self._rest(pause)

    async def _rest(self, pause: float) -> float:
        """Sleep for about as long; gives the next pause."""
        # Not all at the same time, when many lost the same peer.
        with trio.move_on_after(pause * random.uniform(0.75, 1.0)):  # no secret
            await self._hurried.wait()
            self._hurried = trio.Event()
            return self._settings.reconnect_min_seconds
        return min(pause * 2, self._longest_pause())

    def hurry(self) -> None:
        """Try now; the pauses grow anew."""
        self._hurried.set()

    def stop(self) -> None:
        """Try no more."""
        self._stopped = True
        if self._scope is not None:
            self._scope.cancel()

    def _longest_pause(self) -> float:
        """Who was away for days need not be tried every few seconds."""
        grown = min(self.away_seconds * AWAY_SHARE, self._settings.reconnect_away_seconds)
        return max(grown, self._settings.reconnect_max_seconds)

    async def _once(self) -> tuple[str, float]:
        """Reach the peer and stay until the channel ends; gives why it did, and its seconds.

        A try that fails slowly is no life: a frozen peer takes longer to fail than any pause.
        """
        try:
            channel = await self._reach(self.target)
        except AiplatError as fault:
            return str(fault), 0.0
        began, away_since, self._away_since = trio.current_time(), self._away_since, None
        self._reached(self.target, channel)
        reason = await channel.wait_ended()
        now = trio.current_time()
        # Who turns this node away at once, each time, was never back.
        was_back = now - began > self._settings.reconnect_max_seconds
        self._away_since = now if was_back else away_since
        return f"The channel to {short(self.target.peer)} ended: {reason}.", now - began

    def _note(self, note: str) -> None:
        level = logging.INFO if note != self.note else logging.DEBUG
        log.log(level, "not connected: %s", note, extra={"peer": self.target.peer})
        self.note = note
