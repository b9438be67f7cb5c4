"""Who knocks: tries to join that never end, and keys that do not fit (docs/guards.md)."""

from __future__ import annotations

import contextlib
import logging
from pathlib import Path

import pytest
import trio
from libp2p.custom_types import TProtocol
from libp2p.host.exceptions import StreamFailure
from libp2p.peer.id import ID
from msgspec.structs import replace

from aiplat.domain.errors import NoPeer, Overloaded
from aiplat.node.identity import Identity
from aiplat.node.membership.joining import PROTOCOL, join
from aiplat.node.settings import NodeSettings
from aiplat.protocol.token import Token, decode
from aiplat.telemetry.metrics import Metrics
from tests.support.networks import Lab
from tests.unit.node.nodes import QUICK, Peer, connect, listening, running, stranger, until

HERE = replace(QUICK, listen=("/ip4/127.0.0.1/tcp/0",), mdns=False)


def owner_of(lab: Lab, settings: NodeSettings = HERE) -> Peer:
    return Peer(settings, identity=lab.identity, membership=lab.membership, roles=("gateway",))


def hits(peer: Peer, bound: str) -> float:
    return peer.count("aiplat_bound_hits_total", bound=bound)


async def knock(token: Token) -> None:
    await join(Identity.generate(), HERE, token, Metrics())


@pytest.mark.trio
async def test_tries_to_join_are_bounded_by_source_and_minute(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    owner = owner_of(lab, replace(HERE, joins_per_minute=3))
    async with running(owner):
        token = decode(lab.token(at=owner.address, uses=10))
        for _ in range(3):
            await knock(token)
        with pytest.raises(Overloaded, match=r"Over 3 tries to join came from 127\.0\.0\.1"):
            await knock(token)
        assert hits(owner, "joins_per_minute") == 1


@pytest.mark.trio
@pytest.mark.parametrize(
    ("bounds", "bound"),
    [({"joins_at_once": 2}, "joins_at_once"), ({"join_seconds": 3.0}, "join_seconds")],
)
async def test_who_comes_to_join_and_says_nothing(
    tmp_path: Path, bounds: dict[str, float], bound: str
) -> None:
    lab = Lab(tmp_path, public=True)
    owner, host = owner_of(lab, replace(HERE, **bounds)), stranger()
    async with running(owner), listening(host):
        await connect(host, owner.address)
        node_id = ID.from_base58(owner.node.peer_id)
        streams = []
        for _ in range(3):
            with contextlib.suppress(StreamFailure):  # it may be turned away at once
                streams.append(await host.new_stream(node_id, [TProtocol(PROTOCOL)]))
        await until(lambda: hits(owner, bound))
        for stream in streams:
            if bound == "join_seconds":
                with trio.fail_after(60), contextlib.suppress(Exception):
                    await stream.read(1)
            await stream.reset()
        await until(lambda: len(owner.node.members._door._places) == 0)
        await knock(decode(lab.token(at=owner.address)))


@pytest.mark.trio
async def test_one_stranger_does_not_close_the_door(tmp_path: Path) -> None:
    """Not even to those that come from the same address, and these are told why they wait."""
    lab = Lab(tmp_path, public=True)
    owner, host = owner_of(lab, replace(HERE, joins_at_once=2)), stranger()
    async with running(owner), listening(host):
        await connect(host, owner.address)
        node_id = ID.from_base58(owner.node.peer_id)
        for _ in range(2):
            await host.new_stream(node_id, [TProtocol(PROTOCOL)])
        door = owner.node.members._door
        await until(lambda: len(door._places) == 2)
        began, token = trio.current_time(), decode(lab.token(at=owner.address))
        for one in door._places._waiting.values():
            one.began = began + 1000  # they came just now
        with pytest.raises(Overloaded, match="as many joins under way as it takes"):
            await knock(token)
        for one in door._places._waiting.values():
            one.began = began - 2  # and have been silent since
        await knock(token)
        assert hits(owner, "joins_at_once") == 2
        assert hits(owner, "joins_per_minute") == 0


@pytest.mark.trio
async def test_silent_tries_count_against_their_source(tmp_path: Path) -> None:
    lab = Lab(tmp_path, public=True)
    owner, host = owner_of(lab, replace(HERE, joins_per_minute=3)), stranger()
    async with running(owner), listening(host):
        await connect(host, owner.address)
        node_id = ID.from_base58(owner.node.peer_id)
        for _ in range(4):
            await host.new_stream(node_id, [TProtocol(PROTOCOL)])
        await until(lambda: hits(owner, "joins_per_minute") == 1)
        with pytest.raises(Overloaded, match="Over 3 tries to join"):
            await knock(decode(lab.token(at=owner.address)))


@pytest.mark.trio
@pytest.mark.parametrize("dialer", ["other key", "no key", "key against none"])
async def test_keys_that_do_not_fit_are_said_on_both_sides(
    tmp_path: Path, dialer: str, caplog: pytest.LogCaptureFixture
) -> None:
    lab, other = Lab(tmp_path / "a"), Lab(tmp_path / "b")
    there = Peer(HERE) if dialer == "key against none" else owner_of(lab)
    here = Peer(HERE) if dialer == "no key" else owner_of(other)
    caplog.set_level(logging.INFO, "aiplat")
    async with running(there, here):
        with trio.fail_after(60), pytest.raises(NoPeer) as caught:
            await here.node.reach(there.address)
        said = str(caught.value)
        if dialer == "no key":
            assert "The nodes of a private network do so" in said
        else:
            assert "does not have the pre-shared key of this node's network" in said
        await until(lambda: hits(there, "handshake") + hits(there, "handshake_seconds") == 1)
        assert "a connection from 127.0.0.1 did not get through" in caplog.text
        why = "it has a pre-shared key" if dialer == "key against none" else "does not have this"
        assert why in caplog.text
        assert not there.node.channels
        with contextlib.suppress(NoPeer):
            await here.node.reach(there.address)
        lines = [r for r in caplog.records if "did not get through" in r.getMessage()]
        assert len(lines) == 1  # one a minute, whatever comes
