"""Circuits as their two ends see them: one asks a relay for a peer, the other is asked for."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import trio

from aiplat.domain.errors import NoPeer, clip
from aiplat.domain.ids import PeerId, short
from aiplat.node.host import Host, NotOurs
from aiplat.node.nat.circuit import Circuit, end
from aiplat.node.nat.observed import Observed
from aiplat.node.nat.words import HOP, STOP, Answer, Ask, hear_answer, hear_ask, refuse, say
from aiplat.node.pipe import StreamPipe
from aiplat.node.settings import NodeSettings
from aiplat.protocol.framing import UNREADABLE

if TYPE_CHECKING:
    from aiplat.node.channel import Channel

log = logging.getLogger("aiplat.node.nat")

_WORDS = {
    "off": "relays for nobody (its setting node.relay)",
    "not_a_member": "relays only for members, and knows none in this node",
    "stranger": "relays only to members, and that is none",
    "not_connected": "has no connection to it now: it may be gone, or use another relay",
    "full": "relays as many circuits as it takes in all; try again later",
    "too_many": "relays as many circuits as it takes for one peer; try again later",
    "refused": "was refused by it",
}


class Circuits:
    """The ends of circuits at one node.

    Arguments:
        settings: bounds and deadlines.
        channels: gives the live channels, by peer.
        trusts: tells whether a channel is with a member.
    """

    def __init__(
        self,
        settings: NodeSettings,
        channels: Callable[[], Mapping[PeerId, Channel]],
        trusts: Callable[[Channel], bool],
    ) -> None:
        self.observed = Observed()
        self._settings = settings
        self._channels = channels
        self._trusts = trusts

    def open(self, host: Host) -> None:
        """Take circuits over this host from now on."""

        async def stop(pipe: StreamPipe, peer: PeerId, _: str) -> None:
            try:
                await self._stop(host, pipe, peer)
            except Exception as fault:  # noqa: BLE001  # of libp2p's many kinds: that circuit's alone
                log.debug("a circuit ended", extra={"peer": peer, "fault": repr(fault)})
            finally:
                await end(pipe)

        host.handle(STOP, stop)

    async def dial(
        self, host: Host, relay: PeerId, peer: PeerId, nursery: trio.Nursery
    ) -> StreamPipe:
        """Reach `peer` through a relay that this node has a channel to, in place of `Host.open`.

        The end of the circuit lives in `nursery`.

        Raises:
            NoPeer: the relay cannot, or will not; says why.
            Exception: of libp2p's many kinds, as `Host.open`.
        """
        circuit, ip = await self._ask(host, relay, peer)
        nursery.start_soon(self._keep, circuit, relay, peer, ip)
        try:
            return await host.open_over(circuit, peer)
        except NotOurs:
            raise
        except BaseException as fault:
            circuit.abort()
            if isinstance(fault, Exception):
                raise NoPeer(
                    f"What answers through the relay {short(relay)} is not the peer {short(peer)}, "
                    "or ended the connection at once."
                ) from fault
            raise

    async def _keep(self, circuit: Circuit, relay: PeerId, peer: PeerId, ip: str) -> None:
        with self.observed.during(relay, peer, ip):
            await circuit.keep()

    async def _ask(self, host: Host, relay: PeerId, peer: PeerId) -> tuple[Circuit, str]:
        """A circuit, and the ip at which the relay sees the peer."""
        who = f"The relay {short(relay)}"
        try:
            with trio.fail_after(self._settings.handshake_seconds):
                pipe = await host.stream(relay, HOP)
        except Exception as fault:
            raise NoPeer(f"{who} of {short(peer)} relays nothing: {_why(fault)}.") from fault
        if pipe.via is not None:
            await end(pipe)
            raise NoPeer(f"{who} of {short(peer)} is itself reached by a relay only.")
        try:
            with trio.fail_after(2 * self._settings.handshake_seconds):
                await say(pipe, Ask(peer))
                answer, early = await hear_answer(pipe)
            if answer.refused:
                words = _WORDS.get(answer.refused, f"says {clip(answer.refused, 40)!r}")
                raise NoPeer(f"{who} of {short(peer)} {words}.")
        except BaseException as fault:
            await end(pipe)
            if isinstance(fault, Exception) and not isinstance(fault, NoPeer):
                raise NoPeer(f"{who} of {short(peer)} gave no answer: {_why(fault)}.") from fault
            raise
        return Circuit(pipe, relay, early, self._settings.write_bytes), answer.ip

    async def _stop(self, host: Host, pipe: StreamPipe, relay: PeerId) -> None:
        """A relay says that somebody wants to reach this node. Who, Noise will prove."""
        with trio.fail_after(self._settings.handshake_seconds):
            ask, early = await hear_ask(pipe)
            source = PeerId(ask.peer)
            channel = self._channels().get(relay)
            if pipe.via is not None or channel is None or not self._trusts(channel):
                await refuse(pipe, "not_a_member")
                return
            await say(pipe, Answer())
        log.debug("a circuit came", extra={"peer": source, "relay": relay})
        circuit = Circuit(pipe, relay, early, self._settings.write_bytes)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._keep, circuit, relay, source, ask.ip)
            await host.accept_over(circuit)
            circuit.abort()


def _why(fault: Exception) -> str:
    if isinstance(fault, trio.TooSlowError):
        return "it did not answer in time"
    if isinstance(fault, (EOFError, *UNREADABLE)):
        return "what it said cannot be read"
    return str(fault) or type(fault).__name__
