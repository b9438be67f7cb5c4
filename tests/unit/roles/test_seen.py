"""What each role tells the series of a request, whoever asked and however it ended."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from msgspec.structs import replace
from trio.testing import MockClock

from aiplat.domain.answers import Failed
from aiplat.domain.errors import NoProcessor, ShuttingDown
from aiplat.domain.ids import PeerId
from aiplat.roles.client import Client
from aiplat.roles.figures import tell_series
from aiplat.roles.gateway import Gateway
from aiplat.roles.processor import Processor
from aiplat.roles.settings import ClientSettings, GatewaySettings
from aiplat.series.seen import Came, Seen
from aiplat.telemetry.metrics import Metrics
from tests.support.dialogue import started, submission
from tests.support.fake_channel import FakeChannel, FakeNode
from tests.support.scripted import Kept, offer
from tests.unit.accounts.helpers import GATEWAY
from tests.unit.roles.test_client_and_processor import FakeEngine
from tests.unit.roles.test_gateway_accounts import House as Counting

HERE, CLIENT, ELSEWHERE = PeerId("here"), PeerId("12D3KooWCCCC"), PeerId("12D3KooWGGGG")


class House:
    """A node of all roles, with one engine, and what its series are told."""

    def __init__(self) -> None:
        self.seen: list[Seen] = []
        self.engine = FakeEngine()
        self.engine.now = offer()
        self.came: list[Came] = []
        saw = self.saw
        self.gateway = Gateway(HERE, GatewaySettings(), Metrics(), saw=saw)
        self.processor = Processor(HERE, [self.engine], self.gateway, saw=saw)
        self.gateway.add_processor(HERE, self.processor, own=self.processor)
        self.processor.drain(off=True)  # it announces
        self.client = Client(ClientSettings(), saw=saw)

    def saw(self, told: Seen | Came) -> None:
        if isinstance(told, Came):
            self.came.append(told)
        else:
            self.seen.append(told)

    def asks(self, asker: PeerId | None = None, **changes: Any) -> Any:
        self.gateway.submit(submission(to="gateway", model="tiny", **changes), Kept(), asker)
        return self.engine.work[-1]

    def by_role(self) -> dict[str, Seen]:
        found: dict[str, Seen] = {seen.role: seen for seen in self.seen}
        assert len(found) == len(self.seen), "each role tells it once"
        return found


async def test_ones_own_request_is_seen_by_all_three_roles_with_its_times(
    mock_clock: MockClock,
) -> None:
    house = House()
    work = house.asks()
    work.starts()
    mock_clock.jump(0.5)
    work.says("a", 1, 2)
    mock_clock.jump(1.5)
    work.says("b", 3).finishes()
    found = house.by_role()
    expected = Seen(
        role="gateway", model="tiny", peer=HERE, prompt_tokens=3, completion_tokens=3,
        first_seconds=0.5, total_seconds=2.0,
    )  # fmt: skip
    told = {"gateway": 0, "client": 0, "processor": 3}  # no look of the gateway's was between
    assert found == {role: replace(expected, role=role, told_tokens=n) for role, n in told.items()}


async def test_tokens_are_told_while_they_come_and_none_of_them_twice(
    autojump_clock: MockClock,
) -> None:
    house = House()
    async with trio.open_nursery() as nursery:
        await nursery.start(house.gateway.run)
        work = house.asks()
        work.starts()
        for token in range(8):  # a second and a bit
            work.says("a", token)
            await trio.sleep(0.15)
        work.says("b", 8).finishes()
        nursery.cancel_scope.cancel()
    for role, end in house.by_role().items():
        told = [came.tokens for came in house.came if came.role == role]
        assert len(told) >= 3, "while it is under way, a few times a second"
        assert sum(told) == end.told_tokens <= end.completion_tokens == 9, role
    assert {(came.model, came.peer) for came in house.came} == {("tiny", HERE)}


async def test_a_peers_request_is_its_and_not_this_nodes() -> None:
    house = House()
    house.asks(CLIENT).starts().says("a", 1).finishes()
    found = house.by_role()
    assert set(found) == {"gateway", "processor"}
    assert found["gateway"].peer == HERE, "who answered"
    assert found["processor"].peer == CLIENT, "who asked"


async def test_a_request_by_a_key_is_no_own_one() -> None:
    house = House()
    house.asks(credential="sk-aip-x").starts().finishes()
    assert set(house.by_role()) == {"gateway", "processor"}
    assert house.seen[-1].key == "", "no accounts, no id of a key"


async def test_who_comes_by_a_key_to_the_door_is_no_peer(tmp_path: Path) -> None:
    house, engine, seen = Counting(tmp_path), FakeEngine(), list[Seen | Came]()
    engine.now = offer()
    own = PeerId(GATEWAY)
    processor = Processor(own, [engine], house.gateway, saw=seen.append)
    house.gateway.add_processor(own, processor, own=processor)
    processor.drain(off=True)
    key = house.key("ann")
    for asker in (None, CLIENT):
        house.asks(asker, credential=key)
    assert {(one.peer_id, one.role) for one in processor.sharing.users()} == {
        ("", "client"), (CLIENT, "client"),
    }  # fmt: skip
    for work in engine.work:
        work.starts().says("a", 1).finishes()
    assert [one.peer for one in seen if isinstance(one, Seen)] == ["", CLIENT]


async def test_a_gateway_tells_the_id_of_the_key_that_it_was_let_in_by() -> None:
    house, seen = House(), list[Seen | Came]()
    kept = Kept()
    forwarding = house.gateway.submit(submission(to="gateway", model="tiny"), kept, CLIENT)
    forwarding.lease = SimpleNamespace(key="k123")  # type: ignore[assignment]  # of accounts
    tell_series(seen.append, forwarding, Failed.of(NoProcessor("nobody")), 1.0)
    assert [(one.role, one.key) for one in seen if isinstance(one, Seen)] == [("gateway", "k123")]


async def test_what_fails_is_an_error_with_the_tokens_that_came() -> None:
    house = House()
    work = house.asks(CLIENT)
    work.starts().says("a", 1, 2)
    house.processor.fail_all(ShuttingDown("it ends"))
    found = house.by_role()
    for seen in found.values():
        assert seen.failed
        assert (seen.prompt_tokens, seen.completion_tokens) == (3, 2)
    work.finishes()  # too late
    assert len(house.seen) == 2


async def test_what_others_have_may_be_ended_and_is_seen_to_end_once() -> None:
    house = House()
    work = house.asks(CLIENT)
    work.starts().says("a", 1, 2)
    house.processor.sharing.end_all("taken back")
    work.finishes("cancelled")
    assert [seen.role for seen in house.seen] == ["gateway", "processor"]
    assert house.seen[1].completion_tokens == 2


async def test_one_that_nobody_took_has_no_peer(mock_clock: MockClock) -> None:
    house = House()
    house.processor.drain()
    kept = Kept()
    house.gateway.submit(submission(to="gateway", model="tiny"), kept, CLIENT)
    house.gateway.fail_all(ShuttingDown("it ends"))
    [seen] = house.seen
    assert seen == Seen(
        role="gateway", model="tiny", failed=True, total_seconds=seen.total_seconds
    )  # fmt: skip
    assert isinstance(kept.end, Failed)


async def test_what_another_gateway_has_is_the_clients_wherever_it_was_answered(
    mock_clock: MockClock,
) -> None:
    house, there = House(), FakeChannel(ELSEWHERE, "gateway")
    house.client.opened(there)  # type: ignore[arg-type]  # a fake
    inference = await house.client.inference(FakeNode())  # type: ignore[arg-type]  # a fake
    inference.submit(submission(), Kept())
    [work] = there.behind.work
    work.sink.deliver(replace(started(), processor="12D3KooWPPPP", gateway=ELSEWHERE))
    mock_clock.jump(1.0)
    work.says("a", 1).finishes()
    [seen] = house.seen
    assert seen == Seen(
        role="client", model="tiny", peer="12D3KooWPPPP", prompt_tokens=3, completion_tokens=1,
        first_seconds=1.0, total_seconds=1.0,
    )  # fmt: skip
    inference.submit(submission(model="other"), Kept())
    there.behind.work[-1].sink.deliver(Failed.of(NoProcessor("nobody")))
    assert (house.seen[-1].model, house.seen[-1].peer, house.seen[-1].failed) == ("other", "", True)


async def test_the_log_of_a_gateway_names_the_key_by_its_id_and_never_the_key(
    caplog: pytest.LogCaptureFixture,
) -> None:
    house = House()
    with caplog.at_level(logging.INFO, "aiplat.gateway"):
        house.asks(credential="sk-aip-secret").starts().finishes()
    [record] = [record for record in caplog.records if hasattr(record, "outcome")]
    assert record.key == ""  # type: ignore[attr-defined]  # of `extra`
    assert "sk-aip-secret" not in str(vars(record))


async def test_to_watch_costs_no_task_and_no_wait() -> None:
    house = House()
    before = trio.lowlevel.current_statistics().tasks_living
    house.asks().starts().says("a", 1)
    assert trio.lowlevel.current_statistics().tasks_living == before
