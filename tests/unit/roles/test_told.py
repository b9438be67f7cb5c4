"""What a gateway tells of whom it sees, and what a client makes of that."""

from __future__ import annotations

import math
from collections.abc import Mapping
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
import trio
import trio.testing

from aiplat.domain.answers import Failed
from aiplat.domain.errors import InvalidRequest
from aiplat.domain.ids import PeerId
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.messages import Announce, Call, Hello, Reply
from aiplat.roles import told
from aiplat.roles.gateway import Gateway
from aiplat.roles.hearsay import Hearsay
from aiplat.roles.settings import ClientSettings, GatewaySettings
from aiplat.roles.told import ToldPeer
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_channel import FakeChannel
from tests.support.networks import peer_id
from tests.support.scripted import ScriptedProcessor, offer

G1, G2, P, Q = (peer_id() for _ in range(4))
NOW = 100.0


def channel(peer: str, *roles: str, certificate: bytes = b"", agent: str = "aiplat/1.2") -> Any:
    made: Any = FakeChannel(peer, *roles)
    made.hello = Hello(roles=made.roles, certificate=certificate, agent=agent)
    made.opened = NOW - 5
    return made


def a_gateway(most: int = 200) -> tuple[Gateway, Metrics]:
    metrics = Metrics()
    return Gateway(G1, GatewaySettings(peers_told=most), metrics, now=lambda: NOW), metrics


async def asked(gateway: Gateway, asker: Any) -> list[ToldPeer]:
    reply = await gateway.called(asker, Call(told.METHOD))
    assert reply is not None and reply.failed is None
    return told.decode(reply.body, 1000)[0]


def announce(gateway: Gateway, peer: PeerId, **changes: Any) -> None:
    models = (offer("tiny", slots=3, running=1, waiting=2, tokens_per_second=7.0, **changes),)
    gateway.processor_announced(peer, Announce(revision=1, models=models))


# -- telling -------------------------------------------------------------------------------------


@pytest.mark.trio
async def test_a_gateway_tells_its_processors_with_all_that_they_announced() -> None:
    gateway, _ = a_gateway()
    asker, processor = channel("asker", "client"), channel(P, "processor")
    for one in (asker, processor):
        gateway.opened(one)
    announce(gateway, P)
    assert await asked(gateway, asker) == [
        ToldPeer(
            peer_id=P, roles=("processor",), models=("tiny",), slots=3, running=1, waiting=2,
            tokens_per_second=7.0, version="1.2", since_seconds=5.0,
        )
    ]  # fmt: skip
    gateway.drain_processor(P)
    assert (await asked(gateway, asker))[0].draining
    gateway.ended(processor, "it went")
    assert await asked(gateway, asker) == []


@pytest.mark.trio
async def test_a_channel_that_a_newer_one_replaced_takes_nobody_away() -> None:
    gateway, _ = a_gateway()
    old, new = channel(P, "processor"), channel(P, "processor")
    gateway.opened(old)
    gateway.opened(new)
    gateway.ended(old, "replaced")
    assert [row.peer_id for row in await asked(gateway, channel("asker", "client"))] == [P]


@pytest.mark.trio
async def test_a_gateway_that_runs_models_tells_of_itself() -> None:
    gateway, _ = a_gateway()
    gateway.add_processor(G1, ScriptedProcessor())
    announce(gateway, G1)
    [row] = await asked(gateway, channel("asker", "client"))
    assert (row.peer_id, row.models, row.slots) == (G1, ("tiny",), 3)


@pytest.mark.trio
async def test_who_shows_no_certificate_is_told_of_no_clients() -> None:
    gateway, _ = a_gateway()
    for one in (channel(Q, "client"), channel(P, "processor"), channel(G2, "gateway", "client")):
        gateway.opened(one)
    stranger = await asked(gateway, channel("asker", "client"))
    assert {row.peer_id for row in stranger} == {P, G2}
    member = await asked(gateway, channel("asker", "client", certificate=b"c"))
    assert {row.peer_id for row in member} == {P, G2, Q}


@pytest.mark.trio
async def test_too_many_are_bounded_and_counted_and_clients_are_left_out_first() -> None:
    gateway, metrics = a_gateway(most=2)
    for one in (channel(Q, "client"), channel(P, "processor"), channel(G2, "gateway")):
        gateway.opened(one)
    member = await asked(gateway, channel("asker", "client", certificate=b"c"))
    assert {row.peer_id for row in member} == {P, G2}
    hits = metrics.registry.get_sample_value("aiplat_bound_hits_total", {"bound": "peers_told"})
    assert hits == 1


@pytest.mark.trio
async def test_what_peers_call_themselves_is_cut_before_it_is_passed_on() -> None:
    gateway, _ = a_gateway()
    gateway.opened(channel(P, "processor", agent="aiplat/" + "9" * 500))
    models = tuple(offer(f"{n}\x1b" + "m" * 100) for n in range(50))
    gateway.processor_announced(P, Announce(revision=1, models=models))
    reply = await gateway.called(channel("asker", "client"), Call(told.METHOD))
    assert reply is not None
    [row] = msgspec.msgpack.decode(reply.body, type=tuple[ToldPeer, ...])
    assert len(row.models) == told.MAX_MODELS
    assert all(len(name) <= told.MAX_NAME and name.isprintable() for name in row.models)
    assert len(row.version) == told.MAX_VERSION
    assert (row.slots, len(reply.body) < 4096) == (100, True)


# -- reading -------------------------------------------------------------------------------------


def body(*rows: Mapping[str, object]) -> msgspec.Raw:
    return msgspec.Raw(msgspec.msgpack.encode(rows))


@pytest.mark.parametrize(
    "row",
    [
        {}, {"peer_id": 7}, {"peer_id": "x", "slots": -1}, {"peer_id": "x", "running": 10**9},
        {"peer_id": "x", "since_seconds": math.inf}, {"peer_id": "x", "since_seconds": math.nan},
        {"peer_id": "x", "tokens_per_second": -math.inf},
    ],
    ids=str,
)  # fmt: skip
def test_rows_that_cannot_be_are_not_read(row: dict[str, object]) -> None:
    with pytest.raises(UNREADABLE):
        told.decode(body(row), 10)


def test_what_is_read_is_bounded_and_of_roles_that_are_known() -> None:
    row = {"peer_id": "x", "roles": ["oracle", "processor"], "models": ["m" * 999] * 99, "new": 1}
    rows, left_out = told.decode(body(*[row] * 9), 4)
    assert (len(rows), left_out) == (4, 5)
    assert rows[0].known_roles == ("processor",)
    assert (len(rows[0].models), len(rows[0].models[0])) == (told.MAX_MODELS, told.MAX_NAME)


# -- hearing -------------------------------------------------------------------------------------


class Teller(FakeChannel):
    """A gateway that tells these rows, or fails, or never answers."""

    def __init__(self, peer: str, *rows: ToldPeer, latency: float = 0.0) -> None:
        super().__init__(peer, "gateway", latency=latency)
        self.reply = Reply(body=told.encode(rows, to_member=True, most=100)[0])
        self.calls = 0
        self.is_silent = False

    async def call(self, call: Call, deadline_seconds: float) -> Reply:
        self.calls += 1
        if self.is_silent:
            await trio.sleep(deadline_seconds)
            raise told_nothing()
        await trio.lowlevel.checkpoint()
        return self.reply


def told_nothing() -> Exception:
    from aiplat.domain.errors import DeadlineExceeded

    return DeadlineExceeded("The peer did not answer.")


class Listener:
    """A client with these gateways, on a clock set by hand."""

    def __init__(self, *tellers: Teller) -> None:
        self.now = NOW
        self.gateways: dict[PeerId, Any] = {
            teller.peer: SimpleNamespace(channel=teller) for teller in tellers
        }
        self.metrics = Metrics()
        self.hearsay = Hearsay(
            ClientSettings(peers_heard=3), lambda: self.gateways, self.metrics, lambda: self.now
        )

    async def hears(self) -> dict[str, str]:
        """Who is seen, and by whom."""
        return {peer: heard.by for peer, heard in (await self.hearsay.listen()).items()}


def row(peer: PeerId, *models: str) -> ToldPeer:
    return ToldPeer(peer_id=peer, roles=("processor",), models=models)


@pytest.mark.trio
async def test_each_is_told_of_once_by_the_nearest_gateway_that_knows_what_it_offers() -> None:
    far, near = Teller(G1, row(P, "tiny"), row(Q, "echo"), latency=2), Teller(G2, row(P), row(Q))
    assert await Listener(far, near).hears() == {P: G1, Q: G1}
    near.reply = Reply(body=told.encode([row(Q, "echo")], to_member=True, most=9)[0])
    assert await Listener(far, near).hears() == {P: G1, Q: G2}


@pytest.mark.trio
async def test_what_was_heard_is_kept_for_a_moment(autojump_clock: trio.testing.MockClock) -> None:
    teller = Teller(G1, row(P, "tiny"))
    listener = Listener(teller)
    async with trio.open_nursery() as nursery:
        for _ in range(5):
            nursery.start_soon(listener.hears)
    assert teller.calls == 1
    listener.now += ClientSettings().peers_kept_seconds
    await listener.hears()
    assert teller.calls == 2
    other = Teller(G2, row(Q))
    listener.gateways[G2] = SimpleNamespace(channel=other)
    assert await listener.hears() == {P: G1, Q: G2}, "one that comes is asked at once"


@pytest.mark.trio
async def test_what_one_gateway_tells_has_a_bound_that_is_counted() -> None:
    listener = Listener(Teller(G1, *(row(peer_id()) for _ in range(5))), Teller(G2, row(P)))
    assert len(await listener.hears()) == 4
    count = listener.metrics.registry.get_sample_value
    assert count("aiplat_bound_hits_total", {"bound": "peers_heard"}) == 1


@pytest.mark.trio
async def test_with_a_gateway_goes_what_it_told() -> None:
    listener = Listener(Teller(G1, row(P, "tiny")), Teller(G2, row(Q)))
    assert await listener.hears() == {P: G1, Q: G2}
    del listener.gateways[G1]
    assert await listener.hears() == {Q: G2}
    assert set(listener.hearsay.known) == {Q}


@pytest.mark.trio
async def test_a_gateway_that_is_silent_costs_its_own_rows_and_its_deadline(
    autojump_clock: trio.testing.MockClock,
) -> None:
    silent = Teller(G1, row(P, "tiny"))
    silent.is_silent = True
    began = trio.current_time()
    assert await Listener(silent, Teller(G2, row(Q))).hears() == {Q: G2}
    assert trio.current_time() - began == pytest.approx(ClientSettings().peers_seconds)


@pytest.mark.trio
@pytest.mark.parametrize(
    "reply",
    [
        Reply(failed=Failed.of(InvalidRequest("This node knows no call named that."))),
        Reply(body=msgspec.Raw(b"\xc1")),
        Reply(body=body({"peer_id": "no id"})),
    ],
    ids=["an old one", "garbage", "no peer"],
)
async def test_a_gateway_that_tells_what_cannot_be_read_costs_its_own_rows(reply: Reply) -> None:
    liar = Teller(G1)
    liar.reply = reply
    assert await Listener(liar, Teller(G2, row(Q))).hears() == {Q: G2}
