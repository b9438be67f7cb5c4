"""Asking members whether they reach this node, and dialing back those that ask.

A call of ours in place of libp2p's AutoNAT (docs/decisions says why). The amplification rule is
that of its second version: only the ip that the connection comes from is ever dialed, so nobody
can have a third party dialed; and one dial at a time for each peer. Only members are asked, and
dialed back: in a public network a stranger would say that nobody reaches this node.
"""

from __future__ import annotations

import logging
from collections.abc import Callable

import msgspec
import trio

from aiplat.domain.errors import AiplatError
from aiplat.domain.ids import PeerId
from aiplat.node.addresses import Endpoint, seen_from
from aiplat.node.channel import Channel
from aiplat.node.host import Host
from aiplat.node.nat.reach import DialedBack, DialMe
from aiplat.node.settings import NodeSettings
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.messages import Call, Reply
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.node.nat")

DIAL_ME = "nat.dial_me"
MAX_PORTS = 3

_DIAL_ME = msgspec.msgpack.Decoder(DialMe)
_DIALED = msgspec.msgpack.Decoder(DialedBack)


class DialBack:
    """Dials peers back.

    Arguments:
        settings: bounds and deadlines.
        metrics: where hits of bounds are counted.
        relays: tells whether this node would relay.
    """

    def __init__(
        self, settings: NodeSettings, metrics: Metrics, relays: Callable[[], bool]
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._relays = relays
        self._dialing: set[PeerId] = set()

    async def answer(self, host: Host | None, channel: Channel, call: Call) -> Reply:
        """Dial who asks, and tell."""
        ports = _DIAL_ME.decode(call.body).ports[:MAX_PORTS]
        ip = seen_from(channel.address)
        busy = channel.peer in self._dialing or len(self._dialing) >= self._settings.nat_probes
        if busy:
            self._metrics.bound_hits.labels(bound="nat_probes").inc()
        if busy or not ip or host is None:
            return _reply(DialedBack(relays=self._relays()))
        reached: list[int] = []
        self._dialing.add(channel.peer)
        try:
            with trio.move_on_after(self._settings.nat_probe_seconds):
                async with trio.open_nursery() as nursery:
                    for port in dict.fromkeys(ports):
                        nursery.start_soon(_probe, host, Endpoint(ip, port), channel.peer, reached)
        finally:
            self._dialing.discard(channel.peer)
        return _reply(DialedBack(ip, tuple(reached), self._relays()))


async def ask(channel: Channel, ports: tuple[int, ...], seconds: float) -> DialedBack | None:
    """What a member says of this node; None when it says nothing that can be used."""
    call = Call(DIAL_ME, msgspec.Raw(msgspec.msgpack.encode(DialMe(ports))))
    try:
        reply = await channel.call(call, seconds)
        return None if reply.failed is not None else _DIALED.decode(reply.body)
    except (AiplatError, *UNREADABLE) as fault:
        log.debug("a member did not dial back: %s", fault, extra={"peer": channel.peer})
        return None


def _reply(dialed: DialedBack) -> Reply:
    return Reply(msgspec.Raw(msgspec.msgpack.encode(dialed)))


async def _probe(host: Host, endpoint: Endpoint, peer: PeerId, reached: list[int]) -> None:
    if not 0 < endpoint.port < 65536:
        return
    try:
        await host.probe(endpoint, peer)
    except Exception as fault:  # noqa: BLE001  # of libp2p's many kinds: it is not reached
        log.debug("not reached", extra={"peer": peer, "fault": repr(fault)})
    else:
        reached.append(endpoint.port)
