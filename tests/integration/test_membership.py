"""Real nodes in a private network: who gets in, who is put out, and how the others learn of it."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
import trio
from msgspec.structs import replace

from aiplat.domain.errors import AiplatError, InvalidRequest, NoPeer, NotAMember, NotReady
from aiplat.domain.ids import PeerId, Role
from aiplat.node.identity import Identity
from aiplat.node.membership.files import Record
from aiplat.node.membership.joining import join
from aiplat.node.membership.membership import Membership
from aiplat.node.membership.owner import CERTIFICATE_SECONDS
from aiplat.node.settings import NodeSettings
from aiplat.protocol.messages import Call
from aiplat.protocol.token import Token, decode
from aiplat.telemetry.metrics import Metrics
from tests.support.networks import Lab, peer_id
from tests.unit.node.helpers import Sink, submission
from tests.unit.node.nodes import Peer, running, until

ON_LOOPBACK = NodeSettings(
    listen=("/ip4/127.0.0.1/tcp/0",), reconnect_max_seconds=0.5, finding_seconds=0.2,
    certificates_seconds=0.05,
)  # fmt: skip


def the_owner(lab: Lab, *roles: Role) -> Peer:
    return Peer(
        ON_LOOPBACK, identity=lab.identity, membership=lab.membership, roles=roles or ("gateway",)
    )


def a_member(lab: Lab, *roles: Role) -> Peer:
    identity, membership = lab.member(*roles)
    return Peer(ON_LOOPBACK, identity=identity, membership=membership, roles=roles)


async def joins(token: Token, identity: Identity | None = None) -> Membership:
    identity = identity or Identity.generate()
    record = await join(identity, ON_LOOPBACK, token, Metrics())
    membership = Membership(None, identity.peer_id)
    membership.take(record)
    return membership


async def refused(token: Token) -> str:
    with pytest.raises(AiplatError) as caught:
        await joins(token)
    assert isinstance(caught.value, NotAMember | NoPeer)
    return str(caught.value)


@pytest.mark.trio
async def test_a_newcomer_joins_with_a_token_and_is_what_it_says(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    owner = the_owner(lab)
    async with running(owner):
        identity = Identity.generate()
        membership = await joins(decode(lab.token("processor", at=owner.address)), identity)
        assert membership.own is not None
        assert membership.own.roles == ("processor",)
        new = Peer(ON_LOOPBACK, identity=identity, membership=membership, roles=("processor",))
        membership.clock = lab.clock
        async with running(new):
            channel = await new.node.reach(owner.address)
            assert channel.roles == ("gateway",)
            await until(lambda: owner.handlers)
            assert owner.handlers[0][0].roles == ("processor",)


@pytest.mark.trio
async def test_each_way_not_to_get_in_has_its_own_words(tmp_path: Path) -> None:
    lab, other = Lab(tmp_path / "a"), Lab(tmp_path / "b")
    owner = the_owner(lab)
    async with running(owner):
        token = decode(lab.token(at=owner.address))
        assert "does not have the pre-shared key" in await refused(replace(token, psk="ab" * 32))
        assert "public network" in await refused(replace(token, psk=""))
        foreign = decode(other.token(at=owner.address))
        assert "not one of the network lab" in await refused(
            replace(foreign, psk=lab.record.psk, name="b")
        )
        moved = f"/ip4/127.0.0.1/tcp/{owner.port}/p2p/{other.identity.peer_id}"
        said = await refused(replace(token, addresses=(moved,)))
        assert "not the owner's of the network lab" in said
        await joins(token)
        assert "used already" in await refused(token)
        late = decode(lab.token(at=owner.address, seconds=60))
        lab.clock.now += 600
        assert "expired 9 minutes ago" in await refused(late)
        assert "Nothing listens" in await refused(
            replace(token, addresses=(f"/ip4/127.0.0.1/tcp/1/p2p/{lab.identity.peer_id}",))
        )
    assert "names no address" in await refused(replace(token, addresses=()))


@pytest.mark.trio
async def test_a_relays_address_in_a_token_is_not_asked(tmp_path: Path) -> None:
    """A relay is for members: the owner's own addresses behind it may still work."""
    lab = Lab(tmp_path)
    owner = the_owner(lab)
    relay = f"/ip4/127.0.0.1/tcp/1/p2p/{peer_id()}/p2p-circuit/p2p/{lab.identity.peer_id}"
    async with running(owner):
        token = decode(lab.token(at=owner.address))
        said = await refused(replace(token, addresses=(relay,)))
        assert "was behind a NAT when the token was made" in said
        membership = await joins(replace(token, addresses=(relay, owner.address)))
        assert membership.record is not None
        assert relay in membership.record.addresses, "as a member it can use it"


@pytest.mark.trio
async def test_only_the_owners_node_lets_in(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    member = a_member(lab, "gateway")
    async with running(member):
        said = await refused(decode(lab.token(at=member.address)))
    assert "only the owner's node can let others in" in said


@pytest.mark.trio
async def test_without_the_key_or_the_certificate_nobody_gets_a_channel(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    owner = the_owner(lab)
    outside = Peer(ON_LOOPBACK, roles=("processor",))
    stolen = Membership(None, clock=lab.clock)
    stolen.take(replace(lab.record, certificate=b""))
    thief = Peer(ON_LOOPBACK, membership=stolen, roles=("processor",))
    async with running(owner, outside, thief):
        with pytest.raises(NoPeer):
            await outside.node.reach(owner.address)
        with pytest.raises(NoPeer, match="shows no certificate"):
            await thief.node.reach(owner.address)
        assert not owner.handlers


@pytest.mark.trio
async def test_an_uncertified_gateway_is_refused_by_who_dials_it(tmp_path: Path) -> None:
    """A client sends it nothing: there is no channel."""
    lab = Lab(tmp_path)
    pretender_is, pretends = lab.member("client")
    pretender = Peer(ON_LOOPBACK, identity=pretender_is, membership=pretends, roles=("gateway",))
    client = a_member(lab, "client")
    async with running(pretender, client):
        with pytest.raises(NoPeer, match="wants to be gateway"):
            await client.node.reach(pretender.address)
        assert not client.handlers


@pytest.mark.trio
async def test_in_a_public_network_a_stranger_is_a_client(tmp_path: Path) -> None:
    lab = Lab(tmp_path, public=True)
    owner = the_owner(lab)
    somebody, pretender = (Membership(None, clock=lab.clock) for _ in range(2))
    for membership in (somebody, pretender):
        membership.take(replace(lab.record, certificate=b""))
    client = Peer(ON_LOOPBACK, membership=somebody, roles=("client",))
    processor = Peer(ON_LOOPBACK, membership=pretender, roles=("processor",))
    async with running(owner, client, processor):
        assert (await client.node.reach(owner.address)).roles == ("gateway",)
        with pytest.raises(NoPeer, match="takes only members"):
            await processor.node.reach(owner.address)


@pytest.mark.trio
async def test_a_revocation_reaches_members_that_the_owner_does_not_know_of(
    tmp_path: Path,
) -> None:
    """owner → gateway → processor: the list travels from one to the next."""
    lab = Lab(tmp_path)
    owner, gateway = the_owner(lab, "client"), a_member(lab, "gateway")
    bad, good = a_member(lab, "processor"), a_member(lab, "processor")
    async with running(owner, gateway, bad, good):
        for peer in (owner, bad, good):
            await peer.node.reach(gateway.address)
        await until(lambda: len(gateway.node.channels) == 3)
        lab.owner.revoke(bad.node.peer_id)
        owner.node.members.enforce()
        await until(lambda: bad.node.peer_id not in gateway.node.channels)
        await until(lambda: bad.node.peer_id in good.node.membership.revoked)
        await until(lambda: not bad.node.channels)
        with pytest.raises(NoPeer, match="was revoked"):
            await bad.node.reach(gateway.address)
        kept = Membership(gateway.node.membership.files)
        assert bad.node.peer_id in kept.revoked, "it is on the gateway's disk"


@pytest.mark.trio
async def test_a_list_that_was_missed_is_told_with_the_next_channel(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    owner, gateway, bad = the_owner(lab), a_member(lab, "gateway"), a_member(lab, "processor")
    async with running(owner, gateway, bad):
        lab.owner.revoke(bad.node.peer_id)  # while nobody was connected
        await bad.node.reach(gateway.address)  # it does not know yet
        await gateway.node.reach(owner.address)
        await until(lambda: bad.node.peer_id not in gateway.node.channels)


@pytest.mark.trio
async def test_a_forged_list_costs_its_sender_the_channel_and_changes_nothing(
    tmp_path: Path,
) -> None:
    from aiplat.protocol.messages import Revocations

    lab, other = Lab(tmp_path / "a"), Lab(tmp_path / "b")
    gateway, liar = a_member(lab, "gateway"), a_member(lab, "processor")
    victim, _ = other.member("client")
    other.owner.revoke(victim.peer_id)
    async with running(gateway, liar):
        channel = await liar.node.reach(gateway.address)
        channel.say(Revocations(other.record.revocations))
        await until(lambda: channel.is_ended)
        assert not gateway.node.membership.revoked


@pytest.mark.trio
async def test_a_certificate_is_renewed_through_a_member_and_the_owner_may_be_away(
    tmp_path: Path,
) -> None:
    lab = Lab(tmp_path)
    owner, gateway, processor = (
        the_owner(lab, "client"), a_member(lab, "gateway"), a_member(lab, "processor"),
    )  # fmt: skip
    own = processor.node.membership.own
    assert own is not None
    lab.clock.now += CERTIFICATE_SECONDS * 0.6
    async with running(gateway, processor):
        await processor.node.reach(gateway.address)
        assert not await processor.node.members.renew(), "nobody there can"
        assert processor.node.membership.own == own, "and it is a member still"
        async with running(owner):
            await owner.node.reach(gateway.address)
            await until(lambda: owner.node.peer_id in gateway.node.channels)
            assert await processor.node.members.renew()
    new = processor.node.membership.own
    assert new.expires > own.expires
    assert new.roles == own.roles
    assert Membership(processor.node.membership.files).own == new, "it is on disk"


@pytest.mark.trio
async def test_a_channel_ends_with_its_certificate_and_who_renewed_keeps_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    owner, early, late = the_owner(lab), a_member(lab, "client"), a_member(lab, "client")
    async with running(owner, early, late):
        kept = await early.node.reach(owner.address)
        lost = await late.node.reach(owner.address)
        there = await until(lambda: owner.node.channels.get(early.node.peer_id))
        asked = Sink()
        kept.submit(submission(), asked)
        lab.clock.now += CERTIFICATE_SECONDS * 0.6
        assert await owner.node.members.renew()
        assert await early.node.members.renew()
        await until(lambda: there.hello.certificate == early.node.membership.certificate)
        await until(lambda: kept.hello.certificate == owner.node.membership.certificate)
        lab.clock.now += CERTIFICATE_SECONDS * 0.5
        with trio.fail_after(60):
            assert "ended 3.0 days ago" in await lost.wait_ended()
        assert not kept.is_ended
        assert not there.is_ended
        assert asked.end is None, "its request is under way still"
        assert owner.count("aiplat_bound_hits_total", bound="certificate_end") >= 1


@pytest.mark.trio
async def test_what_a_peer_shows_as_its_new_certificate_must_hold(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    owner, member, other = the_owner(lab), a_member(lab, "client"), a_member(lab, "processor")
    async with running(owner, member):
        channel = await member.node.reach(owner.address)
        there = await until(lambda: owner.node.channels.get(member.node.peer_id))
        shown = there.hello.certificate
        others = other.node.membership.certificate
        for body, why in ((others, "of another"), (b"", "0 bytes"), ("text", "does not show")):
            call = Call("network.certificate", msgspec.Raw(msgspec.msgpack.encode(body)))
            reply = await channel.call(call, 60)
            assert reply.failed is not None
            assert why in reply.failed.message
        assert there.hello.certificate == shown


@pytest.mark.trio
async def test_who_was_certified_anew_for_less_is_no_more_than_that(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    owner, gateway, processor = (
        the_owner(lab), a_member(lab, "gateway"), a_member(lab, "processor"),
    )  # fmt: skip
    async with running(owner, gateway, processor):
        await gateway.node.reach(owner.address)
        channel = await processor.node.reach(gateway.address)
        certificate = lab.owner.certify(processor.node.peer_id, ("client",))
        with trio.fail_after(60):
            assert "number 3" in await channel.wait_ended()
        with pytest.raises(NoPeer, match="gave it other roles with number 4"):
            await processor.node.reach(gateway.address)
        membership = processor.node.membership
        processor.scope.cancel()
        assert membership.record is not None
        membership.take(replace(membership.record, certificate=certificate))
        client = Peer(
            ON_LOOPBACK, identity=processor.identity, membership=membership, roles=("client",)
        )
        async with running(client):
            await client.node.reach(gateway.address)
            assert gateway.node.channels[client.node.peer_id].roles == ("client",)


@pytest.mark.trio
async def test_a_peer_whose_certificate_gives_it_more_comes_again_with_it(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    owner, gateway = the_owner(lab), a_member(lab, "gateway")
    identity, membership = lab.member("processor")
    both = Peer(
        ON_LOOPBACK, identity=identity, membership=membership, roles=("client", "processor")
    )
    async with running(owner, gateway, both):
        both.node.keep(gateway.address)
        await until(lambda: gateway.node.channels.get(identity.peer_id))
        record = membership.record
        assert record is not None
        more = lab.owner.certify(identity.peer_id, ("client", "processor"))
        membership.take(replace(record, certificate=more))

        def roles() -> tuple[Role, ...]:
            there = gateway.node.channels.get(identity.peer_id)
            return there.roles if there is not None and not there.is_ended else ()

        await until(lambda: roles() == ("client", "processor"))


def ask_to_renew(peer: PeerId) -> Call:
    return Call("network.renew", msgspec.Raw(msgspec.msgpack.encode(peer)))


@pytest.mark.trio
async def test_a_stranger_renews_nobody_and_a_member_not_before_time(tmp_path: Path) -> None:
    lab = Lab(tmp_path, public=True)
    owner, gateway, processor = (
        the_owner(lab, "gateway"), a_member(lab, "gateway"), a_member(lab, "processor"),
    )  # fmt: skip
    identity = Identity.generate()
    outsider = Membership(None, identity.peer_id, lab.clock)
    outsider.take(Record(name="lab", network=lab.record.network))
    stranger = Peer(ON_LOOPBACK, identity=identity, membership=outsider, roles=("client",))
    peer = processor.node.peer_id
    files = lab.membership.files
    assert files is not None
    before = files.ledger()
    async with running(owner, gateway, stranger):
        there = await gateway.node.reach(owner.address)
        reply = await there.call(ask_to_renew(peer), 60)
        assert reply.failed is None
        same = msgspec.msgpack.decode(reply.body)["certificate"]
        assert same == processor.node.membership.certificate
        assert files.ledger() == before, "nothing is written"
        lab.clock.now += CERTIFICATE_SECONDS * 0.6
        channel = await stranger.node.reach(owner.address)
        for whom, why in ((peer, "Only a member"), (identity.peer_id, "does not know the peer")):
            reply = await channel.call(ask_to_renew(whom), 60)
            assert reply.failed is not None
            assert why in reply.failed.message
        assert files.ledger().members[peer] == before.members[peer]
        assert (await there.call(ask_to_renew(peer), 60)).failed is None
        assert files.ledger().members[peer].expires > before.members[peer].expires


@pytest.mark.trio
async def test_renewals_that_a_peer_asks_for_are_bounded(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    bounded = replace(ON_LOOPBACK, renewals_per_minute=2)
    owner = Peer(bounded, identity=lab.identity, membership=lab.membership, roles=("gateway",))
    processor = a_member(lab, "processor")
    async with running(owner, processor):
        channel = await processor.node.reach(owner.address)
        replies = [await channel.call(ask_to_renew(processor.node.peer_id), 60) for _ in range(3)]
        assert [reply.failed is None for reply in replies] == [True, True, False]
        assert replies[2].failed is not None
        assert "over 2 certificates within a minute" in replies[2].failed.message
        assert owner.count("aiplat_bound_hits_total", bound="renewals_per_minute") == 1


@pytest.mark.trio
async def test_who_is_blocked_is_out_until_let_in_again(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    gateway, processor = a_member(lab, "gateway"), a_member(lab, "processor")
    async with running(gateway, processor):
        channel = await processor.node.reach(gateway.address)
        gateway.node.block(processor.node.peer_id)
        await until(lambda: channel.is_ended)
        with pytest.raises(NoPeer, match="blocks the peer"):
            await processor.node.reach(gateway.address)
        assert Membership(gateway.node.membership.files).blocked == {processor.node.peer_id}
        gateway.node.unblock(processor.node.peer_id)
        await processor.node.reach(gateway.address)


@pytest.mark.trio
async def test_a_node_takes_up_a_network_on_the_same_port(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    identity, later = lab.member("gateway")
    membership = Membership(later.files, identity.peer_id, lab.clock)
    membership.take(None)
    node = Peer(ON_LOOPBACK, identity=identity, membership=membership, roles=("gateway",))
    member = a_member(lab, "processor")
    async with running(node, member):
        address = node.address
        with pytest.raises(NoPeer):
            await member.node.reach(address)
        membership.reload()
        with trio.fail_after(60):
            await node.node.rejoin()
        assert node.address == address
        assert (await member.node.reach(address)).roles == ("gateway",)


@pytest.mark.trio
async def test_who_listens_beyond_loopback_cannot_leave_and_go_on(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    identity, membership = lab.member("gateway")
    everywhere = replace(ON_LOOPBACK, listen=("/ip4/0.0.0.0/tcp/0",))
    node = Peer(everywhere, identity=identity, membership=membership, roles=("gateway",))
    with pytest.raises(InvalidRequest, match=r"/ip4/0.0.0.0/tcp/0 .*aiplat stop"):
        node.node.refuse_to_be_alone()
    for settings in (ON_LOOPBACK, NodeSettings()):
        Peer(settings).node.refuse_to_be_alone()


@pytest.mark.trio
async def test_of_several_that_rejoin_at_once_each_comes_back_when_its_own_holds(
    tmp_path: Path,
) -> None:
    lab = Lab(tmp_path)
    node = the_owner(lab)
    wanted: list[str] = []
    came_back = 0

    def psk() -> str:
        host = node.node._host
        return (host._swarm.psk if host is not None else None) or ""

    async def take(psk_now: str) -> None:
        """Be in a network with that key from now on, and see it taken up, or a later one."""
        nonlocal came_back
        wanted.append(psk_now)
        lab.membership.take(replace(lab.record, psk=psk_now))
        await node.node.rejoin()
        assert psk() in wanted[wanted.index(psk_now) :]
        came_back += 1

    async with running(node):
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                nursery.start_soon(take, "a" * 64)
                while node.node._host is not None:  # until it is on its way: that takes no 5 ms
                    await trio.lowlevel.checkpoint()
                nursery.start_soon(take, "b" * 64)
                nursery.start_soon(take, "c" * 64)
        assert psk() == wanted[-1]
        assert came_back == 3


@pytest.mark.trio
async def test_to_rejoin_has_a_deadline_and_needs_a_node_that_runs(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    node = Peer(
        replace(ON_LOOPBACK, rejoin_seconds=0.3), identity=lab.identity,
        membership=lab.membership, roles=("gateway",),
    )  # fmt: skip
    with trio.fail_after(1):
        await node.node.rejoin()
    async with running(node):
        port = node.port
        host = node.node._host
        assert host is not None
        host._swarm.get_manager().cancel()
        await until(lambda: node.node._host is None)
        taken = await trio.open_tcp_listeners(port, host="127.0.0.1")
        with trio.fail_after(60), pytest.raises(NotReady, match=f"{port} after 0.3 s"):
            await node.node.rejoin()
        await taken[0].aclose()
        await until(lambda: node.node._host)
        await until(lambda: node.node._taken)


@pytest.mark.trio
async def test_members_find_each_others_gateways_and_one_that_moved(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    first, second = a_member(lab, "gateway"), a_member(lab, "gateway")
    processor = a_member(lab, "processor")
    async with running(first, processor):
        async with running(second):
            for node in (second, processor):  # as their tokens would say
                node.node.keep(first.address)
            await until(lambda: second.node.peer_id in processor.node.channels)
            assert not processor.node.finding.searching
        await until(lambda: second.node.peer_id not in processor.node.channels)
        moved = Peer(
            ON_LOOPBACK, identity=second.identity, membership=second.node.membership,
            roles=("gateway",),
        )  # fmt: skip
        async with running(moved):
            moved.node.keep(first.address)
            await until(lambda: moved.node.peer_id in processor.node.channels)


@pytest.mark.trio
async def test_who_starts_first_waits_and_says_for_what(tmp_path: Path) -> None:
    lab = Lab(tmp_path)
    processor = a_member(lab, "processor")
    gateway = a_member(lab, "gateway")
    async with running(processor):
        processor.node.keep(f"/ip4/127.0.0.1/tcp/1/p2p/{gateway.node.peer_id}")
        await until(lambda: "connection refused" in processor.node.finding.searching)
        assert processor.node.finding.searching.startswith(
            "No gateway of the network lab is reached yet: 1 address is tried"
        )
        async with running(gateway):
            await gateway.node.reach(processor.address)
            await until(lambda: not processor.node.finding.searching)


@pytest.mark.trio
async def test_the_dht_finds_a_gateway_that_no_member_tells_of(tmp_path: Path) -> None:
    """The processor knows one other processor only, which knows one gateway."""
    lab = Lab(tmp_path)
    gateway, between, lonely = (
        a_member(lab, "gateway"), a_member(lab, "processor"), a_member(lab, "processor"),
    )  # fmt: skip
    lonely.node.finding._ask_around = _nobody_is_asked  # type: ignore[method-assign]  # in place of its own
    async with running(gateway, between, lonely):
        await between.node.reach(gateway.address)
        await until(lambda: between.node.dht._told.get(gateway.node.peer_id))
        await lonely.node.reach(between.address)
        await until(lambda: gateway.node.peer_id in lonely.node.channels)


async def _nobody_is_asked() -> None:
    await trio.lowlevel.checkpoint()


@pytest.mark.trio
async def test_strangers_crowd_no_member_out_of_a_public_network(tmp_path: Path) -> None:
    lab = Lab(tmp_path, public=True)
    owner = Peer(
        replace(ON_LOOPBACK, max_channels=4, max_channels_per_source=3), identity=lab.identity,
        membership=lab.membership, roles=("gateway",),
    )  # fmt: skip
    strangers = []
    for _ in range(5):
        identity = Identity.generate()
        outside = Membership(None, identity.peer_id, lab.clock)
        outside.take(Record(name="lab", network=lab.record.network))
        strangers.append(
            Peer(ON_LOOPBACK, identity=identity, membership=outside, roles=("client",))
        )
    members = [a_member(lab, "processor") for _ in range(2)]
    async with running(owner, *strangers, *members):
        refusals: list[str] = []

        async def comes(stranger: Peer) -> None:
            try:
                await stranger.node.reach(owner.address)
            except NoPeer as refusal:
                refusals.append(str(refusal))

        async with trio.open_nursery() as nursery:
            for stranger in strangers:  # at once: each is looked at again when it is in
                nursery.start_soon(comes, stranger)
        await until(lambda: len(owner.node.channels) == 3)
        for member in members:
            await member.node.reach(owner.address)
        await until(lambda: len(owner.node.channels) == 4)
        there = set(owner.node.channels)
        assert {member.node.peer_id for member in members} <= there
        assert owner.count("aiplat_bound_hits_total", bound="channels_gave_way") == 1
        assert owner.count("aiplat_bound_hits_total", bound="channels") == 0
