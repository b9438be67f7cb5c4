"""mDNS with real multicast on loopback: members find gateways, and others learn nothing."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import trio

from aiplat.domain.ids import Role
from aiplat.node.finding.mdns import MdnsFinder, tag_of
from aiplat.node.identity import Identity
from aiplat.node.membership.membership import Membership
from aiplat.node.settings import NodeSettings
from tests.support.networks import Lab
from tests.unit.node.nodes import until

NO_HOST: Any = None


class Neighbour:
    """A node's mDNS, and what it found."""

    def __init__(
        self, membership: Membership, identity: Identity, port: int, *roles: Role,
        settings: NodeSettings | None = None,
    ) -> None:  # fmt: skip
        self.address = f"/ip4/127.0.0.1/tcp/{port}/p2p/{identity.peer_id}"
        self.found: list[str] = []
        self.finder = MdnsFinder(
            settings or NodeSettings(), membership, roles, lambda: (self.address,),
            self.found.append, ["127.0.0.1"],
        )  # fmt: skip


def member(lab: Lab, port: int, *roles: Role, **more: Any) -> Neighbour:
    identity, membership = lab.member(*roles, keeps=False)
    return Neighbour(membership, identity, port, *roles, **more)


@pytest.mark.trio
async def test_members_find_gateways_and_nobody_else_does(tmp_path: Path) -> None:
    lab, other = Lab(tmp_path / "a"), Lab(tmp_path / "b")
    gateway, processor = member(lab, 4001, "gateway"), member(lab, 4002, "processor")
    foreign = member(other, 4003, "client")
    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            for one in (gateway, processor, foreign):
                nursery.start_soon(one.finder.run, NO_HOST)
            await until(lambda: all(n.finder.is_running for n in (gateway, processor, foreign)))
            await until(lambda: processor.found)
            nursery.cancel_scope.cancel()
    assert processor.found == [gateway.address]
    assert gateway.found == [], "a processor is not dialed"
    assert foreign.found == []


@pytest.mark.trio
async def test_a_gateway_that_moves_is_found_at_its_new_place(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    gateway, client = member(lab, 4001, "gateway"), member(lab, 4002, "client")
    old = gateway.address
    with trio.fail_after(120):
        async with trio.open_nursery() as nursery:
            for one in (gateway, client):
                nursery.start_soon(one.finder.run, NO_HOST)
            await until(lambda: old in client.found)
            gateway.address = old.replace("4001", "4011")
            gateway.finder.moved()
            await until(lambda: gateway.address in client.found)
            nursery.cancel_scope.cancel()


@pytest.mark.trio
async def test_it_can_be_turned_off_and_is_off_in_no_network(tmp_path: Path) -> None:
    off = member(Lab(tmp_path), 4001, "gateway", settings=NodeSettings(mdns=False))
    alone = Neighbour(Membership(), Identity.generate(), 4002, "gateway")
    with trio.fail_after(60):
        await off.finder.run(NO_HOST)
        await alone.finder.run(NO_HOST)


def test_the_lan_learns_a_hash_only() -> None:
    network = bytes(range(32))
    assert len(tag_of(network)) == 16
    assert tag_of(network) not in network.hex()
