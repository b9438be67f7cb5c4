"""A client's peers: its own channels, and what its gateways tell of them and of others."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any, cast

import pytest

from aiplat.control.messages import PeerStatus
from aiplat.domain.ids import PeerId
from aiplat.protocol.messages import Hello
from aiplat.roles.hearsay import Heard
from aiplat.roles.told import ToldPeer
from aiplat.runtime.peers import Peers
from tests.support.fake_channel import FakeChannel


def channel(peer: str, *roles: str) -> Any:
    made: Any = FakeChannel(peer, *roles)
    made.hello, made.opened = Hello(roles=made.roles, agent="aiplat/1"), 0.0
    return made


def told(peer: str, *models: str, **more: Any) -> tuple[PeerId, Heard]:
    figures = {"slots": 4, "running": 1, "waiting": 2, "tokens_per_second": 9.0} if models else {}
    row = ToldPeer(
        peer_id=PeerId(peer), roles=("processor",), models=models, version="2",
        since_seconds=7.0, **(figures | more),
    )  # fmt: skip
    return PeerId(peer), Heard(row, PeerId("g"))


def peers(*heard: tuple[PeerId, Heard], wanted: tuple[Any, ...] = (), blocked: str = "") -> Peers:
    """The client `me`, with channels to the gateway `g` and the processor `p`."""

    async def listen() -> dict[PeerId, Heard]:
        return dict(heard)

    channels = {c.peer: c for c in (channel("g", "gateway"), channel("p", "processor"))}
    node = SimpleNamespace(
        peer_id="me", channels=channels, wanted=list(wanted),
        membership=SimpleNamespace(blocked=frozenset({blocked} - {""}), record="lab"),
    )  # fmt: skip
    hearsay = SimpleNamespace(listen=listen, known=dict(heard))
    return Peers(cast(Any, node), None, None, lambda: 10.0, cast(Any, hearsay))


async def seen(*heard: tuple[PeerId, Heard], **more: Any) -> dict[str, PeerStatus]:
    found = await peers(*heard, **more).seen()
    assert len({peer.peer_id for peer in found}) == len(found), "each once"
    return {peer.peer_id: peer for peer in found}


@pytest.mark.trio
async def test_a_processor_has_its_models_and_slots_from_the_gateway() -> None:
    found = await seen(told("p", "tiny"))
    p = found["p"]
    assert (p.models, p.slots, p.running, p.waiting, p.tokens_per_second, p.seen_by) == (
        ("tiny",), 4, 1, 2, 9.0, "g",
    )  # fmt: skip
    assert (p.path, p.version, p.since_seconds) == ("direct", "1", 10.0), "and the rest itself"
    assert (found["g"].seen_by, list(found)) == ("", ["g", "p"])


@pytest.mark.trio
async def test_whom_only_a_gateway_sees_comes_last_and_has_no_address() -> None:
    found = await seen(told("far", "tiny"), told("me"))
    assert list(found) == ["g", "p", "far"], "never itself"
    far = found["far"]
    assert (far.seen_by, far.models, far.slots, far.state) == ("g", ("tiny",), 4, "connected")
    assert (far.address, far.path, far.latency_ms) == ("", "", None)
    assert (far.roles, far.version, far.since_seconds) == (("processor",), "2", 7.0)
    assert peers(told("far")).heard_of() == ("far",)


@pytest.mark.trio
async def test_one_that_drains_is_said_to_wherever_it_is_known_from() -> None:
    found = await seen(told("p", "tiny", draining=True), told("far", "tiny", draining=True))
    assert {found[name].state for name in ("p", "far")} == {"draining"}
    assert found["far"].note == "draining"


@pytest.mark.trio
async def test_a_peer_that_said_so_drains_whatever_the_roles_here_are() -> None:
    alone = peers()
    cast(Any, alone.node.channels[PeerId("g")]).draining = True
    found = {peer.peer_id: peer for peer in await alone.seen()}
    assert (found["g"].state, found["p"].state) == ("draining", "connected")


@pytest.mark.trio
async def test_who_is_shut_out_or_not_reached_from_here_stays_that() -> None:
    new = SimpleNamespace(peer_id="new", address="/a", note="refused", away_seconds=1.0)
    heard = (told("shut", "tiny"), told("new", "tiny"))
    found = await seen(*heard, wanted=(new,), blocked="shut")
    assert (found["shut"].state, found["shut"].models) == ("blocked", ())
    assert (found["new"].state, found["new"].note, found["new"].models) == (
        "connecting", "refused", ("tiny",),
    )  # fmt: skip
    new.away_seconds = 90.0  # it gave up on it: then the gateway's word is all there is
    found = await seen(*heard, wanted=(new,), blocked="shut")
    assert (found["new"].state, found["new"].path, found["new"].seen_by) == ("connected", "", "g")


@pytest.mark.trio
async def test_who_asks_no_gateways_shows_its_own() -> None:
    alone = peers()
    alone.hearsay = None
    assert [peer.peer_id for peer in await alone.seen()] == ["g", "p"]
    assert alone.heard_of() == ()
