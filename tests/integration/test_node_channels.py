"""Nodes on real sockets: reaching, staying connected, and exactly one channel between two."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import trio
import trio.lowlevel
from libp2p.stream_muxer.yamux.yamux import YamuxStream

from aiplat.domain.answers import Failed, Finished
from aiplat.domain.errors import NoPeer, PermissionDenied
from aiplat.domain.ids import PeerId, short
from aiplat.node.identity import Identity
from aiplat.node.settings import NodeSettings
from aiplat.protocol.messages import Drain, Hello
from tests.unit.node.helpers import Sink, submission
from tests.unit.node.nodes import QUICK, Peer, live_channels, running, until

SMALL, LARGE = sorted(
    (Identity(bytes([n]) * 32) for n in (1, 2)), key=lambda identity: identity.peer_id
)


@pytest.mark.trio
async def test_a_request_goes_there_and_back() -> None:
    a, b = Peer(), Peer(roles=("processor",))
    async with running(a, b):
        channel = await a.node.reach(b.address)
        assert channel.peer == b.node.peer_id
        assert channel.dialed
        assert channel.hello.roles == ("processor",)
        assert channel.hello.agent == "test/1"
        assert await a.node.reach(b.address) is channel
        assert dict(a.node.channels) == {b.node.peer_id: channel}
        sink = Sink()
        channel.submit(submission(), sink)
        _, handler = await until(lambda: b.handlers[0] if b.handlers else None)
        await until(lambda: handler.requests)
        [serving] = handler.requests
        serving.start()
        serving.say(1, 2, text="hi")
        serving.finish(2)
        await until(lambda: sink.end)
        assert sink.text == "hi"
        assert isinstance(sink.end, Finished)
        await until(lambda: channel.latency is not None)
        assert channel.latency is not None
        assert channel.latency < 30.0


@pytest.mark.trio
async def test_addresses_are_complete_and_concrete() -> None:
    a = Peer(msgspec.structs.replace(QUICK, listen=("/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0")))
    async with running(a):
        assert len(a.node.addresses) == 2
        for address in a.node.addresses:
            assert address.endswith(f"/p2p/{a.node.peer_id}")
            assert "/tcp/0" not in address


@pytest.mark.trio
async def test_a_long_prompt_goes_through() -> None:
    a, b = Peer(), Peer()
    async with running(a, b):
        channel = await a.node.reach(b.address)
        text = "prompt " * 100_000
        channel.submit(submission(text=text), Sink())
        handler = (await until(lambda: b.handlers))[0][1]
        await until(lambda: handler.requests)
        assert handler.requests[0].incoming.submission.work.messages[0].content == text


@pytest.mark.trio
async def test_the_window_is_given_back_by_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    """Not with a frame for each read, which cost a gateway a third of its time."""
    given: list[int] = []
    send = YamuxStream.send_window_update

    async def spy(self: YamuxStream, increment: int, skip_lock: bool = False) -> None:
        given.append(increment)
        await send(self, increment, skip_lock)

    monkeypatch.setattr(YamuxStream, "send_window_update", spy)
    a, b = Peer(), Peer()
    async with running(a, b):
        channel = await a.node.reach(b.address)
        handler = (await until(lambda: b.handlers))[0][1]
        given.clear()  # the negotiation of the stream is libp2p's own
        for _ in range(20):
            before = len(handler.requests)
            channel.submit(submission(), Sink())
            await until(lambda seen=before: len(handler.requests) > seen)  # type: ignore[misc]  # bound now
        assert given == []
        channel.submit(submission(text="prompt " * 100_000), Sink())
        await until(lambda: len(handler.requests) > 20)
        assert given
        assert min(given) >= 128 * 1024


@pytest.mark.trio
async def test_who_takes_nothing_holds_back_only_itself() -> None:
    """Guard 3: 2 MiB, eight windows of yamux, wait in a sink; the channel reads on."""
    a, b = Peer(), Peer()
    async with running(a, b):
        channel = await a.node.reach(b.address)
        lazy, brisk = Sink(), Sink()
        channel.submit(submission(1, credit=2 * 1024 * 1024), lazy)
        channel.submit(submission(2), brisk)
        handler = (await until(lambda: b.handlers))[0][1]
        await until(lambda: len(handler.requests) == 2)
        for serving in handler.requests:
            serving.start()
        for _ in range(600):
            handler.requests[0].say(text="x" * 1000)
        await until(lambda: len(lazy.text) > 500_000)  # half a MiB of text costs two
        handler.requests[1].say(1)
        handler.requests[1].finish(1)
        await until(lambda: brisk.end)
        assert lazy.end is None


@pytest.mark.trio
@pytest.mark.parametrize("first", range(5))
async def test_two_that_reach_each_other_at_once_get_one_channel(first: int) -> None:
    """Neither hears an error because of the duplicate, and both keep the same one."""
    a, b = Peer(identity=SMALL), Peer(identity=LARGE)
    found = {}

    async def reach(peer: Peer, address: str) -> None:
        found[peer.node.peer_id] = await peer.node.reach(address)

    async with running(a, b):
        async with trio.open_nursery() as nursery:
            for one, other in ((a, b), (b, a)) if first % 2 else ((b, a), (a, b)):
                nursery.start_soon(reach, one, other.address)
                if first > 2:
                    await trio.sleep(0.002 * first)
        await live_channels([a, b])
        left = found[a.node.peer_id]
        right = found[b.node.peer_id]
        await trio.sleep(0.05)
        assert a.node.channels[b.node.peer_id] is left
        assert b.node.channels[a.node.peer_id] is right
        assert left.dialed != right.dialed
        assert not left.is_ended
        assert not right.is_ended
        assert len(a.handlers) == len(b.handlers) == 1  # the roles saw no other


@pytest.mark.trio
async def test_many_callers_share_one_dial() -> None:
    a, b = Peer(), Peer()
    found = []

    async def reach() -> None:
        found.append(await a.node.reach(b.address))

    async with running(a, b):
        a.node.keep(b.address)
        async with trio.open_nursery() as nursery:
            for _ in range(20):
                nursery.start_soon(reach)
        assert len(set(map(id, found))) == 1
        assert len(b.handlers) == 1


@pytest.mark.trio
async def test_a_caller_that_gives_up_takes_no_other_with_it() -> None:
    a, b = Peer(), Peer()
    async with running(a, b):
        async with trio.open_nursery() as nursery:
            scope = trio.CancelScope()

            async def impatient() -> None:
                with scope:
                    await a.node.reach(b.address)

            nursery.start_soon(impatient)
            await trio.lowlevel.checkpoint()
            nursery.start_soon(a.node.reach, b.address)
            await trio.lowlevel.checkpoint()
            scope.cancel()
        assert b.node.peer_id in a.node.channels


@pytest.mark.trio
async def test_a_newer_life_of_a_peer_takes_the_place_of_the_older() -> None:
    a = Peer()
    old = Peer(identity=SMALL, incarnation=1)
    new = Peer(identity=SMALL, incarnation=2)
    async with running(a, old, new):
        first = await old.node.reach(a.address)
        await until(lambda: a.node.channels)
        await new.node.reach(a.address)
        await first.wait_ended()
        assert a.node.channels[SMALL.peer_id].hello.incarnation == 2
        [(_, gone), (_, here)] = a.handlers
        assert len(gone.reasons) == 1
        assert here.reasons == []
        with pytest.raises(NoPeer, match="Another node with the same identity"):
            await old.node.reach(a.address)  # what an earlier life says is void


@pytest.mark.trio
async def test_who_is_kept_is_reached_again_after_its_return(tmp_path: Path) -> None:
    known = tmp_path / "peers.json"
    a = Peer(known=known)
    b = Peer(identity=LARGE)
    async with running(a) as nursery:
        await nursery.start(b.run)
        address, port = b.address, b.port
        a.node.keep(address)
        [wanted] = a.node.wanted
        assert (wanted.address, wanted.peer_id) == (address, LARGE.peer_id)
        await until(lambda: a.node.wanted[0].state == "connected")
        b.scope.cancel()
        await until(lambda: a.node.wanted[0].state == "connecting")
        await until(lambda: "connection refused" in a.node.wanted[0].note)
        settings = msgspec.structs.replace(QUICK, listen=(f"/ip4/127.0.0.1/tcp/{port}",))
        again = Peer(settings, identity=LARGE)
        await nursery.start(again.run)
        await until(lambda: a.node.wanted[0].state == "connected")
        assert a.node.wanted[0].note == ""
        assert a.node.known == (address,)
        a.node.forget(address)
        assert a.node.wanted == []
    assert Peer(known=known).node.known == ()


@pytest.mark.trio
async def test_addresses_that_were_kept_are_known_next_time(tmp_path: Path) -> None:
    known = tmp_path / "peers.json"
    stale = f"/ip4/127.0.0.1/tcp/1/p2p/{LARGE.peer_id}"
    a, b = Peer(known=known), Peer(identity=LARGE)
    async with running(a, b):
        a.node.keep(stale)
        a.node.keep(b.address)
        await until(lambda: a.node.known == (b.address,))  # the one that works stays
        assert [wanted.address for wanted in a.node.wanted] == [b.address]
    assert Peer(known=known).node.known == (b.address,)


@pytest.mark.trio
async def test_a_node_that_stops_says_so_and_quickly() -> None:
    """libp2p closes its connections one after the other, with 0.2 s of sleep for each."""
    a = Peer()
    others = [Peer() for _ in range(12)]
    async with running(a, *others):
        for other in others:
            a.node.keep(other.address)
        await until(lambda: len(a.node.channels) == 12)
        sink = Sink()
        others[0].node.channels[a.node.peer_id].submit(submission(to="gateway"), sink)
        start = trio.current_time()
        a.scope.cancel()
        for other in others:
            [(_, handler)] = other.handlers
            await until(handler.reasons.copy)
            assert handler.reasons == ["it said goodbye: The node stops"]
        assert isinstance(sink.end, Failed)
        assert sink.end.code == "gateway_lost"
        await until(lambda: a.scope.cancelled_caught)
        assert trio.current_time() - start < 2.4, "12 rests"


@pytest.mark.trio
async def test_a_drain_is_said_and_new_peers_are_turned_away() -> None:
    a, b, late = Peer(), Peer(), Peer()
    async with running(a, b, late):
        await b.node.reach(a.address)
        await until(lambda: a.node.channels)
        a.node.drain("it is being updated", 5.0)
        [(_, handler)] = b.handlers
        await until(lambda: handler.heard == [Drain(5000, "it is being updated")])
        with pytest.raises(NoPeer, match="it is being updated"):
            await late.node.reach(a.address)
        assert a.node.peer_id in b.node.channels


@pytest.mark.trio
async def test_who_is_not_admitted_hears_why_on_either_side() -> None:
    def nobody(peer: PeerId, hello: Hello) -> None:
        raise PermissionDenied(f"The peer {short(peer)} has no certificate.")

    open_, closed = Peer(), Peer(admit=nobody)
    async with running(open_, closed):
        with pytest.raises(NoPeer) as refusal:
            await open_.node.reach(closed.address)
        assert "refused this node" in str(refusal.value)
        assert "has no certificate" in str(refusal.value)
        with pytest.raises(NoPeer, match="has no certificate"):
            await closed.node.reach(open_.address)
        assert closed.handlers == []
        await until(lambda: not open_.node.channels)


@pytest.mark.trio
async def test_channels_are_bounded() -> None:
    a = Peer(msgspec.structs.replace(QUICK, max_channels=1))
    b, c = Peer(), Peer()
    async with running(a, b, c):
        await b.node.reach(a.address)
        await until(lambda: a.node.channels)
        with pytest.raises(NoPeer, match="as many channels as it allows"):
            await c.node.reach(a.address)
        with pytest.raises(NoPeer, match="all 1 channels"):
            await a.node.reach(c.address)
        assert a.count("aiplat_bound_hits_total", bound="channels") == 2


@pytest.mark.trio
async def test_the_host_is_started_again_when_it_dies() -> None:
    a, b, c = Peer(), Peer(), Peer()
    async with running(a, b, c):
        a.node.keep(c.address)
        await until(lambda: a.node.channels)
        await b.node.reach(a.address)
        address = a.address
        host = a.node._host
        assert host is not None
        host._swarm.get_manager().cancel()
        await until(lambda: a.node._host not in (None, host))
        await until(lambda: not b.node.channels)
        assert (await b.node.reach(address)).peer == a.node.peer_id
        await until(lambda: c.node.peer_id in a.node.channels)


@pytest.mark.trio
async def test_a_port_that_was_taken_between_two_lives_is_waited_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    a, b = Peer(), Peer()
    async with running(a, b):
        address, port = a.address, a.port
        host = a.node._host
        assert host is not None
        host._swarm.get_manager().cancel()
        await until(lambda: a.node._host is None)
        taken = await trio.open_tcp_listeners(port, host="127.0.0.1")
        await until(lambda: caplog.text.count("next try in") >= 2)
        await taken[0].aclose()
        await until(lambda: a.node._host)
        assert (await b.node.reach(address)).peer == a.node.peer_id
    assert f"cannot listen on /ip4/127.0.0.1/tcp/{port} (Address already in use)" in caplog.text


CHILD = """
import sys, trio
from tests.unit.node.nodes import Peer
async def main():
    peer = Peer()
    async with trio.open_nursery() as nursery:
        await nursery.start(peer.run)
        print(peer.address, flush=True)
trio.run(main)
"""


@pytest.fixture
def child() -> Iterator[subprocess.Popen[str]]:
    """A node in a process of its own."""
    with subprocess.Popen(  # our own code
        [sys.executable, "-c", CHILD], stdout=subprocess.PIPE, text=True
    ) as process:
        yield process
        process.kill()


@pytest.mark.trio
@pytest.mark.parametrize(
    ("how", "says"),
    [(signal.SIGKILL, "without a word"), (signal.SIGSTOP, "fell silent for 3.0 s")],
)
async def test_a_killed_and_a_frozen_peer_are_noticed(
    child: subprocess.Popen[str], how: signal.Signals, says: str
) -> None:
    """Guard 4: a killed peer looks like a clean end; a frozen one looks like nothing at all."""
    assert child.stdout is not None
    address = (await trio.to_thread.run_sync(child.stdout.readline)).strip()
    a = Peer(NodeSettings())
    async with running(a):
        channel = await a.node.reach(address)
        sink = Sink()
        channel.submit(submission(), sink)
        await until(lambda: channel.latency is not None)
        start = trio.current_time()
        child.send_signal(how)
        await until(lambda: sink.end)
        assert trio.current_time() - start < 20.0
        assert isinstance(sink.end, Failed)
        assert says in sink.end.message
        assert sink.end.recoverable
        assert not a.node.channels
