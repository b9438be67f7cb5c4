"""The Hellos: who speaks first, who decides, and what it says to those it turns away."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
import trio

from aiplat.node.handshake import HandshakeFailed, accept, offer
from aiplat.protocol.channel import ChannelMachine
from aiplat.protocol.messages import CODEC, Announce, Goodbye, Hello
from tests.support.pipes import MemoryPipe, pair
from tests.unit.node.helpers import hello


def machine(*, initiator: bool = True) -> ChannelMachine:
    return ChannelMachine(initiator=initiator, hello=hello())


async def welcome(_: Hello) -> Goodbye | None:
    return None


async def refuse(_: Hello) -> Goodbye | None:
    return Goodbye("refused", "The peer has no role.")


async def offered(pipe: MemoryPipe, out: list[Any]) -> None:
    try:
        out.append(await offer(pipe, machine(), 5.0))
    except HandshakeFailed as fault:
        out.append(fault)
        pipe.abort()


@pytest.mark.trio
@pytest.mark.parametrize("chop", [0, 1])
async def test_both_hear_a_hello_and_nothing_behind_it_is_lost(chop: int) -> None:
    left, right = pair(chop)
    ours, theirs = machine(), machine(initiator=False)
    results = {}

    async def dial() -> None:
        results["left"] = await offer(left, ours, 5.0)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(dial)
        left.arrive(b"")
        assert await accept(right, theirs, 5.0, welcome) == []
        if not chop:
            left.arrive(theirs.send(Announce(revision=1)))
    assert ours.remote is not None
    assert theirs.remote is not None
    assert [item.message for item in results["left"]] in ([], [Announce(revision=1)])


@pytest.mark.trio
async def test_who_is_refused_hears_why_in_place_of_a_hello() -> None:
    left, right = pair()
    out: list[Any] = []
    async with trio.open_nursery() as nursery:
        nursery.start_soon(offered, left, out)
        with pytest.raises(HandshakeFailed, match="turned away: The peer has no role"):
            await accept(right, machine(initiator=False), 5.0, refuse)
    [fault] = out
    assert fault.goodbye == Goodbye("refused", "The peer has no role.")


@pytest.mark.trio
@pytest.mark.parametrize("dialing", [True, False])
async def test_silence_has_a_deadline(autojump_clock: Any, dialing: bool) -> None:
    left, _ = pair()
    start = trio.current_time()
    ours = machine(initiator=dialing)
    shake = offer(left, ours, 5.0) if dialing else accept(left, ours, 5.0, welcome)
    with pytest.raises(HandshakeFailed, match="no Hello within 5 s"):
        await shake
    assert trio.current_time() - start == 5.0


@pytest.mark.trio
async def test_garbage_is_told_and_counted_as_hostile(autojump_clock: Any) -> None:
    left, right = pair()
    right.arrive(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
    with pytest.raises(HandshakeFailed) as refusal:
        await accept(right, machine(initiator=False), 5.0, welcome)
    assert refusal.value.hostile
    assert CODEC.encode(Goodbye("protocol_error", str(refusal.value))) in right.writes
    del left


@pytest.mark.trio
async def test_another_major_version_is_told_with_both_numbers(autojump_clock: Any) -> None:
    left, right = pair()
    other = msgspec.structs.replace(hello(), major=2)
    right.arrive(CODEC.encode(other))
    with pytest.raises(HandshakeFailed, match=r"major version 2.*speaks 1"):
        await accept(right, machine(initiator=False), 5.0, welcome)
    assert b"version" in right.writes[-1]
    del left


@pytest.mark.trio
async def test_an_end_without_a_word_is_said() -> None:
    left, right = pair()
    right.abort()
    with pytest.raises(HandshakeFailed, match="ended the connection without a word"):
        await accept(left, machine(initiator=False), 5.0, welcome)
