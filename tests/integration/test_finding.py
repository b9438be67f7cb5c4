"""Members that find each other: when the entry dies, when they move, when they were split."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import trio
import trio.testing

from aiplat.domain.answers import Failed
from aiplat.domain.errors import NoPeer
from aiplat.node.finding.dht import DhtFinder
from aiplat.node.finding.finder import Finder
from aiplat.node.identity import Identity
from aiplat.node.settings import NodeSettings
from aiplat.roles.dispatch import Dispatch
from aiplat.roles.processor import Processor
from tests.support.dialogue import submission
from tests.support.meshes import CALM, QUICK, Mesh, Walls
from tests.support.networks import Clock
from tests.support.scripted import FakeEngine, Kept
from tests.unit.node.nodes import Peer, until

PROCESSORS = ("p1", "p2", "p3", "p4", "p5")
CLIENTS = ("c1", "c2")
LEAST = QUICK.min_members


@asynccontextmanager
async def mesh_in(folder: Path, settings: NodeSettings = QUICK) -> AsyncIterator[Mesh]:
    with trio.fail_after(1200):
        async with trio.open_nursery() as nursery:
            yield Mesh(folder, nursery, settings)
            nursery.cancel_scope.cancel()


async def everyone_has_neighbours(mesh: Mesh, *names: str) -> None:
    for name in names:
        await until(lambda name=name: len(mesh[name].node.channels) >= LEAST, 180)  # type: ignore[misc]  # bound now


@pytest.mark.slow
@pytest.mark.trio
async def test_the_death_of_the_entry_leaves_the_finding_whole(tmp_path: Path) -> None:
    """Nine nodes, each of which knows one address; then that one is gone for good."""
    async with mesh_in(tmp_path, CALM) as mesh:
        await mesh.add("entry", "gateway")
        await mesh.add("g2", "gateway")
        for name in PROCESSORS:
            await mesh.add(name, "processor")
        for name in CLIENTS:
            await mesh.add(name, "client")
        everyone = (*PROCESSORS, *CLIENTS)
        for name in everyone:
            await mesh.wait_until_sees(name, "entry", "g2")
        await everyone_has_neighbours(mesh, *everyone)

        await mesh.stop("entry")
        del mesh.nodes["entry"]
        await everyone_has_neighbours(mesh, *everyone)
        # One that was away while the only gateway moved knows no address of it that is good.
        await mesh.stop("c1")
        await mesh.stop("g2")
        g2 = await mesh.return_("g2")
        assert all(g2.address not in a for a in (tmp_path / "c1.json").read_text().split('"'))
        await mesh.return_("c1")
        await mesh.wait_until_sees("c1", "g2")
        # A processor that moved is found.
        await mesh.stop("p1")
        await mesh.return_("p1")
        await mesh.wait_until_sees("g2", *PROCESSORS)
        # And one that is new to all but the owner finds its way by any member.
        late = await mesh.add("p6", "processor")
        late.node.keep(mesh["p3"].address)
        await mesh.wait_until_sees("p6", "g2")


@pytest.mark.trio
async def test_a_gateway_that_all_others_dial_finds_back_to_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It dialed the entry alone; that is gone, and the others know its old address."""
    walls = Walls(monkeypatch)
    async with mesh_in(tmp_path) as mesh:
        entry = await mesh.add("entry", "gateway")
        await mesh.add("g", "gateway")
        walls.dials_only[mesh.peer("g")] = {entry.node.peer_id}
        for name in ("p1", "p2"):
            await mesh.add(name, "processor")
            await mesh.wait_until_sees(name, "g")
        heard = mesh["g"].node._known
        # Who cannot be dialed back by g may say relayed addresses besides.
        await until(lambda: len({address.rsplit("/", 1)[1] for address in heard.heard}) == 3)
        await mesh.stop("entry")
        del mesh.nodes["entry"]
        await mesh.stop("g")
        walls.dials_only.clear()
        await mesh.return_("g")
        for name in ("p1", "p2"):
            await mesh.wait_until_sees(name, "g")


@pytest.mark.trio
async def test_a_split_network_goes_on_in_both_parts_and_heals(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    walls = Walls(monkeypatch)
    async with mesh_in(tmp_path, CALM) as mesh:
        await mesh.add("g1", "gateway")
        await mesh.add("g2", "gateway")
        for name in ("p1", "p2"):
            await mesh.add(name, "processor")
        for name in ("c1", "c2"):
            await mesh.add(name, "client")
        halves = ("g1", "p1", "c1"), ("g2", "p2", "c2")
        for name in ("p1", "p2", "c1", "c2"):
            await mesh.wait_until_sees(name, "g1", "g2")
        await walls.split(*([mesh[name] for name in half] for half in halves))
        for here, there in (halves, halves[::-1]):
            for name in here:
                node = mesh[name].node
                apart = {mesh.peer(other) for other in there}
                await until(lambda node=node, apart=apart: not apart & set(node.channels))  # type: ignore[misc]  # bound now
            await mesh.wait_until_sees(here[0], *here[1:])
        # A processor that comes meanwhile is found by its own half alone.
        await mesh.stop("p2")
        await mesh.return_("p2")
        await mesh.wait_until_sees("g2", "p2")
        assert not mesh.sees("g1", "p2")
        for here, there in (halves, halves[::-1]):
            for name in here:
                assert not any(mesh.sees(name, other) for other in there), "no ghost"
        walls.heal()
        took = [
            await mesh.wait_until_sees(name, *(other for other in ("g1", "g2") if other != name))
            for name in ("g1", "g2", "p1", "p2", "c1", "c2")
        ]
        assert sum(took) < 60


async def _nothing(self: Finder | DhtFinder, *_: object) -> None:
    await trio.lowlevel.checkpoint()


@pytest.mark.trio
@pytest.mark.parametrize("way", ["another gateway", "a member", "the DHT"])
async def test_a_gateway_that_moved_is_found_by_who_knows_its_old_address(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, way: str
) -> None:
    walls = Walls(monkeypatch)
    async with mesh_in(tmp_path) as mesh:
        await mesh.add("m", "gateway" if way == "another gateway" else "processor")
        await mesh.add("g", "gateway")
        await mesh.wait_until_sees("g", "m")
        for name, role in (("p", "processor"), ("c", "client")):
            peer = await mesh.add(name, role)  # type: ignore[arg-type]  # a role
            peer.node.keep(mesh["g"].address)
            await mesh.wait_until_sees(name, "g", "m")
        if way == "the DHT":
            monkeypatch.setattr(Finder, "_ask_around", _nothing)
        else:
            monkeypatch.setattr(DhtFinder, "_look", _nothing)
        old = mesh["g"].address
        await mesh.stop("g")
        walls.dials_only[mesh.peer("g")] = {mesh.peer("m")}  # the others have to find it
        moved = await mesh.return_("g")
        assert moved.address != old
        await mesh.wait_until_sees("g", "m")
        for name in ("p", "c"):
            await mesh.wait_until_sees(name, "g")
            channel = mesh[name].node.channels[mesh.peer("g")]
            assert channel.dialed
            await until(lambda: old not in [w.address for w in mesh[name].node.wanted])  # noqa: B023  # called at once


@pytest.mark.slow
@pytest.mark.trio
async def test_a_provider_that_died_is_dialed_ever_more_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The DHT goes on telling of it, and each lookup leads there."""
    walls = Walls(monkeypatch)
    async with mesh_in(tmp_path) as mesh:
        for name, role in (("m", "processor"), ("g", "gateway"), ("p", "processor")):
            await mesh.add(name, role)  # type: ignore[arg-type]  # a role
        await mesh.wait_until_sees("p", "m", "g")
        await until(lambda: mesh["m"].node.dht.lookups > 2)
        dead, address = mesh.peer("g"), mesh["g"].address
        await mesh.stop("g")
        late = await mesh.add("late", "processor", min_members=0, hearsay_seconds=0.5)
        us = late.node.peer_id

        def dials() -> list[float]:
            return [when for when, who, whom in walls.dials if (who, whom) == (us, dead)]

        await until(dials)  # it was told of it
        last, lookups = 0.0, 0

        def is_left_alone() -> bool:
            """Tried each half second, as long as lookups lead there: it was not for 2 s of them."""
            nonlocal last, lookups
            if dials()[-1] != last:
                last, lookups = dials()[-1], late.node.dht.lookups
            is_quiet = trio.current_time() - last > 2.0 and late.node.dht.lookups > lookups + 1
            return is_quiet and dead not in [wanted.peer_id for wanted in late.node.wanted]

        await until(is_left_alone, 240)
        assert dead not in late.node.channels
        assert address not in late.node.known, "nor is it kept for next time"


@pytest.mark.trio
async def test_a_dead_address_delays_neither_the_live_one_nor_the_peer_itself(
    tmp_path: Path,
) -> None:
    """The best of some tries: the machine may be busy."""
    took: dict[str, list[float]] = {"dials": [60.0], "is dialed": [60.0]}
    async with mesh_in(tmp_path) as mesh:
        gateway = await mesh.add("g", "gateway")
        dead = trio.socket.socket()
        await dead.bind(("127.0.0.1", 0))
        dead.listen(64)
        port = dead.getsockname()[1]
        for way in took:
            while min(took[way]) >= 1.5 and len(took[way]) < 8:
                identity = Identity.generate()
                while identity.peer_id > gateway.node.peer_id:
                    identity = Identity.generate()  # its own dial would win over the gateway's
                _, membership = mesh.lab.member("processor", identity=identity)
                one = Peer(QUICK, identity=identity, membership=membership, roles=("processor",))
                await mesh._nursery.start(one.run)
                one.node.keep(gateway.address.replace(str(gateway.port), str(port)))
                await trio.testing.wait_all_tasks_blocked()  # it hangs there now
                began = trio.current_time()
                if way == "dials":
                    one.node.keep(gateway.address)
                else:
                    gateway.node.keep(one.address)
                await until(lambda one=one: one.node.channels)  # type: ignore[misc]  # bound now
                took[way].append(trio.current_time() - began)
                one.scope.cancel()
        dead.close()
    assert min(took["dials"]) < 1.5, took
    assert min(took["is dialed"]) < 1.5, took


@pytest.mark.trio
async def test_clocks_may_differ_by_hours_and_days_are_named(tmp_path: Path) -> None:
    async with mesh_in(tmp_path) as mesh:
        gateway = await mesh.add("g", "gateway")
        for name, hours in (("ahead", 20), ("behind", -20)):
            peer = await mesh.add(name, "processor", clock=Clock(mesh.lab.clock.now + hours * 3600))
            await mesh.wait_until_sees(name, "g")
            assert peer.node.channels[gateway.node.peer_id].roles == ("gateway",)
        for name, days, words in (("far", 40, "ended"), ("old", -40, "begins only in")):
            now = mesh.lab.clock.now + days * 86_400
            peer = await mesh.add(name, "processor", clock=Clock(now))
            with pytest.raises(NoPeer, match=rf"{words}.*days.*by the clock of"):
                await peer.node.reach(gateway.address)
            await until(lambda peer=peer: "by the clock" in peer.node.finding.searching)  # type: ignore[misc]  # bound now


@pytest.mark.trio
async def test_a_client_that_says_it_is_a_gateway_sees_no_prompt_and_gets_none_answered(
    tmp_path: Path,
) -> None:
    async with mesh_in(tmp_path) as mesh:
        processor = await mesh.add("p", "processor")
        engine = FakeEngine()
        role = Processor(processor.node.peer_id, [engine])  # type: ignore[list-item]  # a fake
        processor.on_channel = Dispatch({"processor": role}).on_channel  # type: ignore[method-assign,assignment]  # in place of its own
        processor.node._standing.on_channel = processor.on_channel
        identity, membership = mesh.lab.member("client")
        liar = Peer(QUICK, identity=identity, membership=membership, roles=("client", "gateway"))
        await mesh._nursery.start(liar.run)
        channel = await liar.node.reach(processor.address)
        await until(lambda: liar.node.peer_id in processor.node.channels)
        assert processor.node.channels[liar.node.peer_id].roles == ("client",)
        answer = Kept()
        channel.submit(submission(to="processor", model="tiny"), answer)
        await until(lambda: answer.events)
        assert isinstance(answer.end, Failed)
        assert answer.end.code == "permission_denied"
        assert "is here as client" in answer.end.message
        assert not engine.work


@pytest.mark.trio
async def test_a_node_whose_machine_gets_another_address_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The host and its channels stay; who asks for it is told the new place."""
    async with mesh_in(tmp_path) as mesh:
        gateway = await mesh.add("g", "gateway", listen=("/ip4/0.0.0.0/tcp/0",), mdns=False)
        client = await mesh.add("c", "client")
        await mesh.wait_until_sees("c", "g")
        there = f"/ip4/127.0.0.7/tcp/{gateway.port}/p2p/{gateway.node.peer_id}"
        monkeypatch.setattr("aiplat.node.listening.own_ips", lambda: ["127.0.0.7"])
        await until(lambda: client.node.finding.gateways[gateway.node.peer_id] == (there,))
        assert gateway.node.addresses == (there,)
        assert (await client.node.reach(there)).peer == gateway.node.peer_id


@pytest.mark.trio
async def test_who_leaves_a_network_forgets_where_its_members_were(tmp_path: Path) -> None:
    async with mesh_in(tmp_path) as mesh:
        await mesh.add("g", "gateway")
        processor = await mesh.add("p", "processor")
        await mesh.wait_until_sees("p", "g")
        kept = tmp_path / "p.json"
        await until(lambda: mesh["g"].address in kept.read_text() if kept.exists() else False)
        processor.node.membership.take(None)
        processor.node.forget_all()
        await processor.node.rejoin()
        await until(lambda: "tcp" not in kept.read_text())
        assert not processor.node.known
        assert not processor.node.wanted
        assert not processor.node.channels
