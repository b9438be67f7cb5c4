"""Whom a node stays connected to: named by a person, kept from earlier lives, or heard of.

What was only heard of may be out of date, or made up. It is tried for a while, kept for next time
once it works, and else rests before it is tried again, each time for longer.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Container

import trio

from aiplat.domain.ids import PeerId
from aiplat.node.addresses import Target
from aiplat.node.channel import Channel
from aiplat.node.keeping import Keeper, Reach, Wanted
from aiplat.node.known import KnownPeers
from aiplat.node.resting import Resting
from aiplat.node.settings import NodeSettings
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.node.keeping")


class Keepers:
    """The peers to stay connected to, each at one or more addresses that are tried at once.

    Arguments:
        settings: pauses and bounds.
        metrics: where hits of bounds are counted.
        known: the addresses that are kept for next time.
        reach: gives the live channel, or dials.
        channels: tells whether there is a live channel to a peer.
        out: tells who may not be here any more: they are given up, and forgotten.
        blocked: tells whom a person shut out: they are let be, and not forgotten.
    """

    def __init__(
        self,
        settings: NodeSettings,
        metrics: Metrics,
        known: KnownPeers,
        reach: Reach,
        channels: Callable[[], Container[PeerId]],
        out: Callable[[], Container[PeerId]] = tuple,
        blocked: Callable[[], Container[PeerId]] = tuple,
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._known = known
        self._reach = reach
        self._channels = channels
        self._out = out
        self._blocked = blocked
        self._keepers: dict[str, Keeper] = {}
        self._resting: Resting[str] = Resting(
            settings.hearsay_seconds, settings.hearsay_rest_seconds
        )
        self._nursery: trio.Nursery | None = None

    @property
    def wanted(self) -> list[Wanted]:
        """The peers to stay connected to."""
        live, out, blocked = self._channels(), self._out(), self._blocked()
        return [
            Wanted(address, keeper.target.peer, "connected", "")
            if keeper.target.peer in live
            else Wanted(address, keeper.target.peer, "connecting", keeper.note, keeper.away_seconds)
            for address, keeper in self._keepers.items()
            if keeper.target.peer not in out and keeper.target.peer not in blocked
        ]

    def open(self, nursery: trio.Nursery) -> None:
        """Dial from now on, in this nursery."""
        self._nursery = nursery
        for keeper in self._keepers.values():
            nursery.start_soon(self._run, keeper)

    def close(self) -> None:
        """Dial no more."""
        self._nursery = None

    # -- what is wanted --------------------------------------------------------------------------

    def keep(self, target: Target) -> None:
        """Stay connected to a peer, and remember it for next time."""
        if target.peer in self._out():
            return
        keeper = self._keepers.get(target.text)
        if keeper is not None:
            keeper.patience = math.inf
        elif self._has_room(target, evict_after=0.0):
            self._start(target, math.inf)
        else:
            log.warning("not kept: max_known_peers is reached", extra={"address": target.text})
            return
        self._known.add(target.text)

    def found(self, target: Target) -> None:
        """Try an address that was heard of, unless it rests; whether it works, it has to show."""
        if target.text in self._keepers or target.text in self._resting:
            return
        if target.peer in self._out() or target.peer in self._blocked():
            return
        patience = self._settings.hearsay_seconds
        if self._has_room(target, evict_after=patience):
            self._start(target, patience)

    def forget(self, address: str) -> None:
        """Stay connected no more, and do not remember it. A live channel stays."""
        self._known.forget(address)
        keeper = self._keepers.pop(address, None)
        if keeper is not None:
            keeper.stop()

    def hurry(self, peer: PeerId) -> None:
        """Try this peer now, however long the pause was to be."""
        for keeper in self._of(peer):
            keeper.hurry()

    def forget_all(self) -> None:
        """Nobody is wanted, and nobody is remembered."""
        for keeper in self._keepers.values():
            keeper.stop()
        self._keepers.clear()
        self._known.clear()
        self._resting.clear()

    # -- inside ----------------------------------------------------------------------------------

    def _start(self, target: Target, patience: float) -> None:
        keeper = Keeper(
            target, self._settings, self._reach, self._reached, patience,
            lambda: target.peer in self._out(),
        )  # fmt: skip
        self._keepers[target.text] = keeper
        if self._nursery is not None:
            self._nursery.start_soon(self._run, keeper)

    async def _run(self, keeper: Keeper) -> None:
        await keeper.run()
        address = keeper.target.text
        if keeper.target.peer in self._out():
            self.forget(address)
        elif self._keepers.get(address) is keeper:  # out of patience
            del self._keepers[address]
            self._resting.failed(address)
            log.info("an address that was heard of does not work", extra={"address": address})

    def _reached(self, target: Target, channel: Channel) -> None:
        """The address works: others of the same peer are of no more use."""
        keeper = self._keepers.get(target.text)
        if not channel.dialed or channel.address != target.text or keeper is None:
            return
        keeper.patience = math.inf
        self._resting.worked(target.text)
        self._known.worked(target.text)
        for other in self._of(target.peer):
            if other is not keeper:
                self.forget(other.target.text)

    def _of(self, peer: PeerId) -> list[Keeper]:
        return [keeper for keeper in self._keepers.values() if keeper.target.peer == peer]

    def _has_room(self, target: Target, *, evict_after: float) -> bool:
        """Whether one more address may be tried; those longest away make room for it."""
        same = self._of(target.peer)
        peers = {keeper.target.peer for keeper in self._keepers.values()}
        if same and len(same) < self._settings.max_addresses_per_peer:
            return True
        if not same and len(peers) < self._settings.max_known_peers:
            return True
        live = self._channels()
        away = [
            keeper
            for keeper in same or self._keepers.values()
            if keeper.target.peer not in live and keeper.away_seconds >= evict_after
        ]
        if not away:
            bound = "addresses_per_peer" if same else "known_peers"
            self._metrics.bound_hits.labels(bound=bound).inc()
            return False
        longest = max(away, key=lambda keeper: (keeper.is_hearsay, keeper.away_seconds))
        for gone in [longest] if same else self._of(longest.target.peer):
            self.forget(gone.target.text)
        return True
