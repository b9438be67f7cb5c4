"""The relay on real sockets: two nodes speak through a third, which reads nothing of it."""

from __future__ import annotations

import contextlib

import msgspec
import pytest
import trio
from libp2p.stream_muxer.exceptions import MuxedStreamError
from msgspec.structs import replace

from aiplat.domain.chat import Generate
from aiplat.domain.errors import NoPeer
from aiplat.domain.ids import PeerId
from aiplat.node.addresses import relay_in
from aiplat.node.host import Host
from aiplat.node.nat import relay as relaying
from aiplat.node.nat.autonat import DIAL_ME
from aiplat.node.nat.circuit import write_whole
from aiplat.node.nat.reach import DialMe
from aiplat.node.nat.words import HOP, STOP, Ask, hear_answer, say
from aiplat.node.pipe import StreamPipe
from aiplat.protocol.messages import Call
from tests.support.relaying import answer_a_request, handler_of, hide, through
from tests.unit.node.nodes import QUICK, Peer, connect, listening, running, stranger, until


async def hung_up(pipe: StreamPipe) -> None:
    """Wait until the other side reset a stream."""
    with trio.fail_after(60), contextlib.suppress(MuxedStreamError):
        while await pipe.read():
            pass


@pytest.mark.trio
async def test_a_request_goes_through_a_relay() -> None:
    a, b, r = Peer(), Peer(), Peer()
    async with running(a, b, r):
        await b.node.reach(r.address)
        channel = await a.node.reach(through(r, b))  # it reaches the relay by itself
        assert channel.peer == b.node.peer_id
        assert relay_in(channel.address) == r.node.peer_id
        assert relay_in(b.node.channels[a.node.peer_id].address) == r.node.peer_id
        sink = await answer_a_request(a, b)
        assert sink.text == "the secret answer"
        assert r.node.nat.relay.circuits == 1
        channel.close("bye", "done")
        await until(lambda: r.node.nat.relay.circuits == 0)
        assert set(r.node.channels) == {a.node.peer_id, b.node.peer_id}


@pytest.mark.trio
async def test_much_goes_through_a_relay() -> None:
    """Over the windows of the muxers, both the inner and the outer, many times."""
    a, b, r = Peer(), Peer(), Peer()
    async with running(a, b, r):
        await b.node.reach(r.address)
        await a.node.reach(through(r, b))
        text = "prompt " * 130_000
        for _ in range(3):
            await answer_a_request(a, b, text)
        work = handler_of(b, a).requests[-1].incoming.submission.work
        assert isinstance(work, Generate)
        assert work.messages[0].content == text
        assert a.node.channels[r.node.peer_id].latency is not None


@pytest.mark.trio
async def test_the_relay_reads_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[bytes] = []

    async def spy(pipe: StreamPipe, data: bytes) -> None:
        seen.append(data)
        await write_whole(pipe, data)

    monkeypatch.setattr(relaying, "write_whole", spy)
    a, b, r = Peer(), Peer(), Peer()
    async with running(a, b, r):
        await b.node.reach(r.address)
        await a.node.reach(through(r, b))
        await answer_a_request(a, b, text="the secret question")
    passed = b"".join(seen)
    assert len(passed) > 1000
    assert b"secret" not in passed
    assert b"test/1" not in passed  # what the Hellos say


@pytest.mark.trio
async def test_a_relay_that_lies_about_who_is_there_is_found_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    a, b, c, r = Peer(), Peer(), Peer(), Peer()
    stream = Host.stream

    async def astray(self: Host, peer: PeerId, protocol: str) -> StreamPipe:
        return await stream(self, c.node.peer_id if protocol == STOP else peer, protocol)

    async with running(a, b, c, r):
        await b.node.reach(r.address)
        await c.node.reach(r.address)
        monkeypatch.setattr(Host, "stream", astray)
        with pytest.raises(NoPeer, match="is not the peer"):
            await a.node.reach(through(r, b))
        assert b.node.peer_id not in a.node.channels
        await until(lambda: r.node.nat.relay.circuits == 0)


@pytest.mark.trio
async def test_only_who_has_a_channel_may_use_a_relay() -> None:
    b, r, host = Peer(), Peer(), stranger()
    async with running(b, r), listening(host):
        await b.node.reach(r.address)
        relay = await connect(host, r.address)
        stream = await host.new_stream(relay, [HOP])
        pipe = StreamPipe(stream)
        await say(pipe, Ask(b.node.peer_id))
        assert (await hear_answer(pipe))[0].refused == "not_a_member"
        # Nor does a member take a circuit from who has none to it.
        target = await connect(host, b.address)
        pipe = StreamPipe(await host.new_stream(target, [STOP]))
        await say(pipe, Ask(r.node.peer_id))
        assert (await hear_answer(pipe))[0].refused == "not_a_member"
        assert r.node.nat.relay.circuits == 0


@pytest.mark.trio
async def test_garbage_costs_only_its_own_stream() -> None:
    a, b, r = Peer(), Peer(), Peer()
    async with running(a, b, r):
        await b.node.reach(r.address)
        await a.node.reach(through(r, b))
        host = a.node._host
        assert host is not None
        for garbage in (b"\xff\xff" + b"x" * 500, b"\x00\x03abc", b"\x00\x00"):
            pipe = await host.stream(r.node.peer_id, HOP)
            await pipe.write(garbage)
            await hung_up(pipe)
        await answer_a_request(a, b)


@pytest.mark.trio
@pytest.mark.parametrize(
    ("bounds", "words", "bound"),
    [
        ({"relay": False}, "relays for nobody", ""),
        ({"relay_circuits": 1}, "in all", "relay_circuits"),
        ({"relay_circuits_per_peer": 1}, "for one peer", "relay_circuits_per_peer"),
    ],
)
async def test_a_relay_keeps_its_bounds(bounds: dict[str, int], words: str, bound: str) -> None:
    a, b, c = Peer(), Peer(), Peer()
    r = Peer(replace(QUICK, **bounds))
    async with running(a, b, c, r):
        await b.node.reach(r.address)
        await c.node.reach(r.address)
        if bound:
            await a.node.reach(through(r, b))
        with pytest.raises(NoPeer, match=words):
            await a.node.reach(through(r, c))
        if bound:
            assert r.count("aiplat_bound_hits_total", bound=bound) == 1
            await answer_a_request(a, b)


@pytest.mark.trio
async def test_who_is_not_connected_to_the_relay_is_not_reached() -> None:
    a, b, r = Peer(), Peer(), Peer()
    async with running(a, b, r):
        with pytest.raises(NoPeer, match="no connection to it now"):
            await a.node.reach(through(r, b))


@pytest.mark.trio
async def test_no_circuit_goes_through_another() -> None:
    a, b, c, r = Peer(), Peer(), Peer(), Peer()
    async with running(a, b, c, r):
        await c.node.reach(r.address)
        await b.node.reach(through(r, c))
        await a.node.reach(c.address)
        with pytest.raises(NoPeer, match="no connection to it now"):
            await a.node.reach(through(c, b))


@pytest.mark.trio
async def test_a_circuit_over_which_nothing_passes_ends() -> None:
    r, a = Peer(replace(QUICK, relay_idle_seconds=4.0)), Peer()
    b = Peer(replace(QUICK, handshake_seconds=60.0))  # it would end it too, for want of Noise
    async with running(a, b, r):
        await b.node.reach(r.address)
        await a.node.reach(r.address)
        host = a.node._host
        assert host is not None
        pipe = await host.stream(r.node.peer_id, HOP)
        await say(pipe, Ask(b.node.peer_id))
        assert (await hear_answer(pipe))[0].refused == ""
        await until(lambda: r.node.nat.relay.circuits == 1)
        await until(lambda: r.node.nat.relay.circuits == 0)
        assert set(r.node.channels) == {a.node.peer_id, b.node.peer_id}


@pytest.mark.trio
async def test_a_rate_holds_back_and_breaks_nothing() -> None:
    r = Peer(replace(QUICK, relay_bytes_per_second=200_000))
    a, b = Peer(), Peer()
    async with running(a, b, r):
        await b.node.reach(r.address)
        await a.node.reach(through(r, b))
        began = trio.current_time()
        await answer_a_request(a, b, "prompt " * 100_000)
        assert trio.current_time() - began > 1.0
        await answer_a_request(a, b)


@pytest.mark.trio
async def test_a_hidden_node_keeps_a_relay_and_says_its_address() -> None:
    a, b, r = Peer(), hide(Peer()), Peer()
    async with running(a, b, r):
        assert b.node.nat.reach.state == "unknown"
        await b.node.reach(r.address)
        await until(lambda: b.node.nat.reach.state == "relayed")
        assert b.node.nat.reach.via == (r.node.peer_id,)
        assert "port 1" in b.node.nat.reach.why
        assert b.node.addresses[0] == through(r, b)
        await a.node.reach(b.node.addresses[0])
        await answer_a_request(a, b)
        await until(lambda: r.node.nat.reach.state == "direct")
        assert "this machine" in r.node.nat.reach.why


@pytest.mark.trio
async def test_a_relay_that_dies_is_replaced_and_taken_again_when_it_is_back() -> None:
    settings = replace(QUICK, nat_relays=1)
    a, b, r, s = Peer(), hide(Peer(settings)), Peer(), Peer()
    gone = trio.Event()

    async def live_and_tell(*, task_status: trio.TaskStatus[None]) -> None:
        await s.run(task_status=task_status)
        gone.set()

    async with running(a, b, r) as nursery:
        await nursery.start(live_and_tell)
        await b.node.reach(r.address)
        await until(lambda: b.node.nat.reach.via == (r.node.peer_id,))
        await b.node.reach(s.address)
        channel = await a.node.reach(through(r, b))
        r.scope.cancel()
        await channel.wait_ended()
        await until(lambda: b.node.nat.reach.via == (s.node.peer_id,))
        assert b.node.addresses[0] == through(s, b)
        await a.node.reach(through(s, b))
        await answer_a_request(a, b)
        # Now the other goes too, and comes back: it is found again.
        again = Peer(
            replace(QUICK, listen=(f"/ip4/127.0.0.1/tcp/{s.port}",)),
            identity=s.identity,
        )
        s.scope.cancel()
        await until(lambda: b.node.nat.reach.state == "unreachable")
        assert through(s, b) not in b.node.addresses
        await gone.wait()
        await nursery.start(again.run)
        await until(lambda: b.node.nat.reach.via == (s.node.peer_id,))
        await a.node.reach(through(again, b))
        await answer_a_request(a, b)


@pytest.mark.trio
async def test_only_the_ip_that_is_seen_is_dialed_back(monkeypatch: pytest.MonkeyPatch) -> None:
    dialed: list[object] = []
    probe = Host.probe

    async def spy(self: Host, endpoint: object, peer: PeerId) -> None:
        dialed.append(endpoint)
        await probe(self, endpoint, peer)  # type: ignore[arg-type]  # as it came

    a, b = Peer(), Peer()
    async with running(a, b):
        channel = await a.node.reach(b.address)
        await until(lambda: a.node.nat.reach.state == b.node.nat.reach.state == "direct")
        monkeypatch.setattr(Host, "probe", spy)
        ports = tuple(range(9, 40))
        body = msgspec.msgpack.encode(DialMe((*ports, a.port)))
        await channel.call(Call(DIAL_ME, msgspec.Raw(body)), 60.0)
        assert {str(e) for e in dialed} == {f"/ip4/127.0.0.1/tcp/{p}" for p in ports[:3]}


@pytest.mark.trio
async def test_a_frozen_circuit_is_noticed_by_its_silence(monkeypatch: pytest.MonkeyPatch) -> None:
    """The relay holds everything back and says nothing: both ends notice, none of the rest does."""
    settings = replace(QUICK, heartbeat_seconds=0.5, silence_seconds=3.0)
    a, b, r = Peer(settings), Peer(settings), Peer(replace(QUICK, relay_idle_seconds=10.0))
    frozen = trio.Event()

    async def hold(pipe: StreamPipe, data: bytes) -> None:
        if frozen.is_set():
            await trio.sleep_forever()
        await write_whole(pipe, data)

    monkeypatch.setattr(relaying, "write_whole", hold)
    async with running(a, b, r):
        await b.node.reach(r.address)
        channel = await a.node.reach(through(r, b))
        await answer_a_request(a, b)
        frozen.set()
        assert "silent" in await channel.wait_ended()
        await until(lambda: b.node.peer_id not in a.node.channels)
        await until(lambda: a.node.peer_id not in b.node.channels)
        await until(lambda: r.node.nat.relay.circuits == 0)
        assert set(r.node.channels) == {a.node.peer_id, b.node.peer_id}
