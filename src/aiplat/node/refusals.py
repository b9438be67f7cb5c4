"""Who turns this node away, and why: for `status`, `doctor` and the log."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING

from aiplat.domain.errors import clip
from aiplat.domain.ids import PeerId
from aiplat.protocol.messages import Addresses, Call, Goodbye, Reply, Revocations

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.host import Host

log = logging.getLogger("aiplat.node")

MAX_REFUSALS = 100
"""Peers whose refusal is remembered; the oldest is forgotten first."""


class Refusals:
    """The peers that refused this node when it last heard of them (`Service`).

    Arguments:
        proved: takes the list of the revoked that came with a refusal, signed; it may be made up.
    """

    def __init__(self, proved: Callable[[bytes], None]) -> None:
        self._proved = proved
        self._reasons: dict[PeerId, str] = {}

    @property
    def reasons(self) -> Mapping[PeerId, str]:
        """Why each of them did, in its own words."""
        return MappingProxyType(self._reasons)

    def refused(self, peer: PeerId, goodbye: Goodbye) -> None:
        """Remember why a peer said goodbye, when it was for what this node is."""
        if goodbye.code != "refused":
            return
        words = clip(goodbye.message or goodbye.code, 500)
        if self._reasons.pop(peer, None) != words:
            log.warning("a peer turns this node away: %s", words, extra={"peer": peer})
        self._reasons[peer] = words
        while len(self._reasons) > MAX_REFUSALS:
            del self._reasons[next(iter(self._reasons))]
        self._proved(goodbye.revocations)

    # -- `Service` -------------------------------------------------------------------------------

    async def run(self, host: Host) -> None:
        """Nothing is done over the host."""

    def opened(self, channel: Channel) -> None:
        """It takes this node now."""
        self._reasons.pop(channel.peer, None)

    def told(self, channel: Channel, news: Revocations | Addresses) -> None:
        """No news is about it."""

    async def called(self, channel: Channel, call: Call) -> Reply | None:
        """No call is for it."""
        return None

    def ended(self, channel: Channel, reason: str) -> None:
        """A refusal may come late: a peer was blocked, or learned of a revocation."""
        if channel.goodbye is not None:
            self.refused(channel.peer, channel.goodbye)
