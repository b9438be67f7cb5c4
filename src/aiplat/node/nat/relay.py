"""The relay: carries the bytes between two members of which one cannot be reached.

It reads nothing: what passes is the two ends' own Noise. Nobody registers: a peer's live channel
with the relay is all that it takes, so there is nothing to renew, and a relay that was started
again relays for whoever came back to it. Only members may use it, and only to reach members: in a
public network a channel is not enough, as anyone has one. In no network all are on this machine.

It tells each end at which ip it sees the other, for a way past it (`nat/observed.py`).
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import trio

from aiplat.domain.ids import PeerId
from aiplat.node.addresses import seen_from
from aiplat.node.nat.circuit import end, write_whole
from aiplat.node.nat.words import (
    HOP,
    STOP,
    Answer,
    Ask,
    Refusal,
    hear_answer,
    hear_ask,
    refuse,
    say,
)
from aiplat.node.pipe import StreamPipe
from aiplat.node.settings import NodeSettings
from aiplat.telemetry.metrics import Metrics

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.host import Host

log = logging.getLogger("aiplat.node.nat")

SPARE_STREAMS = 3
"""Of a connection, besides circuits: for its channel, and for what is being negotiated."""

SLACK_SECONDS = 0.05
"""Of its rate that a circuit may catch up with."""


class _Refused(Exception):
    """There is no circuit. The text is the word for it."""


class Relay:
    """Relays for the peers of one node.

    Arguments:
        settings: bounds and deadlines.
        metrics: where hits of bounds are counted.
        channels: gives the live channels, by peer.
        trusts: tells whether a channel is with a member.
    """

    def __init__(
        self,
        settings: NodeSettings,
        metrics: Metrics,
        channels: Callable[[], Mapping[PeerId, Channel]],
        trusts: Callable[[Channel], bool],
    ) -> None:
        self._settings = settings
        self._metrics = metrics
        self._channels = channels
        self._trusts = trusts
        self._circuits: Counter[PeerId] = Counter()
        self._count = 0
        self._per_peer = min(
            settings.relay_circuits_per_peer,
            max(1, settings.max_streams_per_connection - SPARE_STREAMS),
        )

    @property
    def circuits(self) -> int:
        """How many it carries now."""
        return self._count

    def open(self, host: Host) -> None:
        """Relay over this host from now on."""

        async def hop(pipe: StreamPipe, peer: PeerId, _: str) -> None:
            try:
                await self._hop(host, pipe, peer)
            except Exception as fault:  # noqa: BLE001  # of libp2p's many kinds: that circuit's alone
                log.debug("a circuit ended", extra={"peer": peer, "fault": repr(fault)})
            finally:
                await end(pipe)

        host.handle(HOP, hop)

    # -- making one ------------------------------------------------------------------------------

    async def _hop(self, host: Host, pipe: StreamPipe, source: PeerId) -> None:
        with trio.fail_after(self._settings.handshake_seconds):
            ask, early = await hear_ask(pipe)
            target = PeerId(ask.peer)
            try:
                self._check(pipe, source, target)
            except _Refused as refusal:
                await refuse(pipe, str(refusal))
                return
        self._count += 1
        self._circuits.update((source, target))
        try:
            await self._connect(host, pipe, source, target, early)
        finally:
            self._count -= 1
            self._circuits.subtract((source, target))
            self._circuits += Counter()  # drops those at zero

    def _check(self, pipe: StreamPipe, source: PeerId, target: PeerId) -> None:
        if not self._settings.relay:
            raise _Refused("off")
        asking, asked = self._channel(source), self._channel(target)
        if pipe.via is not None or asking is None or not self._trusts(asking):
            raise _Refused("not_a_member")
        if target == source or asked is None:
            raise _Refused("not_connected")
        if not self._trusts(asked):
            raise _Refused("stranger")
        if self._count >= self._settings.relay_circuits:
            self._full("full", "relay_circuits")
        if max(self._circuits[source], self._circuits[target]) >= self._per_peer:
            self._full("too_many", "relay_circuits_per_peer")

    def _channel(self, peer: PeerId) -> Channel | None:
        """The live one with a peer: its connection alone proves nothing."""
        channel = self._channels().get(peer)
        return None if channel is None or channel.is_ended else channel

    def _sees(self, peer: PeerId) -> str:
        """The ip at which a peer is; empty when it is not known."""
        channel = self._channel(peer)
        return "" if channel is None else seen_from(channel.address)

    def _full(self, word: Refusal, bound: str) -> None:
        self._metrics.bound_hits.labels(bound=bound).inc()
        raise _Refused(word)

    async def _connect(
        self, host: Host, pipe: StreamPipe, source: PeerId, target: PeerId, early: bytes
    ) -> None:
        onward = None
        try:
            try:
                with trio.fail_after(self._settings.handshake_seconds):
                    onward = await host.stream(target, STOP)
                    if onward.via is not None:
                        raise _Refused("not_connected")  # a relay of a relay: never
                    await say(onward, Ask(source, self._sees(source)))
                    answer, behind = await hear_answer(onward)
                    if answer.refused:
                        raise _Refused("refused")
            except _Refused as refusal:
                await refuse(pipe, str(refusal))
                return
            except Exception:
                await refuse(pipe, "not_connected")
                raise
            await say(pipe, Answer(ip=self._sees(target)))
            log.debug("a circuit stands", extra={"peer": source, "target": target})
            await self._carry(pipe, onward, early, behind)
        finally:
            if onward is not None:
                await end(onward)

    # -- carrying --------------------------------------------------------------------------------

    async def _carry(
        self, near: StreamPipe, far: StreamPipe, from_near: bytes, from_far: bytes
    ) -> None:
        """Carry bytes both ways until either end is over, or nothing passes for too long.

        What waits in it is bounded by the muxer's windows, 256 KiB for each stream, and by one
        read of as much: who reads slowly holds back who writes.
        """
        over = trio.Event()
        flow = Flow(self._settings)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(flow.pump, near, far, from_near, over)
            nursery.start_soon(flow.pump, far, near, from_far, over)
            nursery.start_soon(flow.watch, over)
            await over.wait()
            # First, so that a write that hangs comes back: it is shielded.
            nursery.start_soon(end, near)
            nursery.start_soon(end, far)
            nursery.cancel_scope.cancel()


class Flow:
    """The two directions of one circuit.

    Arguments:
        settings: its rate, and how long nothing may pass.
    """

    def __init__(self, settings: NodeSettings) -> None:
        self._settings = settings
        self._passed = trio.Event()

    async def pump(
        self, source: StreamPipe, sink: StreamPipe, early: bytes, over: trio.Event
    ) -> None:
        """Carry one way."""
        most, rate = self._settings.write_bytes, self._settings.relay_bytes_per_second
        free = trio.current_time()
        try:
            data = early
            while True:
                for start in range(0, len(data), most):
                    piece = data[start : start + most]
                    await write_whole(sink, piece)
                    self._passed.set()
                    if rate:
                        free = await _rest(free, len(piece) / rate)
                data = await source.read()
                if not data:
                    return
        except Exception as fault:  # noqa: BLE001  # of libp2p's many kinds: an end
            log.debug("a circuit ended", extra={"fault": repr(fault)})
        finally:
            over.set()

    async def watch(self, over: trio.Event) -> None:
        """End a circuit over which nothing passes."""
        while True:
            self._passed = trio.Event()
            with trio.move_on_after(self._settings.relay_idle_seconds):
                await self._passed.wait()
                await trio.sleep(self._settings.relay_idle_seconds / 4)
            if not self._passed.is_set():
                over.set()
                return


async def _rest(free: float, seconds: float) -> float:
    """Hold back who sends more than its rate.

    Arguments:
        free: when what passed before had its time.
        seconds: that what passed now may take.

    Returns:
        When this had its time. What was not used of the rate is lost, but for `SLACK_SECONDS`:
        sleeps are made up of milliseconds, and a piece may take less.
    """
    now = trio.current_time()
    free = max(free, now - SLACK_SECONDS) + seconds
    if free > now:
        await trio.sleep(free - now)
    return free
