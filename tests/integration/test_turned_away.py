"""Real nodes that are turned away: they keep why, and can tell a person."""

from __future__ import annotations

from pathlib import Path

import pytest

from aiplat.domain.errors import NoPeer
from aiplat.node.membership.membership import Membership
from tests.integration.test_membership import ON_LOOPBACK, a_member, the_owner
from tests.support.networks import Lab
from tests.unit.node.nodes import Peer, running, until

pytestmark = pytest.mark.trio


async def test_who_was_away_when_it_was_revoked_keeps_the_proof_of_who_turns_it_away(
    tmp_path: Path,
) -> None:
    lab = Lab(tmp_path)
    owner, gone = the_owner(lab), a_member(lab, "processor")
    lab.owner.revoke(gone.node.peer_id)
    assert gone.node.membership.revocations is None
    async with running(owner, gone):
        with pytest.raises(NoPeer, match="was revoked from the network lab"):
            await gone.node.reach(owner.address)
        assert "was revoked" in gone.node.turned_away[owner.node.peer_id]
    kept = Membership(gone.node.membership.files, gone.node.peer_id)
    assert kept.is_revoked


async def test_a_made_up_list_in_a_refusal_changes_nothing(tmp_path: Path) -> None:
    lab, other = Lab(tmp_path), Lab(tmp_path / "other")
    member = a_member(lab, "processor")
    other.owner.revoke(other.member("client")[0].peer_id)
    for forged in (b"", b"no list", other.record.revocations):
        member.node.members.turned_away(forged)
        assert member.node.membership.revocations is None


async def test_who_is_blocked_can_say_by_whom_until_it_is_let_in(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    gateway, processor = a_member(lab, "gateway"), a_member(lab, "processor")
    async with running(gateway, processor):
        gateway.node.block(processor.node.peer_id)
        with pytest.raises(NoPeer):
            await processor.node.reach(gateway.address)
        assert "blocks the peer" in processor.node.turned_away[gateway.node.peer_id]
        gateway.node.unblock(processor.node.peer_id)
        await processor.node.reach(gateway.address)
        assert not processor.node.turned_away


async def test_who_is_blocked_hears_it_at_once_and_is_not_dialed(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    gateway, processor = a_member(lab, "gateway"), a_member(lab, "processor")
    async with running(gateway, processor):
        gateway.node.keep(processor.address)
        await until(lambda: gateway.node.channels and processor.node.channels)
        gateway.node.block(processor.node.peer_id)
        await until(lambda: processor.node.turned_away)
        opened = len(processor.handlers)
        with pytest.raises(NoPeer, match="This node blocks the peer"):
            await gateway.node.reach(processor.address)
        assert gateway.node.wanted == []
        assert (len(processor.handlers), len(processor.node.turned_away)) == (opened, 1)
        gateway.node.unblock(processor.node.peer_id)
        await until(lambda: gateway.node.channels)
        assert not processor.node.turned_away


async def test_of_two_nodes_with_one_identity_the_older_hears_that_there_is_another(
    tmp_path: Path,
) -> None:
    lab = Lab(tmp_path)
    gateway = a_member(lab, "gateway")
    identity, membership = lab.member("processor")
    first, second = (
        Peer(
            ON_LOOPBACK, identity=identity, membership=membership, roles=("processor",),
            incarnation=life,
        )
        for life in (1, 2)
    )  # fmt: skip
    async with running(gateway, first, second):
        channel = await first.node.reach(gateway.address)
        await second.node.reach(gateway.address)
        await until(lambda: channel.is_ended)
        with pytest.raises(NoPeer, match="Another node with the same identity"):
            await first.node.reach(gateway.address)
        assert "same identity" in first.node.turned_away[gateway.node.peer_id]
        assert not second.node.turned_away
