"""Each role takes from a peer only what the roles allow that it was granted."""

from __future__ import annotations

from typing import Any

import pytest

from aiplat.domain.errors import NoPeer, PermissionDenied
from aiplat.domain.ids import PeerId
from aiplat.protocol.messages import Announce
from aiplat.roles.client import Client
from aiplat.roles.dispatch import Dispatch
from aiplat.roles.gateway import Gateway
from aiplat.roles.processor import Processor
from aiplat.roles.settings import ClientSettings, GatewaySettings
from aiplat.telemetry.metrics import Metrics
from tests.support.dialogue import submission
from tests.support.fake_channel import FakeChannel, FakeIncoming, FakeNode
from tests.support.scripted import FakeEngine, ScriptedProcessor, offer


def a_gateway() -> Gateway:
    return Gateway(PeerId("us"), GatewaySettings(), Metrics())


def hearing(*roles: str) -> tuple[Any, FakeEngine, FakeChannel]:
    """What a node of all roles hears of a peer that was granted these."""
    engine, gateway, channel = FakeEngine(), a_gateway(), FakeChannel("asker", *roles)
    gateway.add_processor(PeerId("us"), ScriptedProcessor())
    gateway.processor_announced(PeerId("us"), Announce(revision=1, models=(offer("tiny"),)))
    processor = Processor(PeerId("us"), [engine])  # type: ignore[list-item]  # a fake
    found: Any = Dispatch({"gateway": gateway, "processor": processor})
    return found.on_channel(channel), engine, channel


@pytest.mark.trio
@pytest.mark.parametrize(
    ("granted", "to", "taken"),
    [
        (("gateway",), "processor", True),
        (("client", "gateway"), "processor", True),
        (("client",), "processor", False),
        (("processor",), "processor", False),
        (("client",), "gateway", True),
        (("gateway",), "gateway", True),
        (("processor",), "gateway", False),
    ],
)
async def test_who_may_ask_whom(granted: tuple[str, ...], to: str, taken: bool) -> None:
    hears, engine, _ = hearing(*granted)
    incoming = FakeIncoming(submission(to=to, model="tiny"), *granted)
    if taken:
        hears.submitted(incoming)
        assert incoming.asking is not None
        assert len(engine.work) == (to == "processor")
        return
    with pytest.raises(PermissionDenied, match=rf"A {to} takes.*is here as {granted[0]}"):
        hears.submitted(incoming)
    assert incoming.asking is None
    assert not engine.work, "no engine saw the prompt"


@pytest.mark.trio
async def test_what_a_peer_claims_is_not_what_counts() -> None:
    """Its Hello says gateway, its certificate says client: it is told no models and asks none."""
    hears, engine, channel = hearing("client")
    channel.hello = FakeChannel("asker", "gateway").hello
    assert not channel.said, "announcements are for gateways"
    with pytest.raises(PermissionDenied):
        hears.submitted(FakeIncoming(submission(to="processor", model="tiny"), *channel.roles))
    assert not engine.work


@pytest.mark.trio
@pytest.mark.parametrize("granted", ["client", "gateway"])
async def test_what_one_that_is_no_processor_announces_is_dropped(granted: str) -> None:
    gateway, channel = a_gateway(), FakeChannel("asker", granted)
    hears: Any = Dispatch({"gateway": gateway}).on_channel(channel)  # type: ignore[arg-type]  # a fake
    hears.announced(Announce(revision=1, models=(offer("stolen"),)))
    assert not gateway.models()
    assert not list(gateway.processors)


@pytest.mark.trio
async def test_a_client_sends_no_prompt_to_one_that_was_not_granted_gateway() -> None:
    client, pretender = Client(ClientSettings(gateway_seconds=0.1)), FakeChannel("p", "client")
    pretender.hello = FakeChannel("p", "client", "gateway").hello
    client.opened(pretender)  # type: ignore[arg-type]  # a fake
    with pytest.raises(NoPeer):
        await client.inference(FakeNode())  # type: ignore[arg-type]  # a fake
    with pytest.raises(NoPeer, match="is no gateway"):
        await client.inference(FakeNode(there=pretender), "there")  # type: ignore[arg-type]  # a fake
    assert not pretender.behind.work
