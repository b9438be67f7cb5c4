"""In a public network anyone may have a channel: NAT believes and helps members alone."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio
from msgspec.structs import replace

from aiplat.domain.errors import NoPeer
from aiplat.node.membership.membership import Membership
from aiplat.node.nat.autonat import DIAL_ME
from aiplat.node.nat.reach import DialedBack, DialMe
from aiplat.node.nat.words import STOP, Ask, hear_answer, say
from aiplat.protocol.messages import Call, Reply
from tests.support.networks import Lab
from tests.support.relaying import answer_a_request, through
from tests.unit.node.nodes import QUICK, Peer, running, until

IN_A_NETWORK = replace(QUICK, listen=("/ip4/127.0.0.1/tcp/0",), mdns=False, min_members=0)


def gateway(lab: Lab) -> Peer:
    """The owner's node."""
    return Peer(IN_A_NETWORK, identity=lab.identity, membership=lab.membership, roles=("gateway",))


def processor(lab: Lab) -> Peer:
    identity, membership = lab.member("processor")
    return Peer(IN_A_NETWORK, identity=identity, membership=membership, roles=("processor",))


def client(lab: Lab) -> Peer:
    """One without a certificate."""
    membership = Membership(None, clock=lab.clock)
    membership.take(replace(lab.record, certificate=b""))
    return Peer(IN_A_NETWORK, membership=membership, roles=("client",))


@pytest.mark.trio
async def test_nobody_relays_for_a_stranger_or_to_one(tmp_path: Path) -> None:
    lab = Lab(tmp_path, public=True)
    r, a, b, stranger = gateway(lab), processor(lab), processor(lab), client(lab)
    async with running(r, a, b, stranger):
        await b.node.reach(r.address)
        await stranger.node.reach(r.address)
        with pytest.raises(NoPeer, match="relays only for members"):
            await stranger.node.reach(through(r, b))
        await a.node.reach(r.address)
        with pytest.raises(NoPeer, match="relays only to members"):
            await a.node.reach(through(r, stranger))
        assert r.node.nat.relay.circuits == 0
        await a.node.reach(through(r, b))
        await answer_a_request(a, b)


@pytest.mark.trio
async def test_no_circuit_is_taken_from_a_stranger(tmp_path: Path) -> None:
    lab = Lab(tmp_path, public=True)
    b, stranger = gateway(lab), client(lab)
    async with running(b, stranger):
        await stranger.node.reach(b.address)
        assert stranger.node._host is not None
        pipe = await stranger.node._host.stream(b.node.peer_id, STOP)
        await say(pipe, Ask(lab.identity.peer_id))
        with trio.fail_after(60):
            assert (await hear_answer(pipe))[0].refused == "not_a_member"


@pytest.mark.trio
async def test_a_stranger_does_not_tell_a_node_whether_it_is_reached(tmp_path: Path) -> None:
    lab = Lab(tmp_path, public=True)
    g, member, liar = gateway(lab), processor(lab), client(lab)

    async def lie(*_: object) -> Reply:
        told = DialedBack("198.51.100.1", (), relays=True)
        return Reply(msgspec.Raw(msgspec.msgpack.encode(told)))

    answering: Any = liar.node.nat._dial_back
    answering.answer = lie
    liar.node.nat._members.trusted = lambda channel: True  # type: ignore[method-assign]  # a liar
    async with running(g, member, liar):
        await liar.node.reach(g.address)
        await until(lambda: liar.node.peer_id in g.node.channels)
        await g.node.nat._look()
        assert not g.node.nat._asked
        assert g.node.nat._seen.direct is None
        await member.node.reach(g.address)
        await until(lambda: g.node.nat.reach.state == "direct")


@pytest.mark.trio
async def test_a_stranger_is_not_dialed_back(tmp_path: Path) -> None:
    lab = Lab(tmp_path, public=True)
    g, stranger = gateway(lab), client(lab)
    async with running(g, stranger):
        channel = await stranger.node.reach(g.address)
        ask = Call(DIAL_ME, msgspec.Raw(msgspec.msgpack.encode(DialMe((stranger.port,)))))
        reply = await channel.call(ask, 60.0)
        assert reply.failed is not None
        assert reply.failed.code == "not_a_member"


@pytest.mark.trio
async def test_who_was_revoked_or_shows_anothers_certificate_is_no_member(tmp_path: Path) -> None:
    lab = Lab(tmp_path, public=True)
    g, member = gateway(lab), processor(lab)
    async with running(g, member):
        await member.node.reach(g.address)
        channel = await until(lambda: g.node.channels.get(member.node.peer_id))
        members = g.node.nat._members
        assert members.certified(channel)
        channel.peer = g.node.peer_id
        assert not members.certified(channel)
        channel.peer = member.node.peer_id
        lab.owner.revoke(member.node.peer_id)
        assert not members.certified(channel)
