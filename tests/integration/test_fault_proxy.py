"""Real nodes with a proxy between them: links that stall, break, starve and come back."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path

import pytest
import trio
from msgspec.structs import replace

from aiplat.domain.answers import Failed, Finished
from aiplat.domain.errors import NoPeer
from aiplat.node.channel import Channel
from aiplat.node.identity import Identity
from aiplat.node.incarnation import next_incarnation
from aiplat.node.settings import NodeSettings
from aiplat.protocol.messages import Announce
from tests.support.fault_proxy import TcpProxy, Way
from tests.support.nodes import RunningNode, aiplat, has_model, wait_for_model
from tests.unit.node.helpers import Handler, Serving, Sink, submission
from tests.unit.node.nodes import QUICK, Peer, running, until

BRISK = NodeSettings(heartbeat_seconds=0.5, silence_seconds=1.5)
PATIENT = NodeSettings(silence_seconds=60.0)
"""Where what happens must not be a silence that was noticed."""
"""For what does not name the 3 s."""

SAME = Identity(bytes([7]) * 32)
NOW = 1_800_000_000_000
HOUR = 3_600_000


@asynccontextmanager
async def through(peer: Peer) -> AsyncIterator[tuple[TcpProxy, str]]:
    """A proxy in front of a node; gives it, and the node's address through it."""
    proxy = TcpProxy(peer.port)
    async with trio.open_nursery() as nursery:
        port = await nursery.start(proxy.run)
        yield proxy, f"/ip4/127.0.0.1/tcp/{port}/p2p/{peer.node.peer_id}"
        nursery.cancel_scope.cancel()


async def asked(channel: Channel, of: Peer) -> tuple[Sink, Serving]:
    """A request over a channel, of whose answer the beginning has come."""
    sink, before = Sink(), sum(len(handler.requests) for _, handler in of.handlers)
    channel.submit(submission(), sink)
    serving = await until(lambda: requests(of)[before:])
    serving[0].start()
    serving[0].say(1, 2, text="un")
    await until(lambda: sink.text == "un")
    return sink, serving[0]


def requests(peer: Peer) -> list[Serving]:
    """All that a node was asked, over all its channels."""
    return [serving for _, handler in peer.handlers for serving in handler.requests]


async def kept(peer: Peer, address: str) -> Channel:
    """Let a node stay connected to an address; gives the first channel."""
    peer.node.keep(address)
    return await again(peer, None)


async def again(peer: Peer, than: Channel | None) -> Channel:
    """Wait for another live channel of a node that has one peer."""

    def other() -> Channel | None:
        live = [c for c in peer.node.channels.values() if c is not than and not c.is_ended]
        return live[0] if live else None

    channel: Channel = await until(other)
    return channel


def reason(sink: Sink) -> str:
    """Why a request ended that was lost."""
    assert isinstance(sink.end, Failed)
    assert sink.end.code == "processor_lost"
    assert sink.end.recoverable
    return sink.end.message


@pytest.mark.trio
@pytest.mark.parametrize(
    "ways",
    [
        ("back",),
        pytest.param((), marks=pytest.mark.slow),
        pytest.param(("there",), marks=pytest.mark.slow),
    ],
)
async def test_a_link_that_stalls_is_silence_after_3_s_and_comes_back(ways: tuple[Way]) -> None:
    """Who hears nothing says so by name; the other end hears of the end, or nothing either."""
    a, b, c = Peer(NodeSettings()), Peer(NodeSettings()), Peer()
    async with running(a, b, c, seconds=60), through(b) as (proxy, address):
        beside, serving = await asked(await a.node.reach(c.address), c)
        channel = await a.node.reach(address)
        a.node.keep(address)
        sink, _ = await asked(channel, b)
        deaf = (b, "there") if ways == ("there",) else (a, "back")
        began = trio.current_time()
        proxy.stall(*ways)
        gone = a.node.peer_id if deaf[0] is b else b.node.peer_id
        other = await until(lambda: deaf[0].node.channels.get(gone))
        assert await other.wait_ended() == "it fell silent for 3.0 s"
        assert trio.current_time() - began > 2.0  # the last byte came up to 1 s before
        proxy.flow()
        await until(lambda: sink.end)
        assert sink.text == "un"
        if deaf[0] is a:
            assert "fell silent for 3.0 s" in reason(sink)
        await until(lambda: channel is not a.node.channels.get(b.node.peer_id, channel))
        after, serving_after = await asked(a.node.channels[b.node.peer_id], b)
        for its, of in ((after, serving_after), (beside, serving)):
            of.say(3, text="touched")
            of.finish(3)
            await until(lambda its=its: its.end)  # type: ignore[misc]  # bound now
            assert its.text == "untouched"
            assert isinstance(its.end, Finished)


@pytest.mark.trio
@pytest.mark.parametrize("way", ["there", "back"])
async def test_a_black_hole_in_one_direction_is_noticed_by_both(way: Way) -> None:
    """Half of a link is none: who hears nothing ends it, and that much still comes across."""
    a, b = Peer(BRISK), Peer(BRISK)
    async with running(a, b, seconds=60), through(b) as (proxy, address):
        channel = await a.node.reach(address)
        sink, serving = await asked(channel, b)
        began = trio.current_time()
        proxy.swallow(way)
        await until(lambda: sink.end and serving.cancels)
        assert trio.current_time() - began < 20.0
        theirs, _ = b.handlers[0]
        silent = channel if way == "back" else theirs
        assert silent.reason == "it fell silent for 1.5 s"
        assert reason(sink)
        assert serving.cancels == 1


@pytest.mark.trio
@pytest.mark.parametrize("how", ["cut", "reset"])
async def test_a_link_that_breaks_is_told_at_once_and_mended(how: str) -> None:
    a, b = Peer(PATIENT), Peer(PATIENT)
    async with running(a, b), through(b) as (proxy, address):
        channel = await kept(a, address)
        sink, serving = await asked(channel, b)
        began = trio.current_time()
        getattr(proxy, how)()
        await until(lambda: sink.end and serving.cancels)
        assert trio.current_time() - began < 20.0
        assert "its connection ended without a word" in reason(sink)
        assert sink.text == "un"
        await again(a, channel)
        assert trio.current_time() - began < 20.0


@pytest.mark.trio
async def test_who_is_refused_tries_again_with_growing_pauses() -> None:
    settings = NodeSettings(reconnect_min_seconds=0.1, reconnect_max_seconds=0.8)
    a, b = Peer(settings), Peer()
    async with running(a, b), through(b) as (proxy, address):
        channel = await kept(a, address)
        proxy.refuses = True
        proxy.accepted.clear()
        proxy.reset()
        await until(lambda: len(proxy.accepted) >= 6)
        pauses = [after - before for before, after in pairwise(proxy.accepted)]
        # Up to a quarter less than each: not all at the same time.
        for pause, least in zip(pauses, (0.15, 0.3, 0.6, 0.6, 0.6), strict=False):
            assert pause >= least * 0.99
        assert "closed the connection at once" in a.node.wanted[0].note
        proxy.refuses = False
        await again(a, channel)
        assert a.node.wanted[0].state == "connected"


@pytest.mark.trio
async def test_a_half_open_connection_whose_dialer_lost_it_gives_way_at_once() -> None:
    """B still believes; A dials again, and that is the newer channel for B too."""
    a, b = Peer(PATIENT), Peer(PATIENT)
    async with running(a, b), through(b) as (proxy, address):
        channel = await kept(a, address)
        sink, serving = await asked(channel, b)
        began = trio.current_time()
        proxy.forget("near")
        new = await again(a, channel)
        await until(lambda: len(b.handlers) == 2)
        assert trio.current_time() - began < 20.0, "nobody waited for a silence"
        assert "without a word" in reason(sink)
        old, _ = b.handlers[0]
        assert old.reason == "this node closed it: A newer channel took its place"
        assert serving.cancels == 1
        after, of = await asked(new, b)
        of.finish(2)
        await until(lambda: after.end)


@pytest.mark.trio
async def test_a_half_open_connection_whose_listener_lost_it_is_silence() -> None:
    a, b = Peer(BRISK), Peer(BRISK)
    async with running(a, b), through(b) as (proxy, address):
        channel = await kept(a, address)
        sink, serving = await asked(channel, b)
        proxy.forget("far")
        await until(lambda: serving.cancels)
        assert sink.end is None, "A believes"
        await until(lambda: sink.end)
        assert "fell silent for 1.5 s" in reason(sink)
        await again(a, channel)


@pytest.mark.trio
@pytest.mark.parametrize("counted", [True, False])
async def test_a_node_whose_clock_stepped_back_is_let_in_at_once(
    counted: bool, tmp_path: Path
) -> None:
    """It died with its machine, without a word, and B believes in its earlier life."""
    count = tmp_path / "incarnation"
    first = Peer(BRISK, identity=SAME, incarnation=next_incarnation(count, NOW))
    b = Peer(NodeSettings(heartbeat_seconds=0.5, silence_seconds=8.0))
    async with running(first, b), through(b) as (proxy, address):
        await first.node.reach(address)
        old = await again(b, None)
        proxy.forget("near")
        first.scope.cancel()
        stepped_back = NOW - 5 * HOUR
        life = next_incarnation(count, stepped_back) if counted else stepped_back
        second = Peer(BRISK, identity=SAME, incarnation=life)
        async with running(second):
            if counted:
                channel = await second.node.reach(b.address)
                assert not channel.is_ended
                assert b.node.channels[SAME.peer_id].hello.incarnation == NOW + 1
            else:  # by the clock alone it is taken for an earlier life of itself
                with pytest.raises(NoPeer, match="same identity started later"):
                    await second.node.reach(b.address)
                assert await old.wait_ended() == "it fell silent for 8.0 s"


@pytest.mark.trio
async def test_a_late_announce_of_an_earlier_life_is_void() -> None:
    """It waited in the network while the next life came; it must not replace what that one said."""
    old, new = (Peer(PATIENT, identity=SAME, incarnation=n) for n in (1, 2))
    b = Peer(PATIENT)
    async with running(old, new, b), through(b) as (proxy, address):
        channel = await old.node.reach(address)
        channel.say(Announce(revision=1))
        heard = await until(lambda: b.handlers and b.handlers[0][1])
        await until(lambda: heard.heard == [Announce(revision=1)])
        proxy.stall("there")
        channel.say(Announce(revision=99))
        again_channel = await new.node.reach(b.address)
        again_channel.say(Announce(revision=1))
        await until(lambda: len(b.handlers) == 2 and b.handlers[1][1].heard)
        proxy.flow()
        await channel.wait_ended()
        await until(lambda: not proxy.connections)
        told: list[Handler] = [handler for _, handler in b.handlers]
        assert [handler.heard for handler in told] == [[Announce(revision=1)]] * 2
        assert told[0].reasons == ["this node closed it: A newer channel took its place"]
        assert told[1].reasons == []


@pytest.mark.trio
async def test_a_dripping_peer_is_given_up_at_the_handshakes_deadline() -> None:
    """A byte now and then is no progress: both ends have a deadline for the whole of it."""
    a = Peer(replace(QUICK, connect_seconds=2.0))
    b = Peer(replace(QUICK, handshake_seconds=1.0))
    async with running(a, b), through(b) as (proxy, address):
        proxy.drip(0.05)
        began = trio.current_time()
        with pytest.raises(NoPeer) as caught:
            await a.node.reach(address)
        assert 0.9 < trio.current_time() - began < 30.0
        assert "no aiplat node" in str(caught.value) or "within 2 s" in str(caught.value)
        await until(lambda: not proxy.connections)
        assert not b.node.channels
        proxy.drip(None)
        assert not (await kept(a, address)).is_ended


@pytest.mark.trio
async def test_one_byte_at_a_time_everything_comes_whole() -> None:
    slow = replace(QUICK, handshake_seconds=30.0, connect_seconds=60.0)
    a, b = Peer(slow), Peer(slow)
    async with running(a, b), through(b) as (proxy, address):
        proxy.drip(0)
        channel = await a.node.reach(address)
        sink, serving = await asked(channel, b)
        for token in range(3, 100):
            serving.say(token, text=f" {token}")
        serving.finish(99)
        await until(lambda: sink.end)
        assert sink.text == "un" + "".join(f" {token}" for token in range(3, 100))
        assert isinstance(sink.end, Finished)


@pytest.mark.slow
@pytest.mark.trio
async def test_processes_with_a_proxy_between_them(tmp_path: Path) -> None:
    """A stall is told to who asks, by name; the processor is back when the link is."""
    in_thread = partial(trio.to_thread.run_sync, abandon_on_cancel=True)
    listen = ("--listen", "/ip4/127.0.0.1/tcp/0")
    gateway = await in_thread(
        lambda: RunningNode(tmp_path / "g", *listen, "--role", "gateway", "--role", "client")
    )
    proxy = TcpProxy(int(gateway.address.split("/")[4]))
    async with trio.open_nursery() as nursery:
        port = await nursery.start(proxy.run)
        through_it = f"/ip4/127.0.0.1/tcp/{port}/p2p/{gateway.peer_id}"
        serve = ("--role", "processor", "--model", "echo", "--echo-rate", "4")
        processor = await in_thread(
            lambda: RunningNode(tmp_path / "p", *listen, *serve, "--peer", through_it)
        )
        try:
            await in_thread(lambda: wait_for_model(gateway))
            results = []

            async def ask() -> None:
                words = " ".join(f"word{n}" for n in range(100))
                results.append(
                    await in_thread(lambda: aiplat(gateway.home, "ask", "--model", "echo", words))
                )

            nursery.start_soon(ask)
            with trio.fail_after(120):
                while not (await in_thread(gateway.now))["active"]:
                    await trio.sleep(0.1)
                await trio.sleep(1.0)  # some tokens: at 4 a second, of some hundreds
                began = trio.current_time()
                proxy.stall()
                while not results:
                    await trio.sleep(0.05)
            assert trio.current_time() - began < 30.0
            assert results[0].returncode != 0
            assert "fell silent for 3.0 s" in results[0].stderr
            assert not await in_thread(lambda: has_model(gateway))
            proxy.flow()
            await in_thread(lambda: wait_for_model(gateway))
        finally:
            for node in (gateway, processor):
                await in_thread(node.close)
            nursery.cancel_scope.cancel()
