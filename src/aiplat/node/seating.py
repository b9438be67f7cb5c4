"""Who may have a channel while many want one: members of the network before strangers.

In a public network anyone may come, as a client. A share of the channels is kept for members with
a certificate, strangers of one source have so many, and one without work gives way to a member.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable

from aiplat.node.channel import Channel
from aiplat.node.places import source_of
from aiplat.node.settings import NodeSettings
from aiplat.protocol.messages import Goodbye, Hello
from aiplat.telemetry.metrics import Metrics


class Seating:
    """Decides who has room.

    Arguments:
        settings: the bounds.
        metrics: where hits of bounds are counted.
        channels: gives all channels that there are.
        is_public: tells whether peers may come that are no members; else all are alike.
    """

    def __init__(
        self,
        settings: NodeSettings,
        metrics: Metrics,
        channels: Callable[[], Iterable[Channel]],
        is_public: Callable[[], bool],
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._channels = channels
        self._is_public = is_public
        kept = math.ceil(settings.max_channels * settings.members_share)
        self._for_strangers = max(1, settings.max_channels - kept)

    def refusal(self, hello: Hello, address: str) -> Goodbye | None:
        """Why there is no room for a newcomer from `address`; None when there is."""
        if not self._is_stranger(hello):
            if self.make_room():
                return None
            return Goodbye("refused", "The node has as many channels as it allows. Try later.")
        strangers = [channel for channel in self._live() if self._is_stranger(channel.hello)]
        source = _source(address)
        alike = sum(_source(channel.address) == source for channel in strangers)
        if len(strangers) >= self._for_strangers or len(self._live()) >= self._most:
            self._hit("channels_of_strangers")
            return Goodbye(
                "refused",
                "The node has as many channels to peers without a certificate as it allows. Try "
                "later, or join with an invitation as a member.",
            )
        if alike >= self._settings.max_channels_per_source:
            self._hit("channels_per_source")
            return Goodbye(
                "refused",
                f"The node has {alike} channels to peers without a certificate at this address, "
                "all that it allows (max_channels_per_source). Try later.",
            )
        return None

    def make_room(self) -> bool:
        """Whether a member finds room; a stranger without work gives way for it."""
        live = self._live()
        if len(live) < self._most:
            return True
        idle = [c for c in live if self._is_stranger(c.hello) and not c.active]
        if not idle:
            self._hit("channels")
            return False
        self._hit("channels_gave_way")
        many = Counter(_source(channel.address) for channel in idle)
        gone = max(idle, key=lambda c: (many[_source(c.address)], -c.opened))
        gone.close("refused", "A member of the network takes its place here. Try later.")
        return True

    @property
    def _most(self) -> int:
        return self._settings.max_channels

    def _live(self) -> list[Channel]:
        return [channel for channel in self._channels() if not channel.is_ended]

    def _is_stranger(self, hello: Hello) -> bool:
        return not hello.certificate and self._is_public()

    def _hit(self, bound: str) -> None:
        self._metrics.bound_hits.labels(bound=bound).inc()


def _source(address: str) -> str:
    """Where a peer is, as far as it counts: its IP's source, or the relay between."""
    parts = address.split("/")
    return source_of(parts[2]) if parts[1:2] in (["ip4"], ["ip6"]) else address
