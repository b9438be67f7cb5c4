"""Whom a node stays connected to: what was only heard of is given up, what works is kept."""

from __future__ import annotations

import itertools
import random
from typing import Any

import pytest
import trio

from aiplat.domain.errors import NoPeer
from aiplat.domain.ids import PeerId
from aiplat.node.addresses import Target, parse_target
from aiplat.node.channel import Channel
from aiplat.node.identity import Identity
from aiplat.node.keepers import Keepers
from aiplat.node.known import KnownPeers
from aiplat.node.settings import NodeSettings
from aiplat.telemetry.metrics import Metrics

SETTINGS = NodeSettings(max_known_peers=3, max_addresses_per_peer=2)


def at(peer: int, port: int = 4001) -> str:
    return f"/ip4/127.0.0.1/tcp/{port}/p2p/{Identity(bytes([peer]) * 32).peer_id}"


def target(peer: int, port: int = 4001) -> Target:
    return parse_target(at(peer, port))


class World:
    """Where peers can be reached, and who tries; a fake of `Meeting` and of the table."""

    def __init__(self, settings: NodeSettings = SETTINGS) -> None:
        self.there: set[str] = set()
        self.live: dict[PeerId, FakeLife] = {}
        self.tries: list[tuple[float, str]] = []
        self.metrics = Metrics()
        self.known = KnownPeers(None, settings.max_known_peers)
        self.out: set[PeerId] = set()
        self.keepers = Keepers(
            settings, self.metrics, self.known, self.reach, lambda: self.live, lambda: self.out
        )

    async def reach(self, target: Target) -> Channel:
        life: Any = self.live.get(target.peer)
        if life is None:
            self.tries.append((trio.current_time(), target.text))
            await trio.lowlevel.checkpoint()
            if target.text not in self.there:
                raise NoPeer("Nothing listens there.")
            life = self.live[target.peer] = FakeLife(target.text)
        return life  # type: ignore[no-any-return]  # a fake

    def end(self, address: str) -> None:
        """The peer at this address is gone."""
        self.there.discard(address)
        self.live.pop(parse_target(address).peer).over.set()

    @property
    def addresses(self) -> list[str]:
        return [wanted.address for wanted in self.keepers.wanted]

    def tried(self, address: str) -> list[float]:
        return [when for when, what in self.tries if what == address]

    def hits(self, bound: str) -> float:
        found = self.metrics.registry.get_sample_value("aiplat_bound_hits_total", {"bound": bound})
        return found or 0.0


class FakeLife:
    """A channel."""

    dialed = True

    def __init__(self, address: str) -> None:
        self.address = address
        self.over = trio.Event()

    async def wait_ended(self) -> str:
        await self.over.wait()
        return "it went"


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    return World()


@pytest.mark.trio
async def test_hearsay_is_given_up_and_rests_each_time_for_longer(
    world: World, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    world.keepers.open(nursery)
    began = trio.current_time()
    rounds = []
    for _ in range(8):
        while at(1) not in world.addresses:
            await trio.sleep(5)
            world.keepers.found(target(1))
        rounds.append(trio.current_time() - began)
        while at(1) in world.addresses:
            await trio.sleep(5)
    rests = [after - before for before, after in itertools.pairwise(rounds)]
    tried = SETTINGS.hearsay_seconds
    assert rests[0] == pytest.approx(2 * tried, abs=15)
    assert rests[2] == pytest.approx(5 * tried, abs=15)
    assert rests[-1] == pytest.approx(SETTINGS.hearsay_rest_seconds + tried, abs=15), "no longer"
    assert not world.known.addresses, "it is not kept for next time"


@pytest.mark.trio
async def test_what_works_is_kept_however_it_was_heard_of(
    world: World, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    world.keepers.open(nursery)
    world.there.add(at(1))
    world.keepers.found(target(1))
    await trio.sleep(1)
    assert world.known.addresses == (at(1),)
    world.end(at(1))
    await trio.sleep(3600)
    assert world.addresses == [at(1)], "an hour later it is tried still"
    world.there.add(at(1))
    await trio.sleep(SETTINGS.reconnect_away_seconds + 1)
    assert world.live


@pytest.mark.trio
async def test_the_longer_a_peer_is_away_the_seldomer_it_is_tried(
    world: World, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    world.keepers.open(nursery)
    world.keepers.keep(target(1))
    await trio.sleep(60)
    early = world.tried(at(1))
    assert early[-1] - early[-2] == pytest.approx(SETTINGS.reconnect_max_seconds, abs=0.1)
    await trio.sleep(3600)
    late = world.tried(at(1))
    assert late[-1] - late[-2] == pytest.approx(SETTINGS.reconnect_away_seconds, abs=0.1)


@pytest.mark.trio
async def test_whom_a_person_names_is_not_given_up_though_it_was_heard_of_before(
    world: World, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    world.keepers.open(nursery)
    world.keepers.found(target(1))
    world.keepers.keep(target(1))
    await trio.sleep(2 * SETTINGS.hearsay_seconds)
    assert world.addresses == [at(1)]
    assert world.known.addresses == (at(1),)


@pytest.mark.trio
async def test_all_addresses_of_a_peer_are_tried_at_once_and_the_first_stays(
    world: World, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    world.keepers.open(nursery)
    world.there.add(at(1, 4002))
    world.keepers.keep(target(1, 4001))
    world.keepers.found(target(1, 4002))
    began = trio.current_time()
    await trio.sleep(0.01)
    assert [when - began for when, _ in world.tries] == [0.0, 0.0]
    assert world.addresses == [at(1, 4002)]
    assert world.known.addresses == (at(1, 4002),)


@pytest.mark.trio
async def test_addresses_of_one_peer_are_bounded_and_a_new_one_finds_room(
    world: World, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    world.keepers.open(nursery)
    for port in (4001, 4002, 4003):
        world.keepers.found(target(1, port))
    assert world.addresses == [at(1, 4001), at(1, 4002)], "both are tried just now"
    assert world.hits("addresses_per_peer") == 1
    world.keepers.keep(target(1, 4001))
    world.keepers.keep(target(1, 4002))
    await trio.sleep(SETTINGS.hearsay_seconds + 1)
    world.there.add(at(1, 4003))
    world.keepers.found(target(1, 4003))  # it moved
    await trio.sleep(1)
    assert world.live
    assert world.addresses == [at(1, 4003)]


@pytest.mark.trio
async def test_peers_are_bounded_and_who_was_away_longest_makes_room(
    world: World, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    world.keepers.open(nursery)
    world.there |= {at(2), at(3)}
    for peer in (1, 2, 3):
        world.keepers.keep(target(peer))
        await trio.sleep(1)
    world.keepers.found(target(4))
    assert at(4) not in world.addresses, "hearsay takes nobody's place at once"
    assert world.hits("known_peers") == 1
    world.keepers.keep(target(4))
    assert world.addresses == [at(2), at(3), at(4)]
    world.there.add(at(4))
    await trio.sleep(10)
    world.keepers.keep(target(5))
    assert world.addresses == [at(2), at(3), at(4)], "all of them live"


@pytest.mark.trio
async def test_after_minutes_hearsay_takes_the_place_of_who_is_away(
    world: World, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    world.keepers.open(nursery)
    for peer in (1, 2, 3):
        world.keepers.keep(target(peer))
    await trio.sleep(SETTINGS.hearsay_seconds + 1)
    world.keepers.found(target(4))
    assert at(4) in world.addresses
    assert len(world.addresses) == SETTINGS.max_known_peers


@pytest.mark.trio
async def test_who_forgets_all_wants_and_remembers_nobody(
    world: World, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    world.keepers.open(nursery)
    world.keepers.keep(target(1))
    world.keepers.found(target(2))
    world.known.add(at(3))  # as an earlier life left it
    world.keepers.forget_all()
    assert not world.addresses
    assert not world.known.addresses
    tries = len(world.tries)
    await trio.sleep(60)
    assert len(world.tries) == tries


@pytest.mark.trio
async def test_who_was_revoked_is_given_up_forgotten_and_not_listed(
    world: World, nursery: trio.Nursery, autojump_clock: Any
) -> None:
    world.keepers.open(nursery)
    world.there = {at(1), at(2)}
    for peer in (1, 2):
        world.keepers.keep(target(peer))
    await trio.sleep(1)
    world.out.add(target(1).peer)
    assert world.addresses == [at(2)]
    world.end(at(1))
    await trio.sleep(600)
    assert len(world.tried(at(1))) == 1
    assert world.known.addresses == (at(2),)
    world.keepers.keep(target(1))
    world.keepers.found(target(1, 4002))
    await trio.sleep(600)
    assert world.addresses == [at(2)]
    assert len(world.tries) == 2
