"""A gateway with accounts: what ends with its key, which peers need none, who takes turns."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aiplat.control.accounts import KeyName, UserName
from aiplat.domain.answers import Failed
from aiplat.domain.errors import (
    InvalidApiKey,
)
from aiplat.domain.ids import PeerId
from aiplat.domain.usage import Usage
from tests.support.dialogue import submission
from tests.support.fake_channel import FakeChannel, FakeIncoming
from tests.unit.roles.test_gateway_accounts import ALICE, BOB, House, ends

# -- while they run --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("what", "code"), [("disable", "user_disabled"), ("revoke", "invalid_api_key")]
)
async def test_what_is_under_way_ends_with_its_key(tmp_path: Path, what: str, code: str) -> None:
    house = House(tmp_path, registration="open")
    processor = house.processor("p", 2)
    async with house.home.running():
        ann = await house.home.register("ann")
        made = await house.home.key("k", ann.token)
        other = await house.home.key("other", ann.token)
        mine = house.asks()
        sinks = [house.asks(credential=made.key) for _ in range(2)]
        rest = house.asks(credential=other.key)
        processor.work[1].starts().says("x", 1, 2)
        if what == "disable":
            await house.home.ask("users.disable", UserName(name="ann"))
        else:
            await house.home.ask("keys.revoke", KeyName(key="k"), ann.token)
        assert [ends(sink).code for sink in sinks] == [code, code]
        assert ends(sinks[0]).usage == Usage(3, 2)
        assert [work.cancelled for work in processor.work[:2]] == [False, True]
        assert mine.events == [], "others go on"
        assert bool(rest.events) == (what == "disable")
        await house.home.written()
        rows = house.home.rows("SELECT completion, outcome FROM events ORDER BY completion")
        assert (2, code) in rows
        assert {outcome for _, outcome in rows} == {code}


# -- over channels ---------------------------------------------------------------------------------


def comes(house: House, channel: FakeChannel, **changes: Any) -> Any:
    incoming = FakeIncoming(submission(model="tiny", **changes), "client")
    incoming.channel = SimpleNamespace(peer=channel.peer, roles=("client",))
    house.gateway.submitted(incoming)  # type: ignore[arg-type]  # a fake
    return incoming


@pytest.mark.parametrize(
    ("in_network", "address", "certified", "let_in"),
    [
        (False, "/ip4/127.0.0.1/tcp/1", False, True), (False, "/ip4/127.9.9.9/tcp/1", False, True),
        (False, "/ip6/::1/tcp/1", False, True), (False, "/ip4/192.0.2.1/tcp/1", False, False),
        (False, "/ip4/192.0.2.1/tcp/1", True, False),
        (False, "/dns4/127.0.0.1.example/tcp/1", False, False),
        (True, "/ip4/192.0.2.1/tcp/1", True, True), (True, "/ip4/127.0.0.1/tcp/1", False, False),
    ],
)  # fmt: skip
async def test_which_peers_need_no_key(
    tmp_path: Path, in_network: bool, address: str, certified: bool, let_in: bool
) -> None:
    house = House(tmp_path, in_network)
    processor = house.processor()
    channel = FakeChannel(ALICE, "client")
    channel.address = f"{address}/p2p/{ALICE}"
    channel.hello = channel.hello.__class__(
        roles=("client",), certificate=b"c" if certified else b""
    )
    house.gateway.opened(channel)  # type: ignore[arg-type]  # a fake
    if let_in:
        comes(house, channel)
        processor.work[0].starts().says("x", 1).finishes()
        [event] = house.counted()
        assert (event.user, event.key) == (f"peer:{ALICE}", "")
    else:
        with pytest.raises(InvalidApiKey, match="answers nobody without an API key"):
            comes(house, channel)
    comes(house, channel, credential=house.key("ann"))
    with pytest.raises(InvalidApiKey, match="answers nobody without"):
        comes(house, FakeChannel("12D3KooWNoChannel", "client"))


# -- turns -----------------------------------------------------------------------------------------


async def order(house: House, asked: list[tuple[PeerId | None, str]]) -> list[int]:
    """In which order requests are placed, where one runs at a time and one follows at once."""
    processor = house.processor("p", 1)
    async with trio.open_nursery() as nursery:
        await nursery.start(house.gateway.run)
        for asker, key in asked:
            house.asks(asker, credential=key)
        for done in range(len(asked)):
            await wait_all_tasks_blocked()
            processor.work[done].starts().finishes()
        nursery.cancel_scope.cancel()
    return [int(work.submission.id.removeprefix("req-")) for work in processor.work]


async def test_turns_are_taken_by_account_wherever_it_asks_from(tmp_path: Path) -> None:
    house = House(tmp_path)
    ann, hers, bob = house.key("ann"), house.key("ann", "other"), house.key("bob")
    asked: list[tuple[PeerId | None, str]] = [
        (ALICE, ann), (BOB, hers), (None, ann), (ALICE, hers), (ALICE, bob), (ALICE, bob),
    ]  # fmt: skip
    assert await order(house, asked) == [1, 2, 5, 3, 6, 4]


async def test_a_peer_without_a_key_is_an_account_of_its_own(tmp_path: Path) -> None:
    house = House(tmp_path)
    ann = house.key("ann")
    asked: list[tuple[PeerId | None, str]] = [*[(ALICE, "")] * 4, (ALICE, ann), (BOB, "")]
    assert await order(house, asked) == [1, 2, 5, 3, 6, 4]


async def test_nobody_fills_the_line_by_many_keys(tmp_path: Path) -> None:
    house = House(tmp_path)
    house.processor("p", 1)
    sinks = [house.asks(credential=house.key("ann", f"k{n}")) for n in range(6)]
    house.asks(credential=house.key("bob"))
    failed = [
        place for place, sink in enumerate(sinks) if sink.events and isinstance(sink.end, Failed)
    ]
    assert failed == [5]


async def test_a_processor_tells_accounts_apart_and_not_keys(tmp_path: Path) -> None:
    house = House(tmp_path)
    processor = house.processor()
    ann, hers, bob = house.key("ann"), house.key("ann", "other"), house.key("bob")
    for asker, key in ((ALICE, ann), (BOB, hers), (ALICE, bob), (ALICE, ""), (None, "")):
        house.asks(asker, credential=key)
    tags = [work.submission.fairness for work in processor.work]
    assert tags[0] == tags[1]
    assert len(set(tags)) == 4
    assert not any("ann" in tag or "u-" in tag for tag in tags)
