"""Who may ask no more while answers stream: they end within a second, and are counted."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

import pytest
import trio

from aiplat.control.accounts import KeyName, KeyRotate, NewKey, UserName
from aiplat.control.messages import Done
from aiplat.domain.answers import Failed, Finished
from tests.support.accounts_home import Row, control
from tests.support.accounts_load import Plan, Told, ask
from tests.support.accounts_reader import Reader, reaching
from tests.support.accounts_world import GATEWAY, World
from tests.support.waiting import eventually
from tests.unit.node.nodes import until

RATE = 80.0
PROMPT = "one two three four"
STAYS = 240
"""Tokens of those who are left alone: 3 s, more than the overlap."""
LONG = 1600
"""Of those who are to be cut off: 20 s, after which a test that fails is over too."""
AT_MOST_SECONDS = 1.0
OVERLAP_SECONDS = 2
USERS = ("disabled", "revoked", "rotated", "deleted", "stays")

Act = Callable[[World, str], float]
"""Takes something away from a user; gives when it held no more (monotonic seconds)."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    with World(tmp_path_factory.mktemp("ending"), USERS, ("p",), {}, rate=RATE) as world:
        yield world


def disable(world: World, name: str) -> float:
    control(world[GATEWAY]).accounts("users.disable", UserName(name=name), Done)
    return time.monotonic()


def delete(world: World, name: str) -> float:
    control(world[GATEWAY]).accounts("users.delete", UserName(name=name), Done)
    return time.monotonic()


def revoke(world: World, name: str) -> float:
    control(world[GATEWAY]).accounts("keys.revoke", KeyName(key="work", user=name), Done)
    return time.monotonic()


def rotate(world: World, name: str) -> float:
    """The old key expires when the overlap is over, to the second."""
    wish = KeyRotate(key="work", user=name, overlap_seconds=OVERLAP_SECONDS)
    made = control(world[GATEWAY]).accounts("keys.rotate", wish, NewKey)
    now, clock = time.time(), time.monotonic()
    return clock + made.status.created + OVERLAP_SECONDS - now


@dataclass
class Audience:
    """Two who read, one at the door and one over a channel."""

    at_door: Future[Told]
    over_channel: Reader

    def told(self) -> tuple[Told, Reader]:
        return self.at_door.result(30), self.over_channel


@pytest.mark.trio
@pytest.mark.parametrize(
    ("name", "act", "code"),
    [
        ("disabled", disable, "user_disabled"),
        ("revoked", revoke, "invalid_api_key"),
        ("rotated", rotate, "invalid_api_key"),
        ("deleted", delete, "user_disabled"),
    ],
    ids=USERS[:4],
)
async def test_what_is_under_way_ends_within_a_second_and_is_counted(
    world: World, name: str, act: Act, code: str
) -> None:
    key, other = world.home.key(name), world.home.key("stays")
    ours = world.home.people[name].id
    with ThreadPoolExecutor(4) as pool:
        async with reaching(world[GATEWAY]) as channel:

            def listen(key: str, tokens: int) -> Audience:
                plan = Plan(GATEWAY, key, PROMPT, tokens, streams=True, leaves_after=None)
                at_door = pool.submit(ask, plan, world[GATEWAY], key)
                return Audience(at_door, Reader().ask(channel, tokens, key=key))

            cut, goes_on = listen(key, LONG), listen(other, STAYS)
            await until(lambda: len(world.home.running()) >= 4)
            await until(lambda: cut.over_channel.tokens and goes_on.over_channel.tokens)
            over = await trio.to_thread.run_sync(act, world, name)
            await until(lambda: cut.over_channel.end, 10)
            ended = time.monotonic()
            assert -AT_MOST_SECONDS < ended - over < AT_MOST_SECONDS
            told, reader = await trio.to_thread.run_sync(cut.told)
            assert told.ended - over < AT_MOST_SECONDS
            assert told.end == code
            assert isinstance(reader.end, Failed)
            assert reader.end.code == code
            again = Reader().ask(channel, 1, key=key)
            await until(lambda: again.end)
            assert isinstance(again.end, Failed)
            await until(lambda: goes_on.over_channel.end)
            stayed, calm = await trio.to_thread.run_sync(goes_on.told)
    assert (stayed.end, stayed.tokens) == ("done", STAYS)
    assert isinstance(calm.end, Finished)
    assert stayed.ended > over, "it was over before"

    def counted() -> dict[str, Row] | None:
        events = world.home.by_request()
        return events if {told.request, reader.request, calm.request} <= events.keys() else None

    events = await trio.to_thread.run_sync(eventually, counted, 10)
    assert events is not None
    for request, tokens in ((told.request, told.tokens), (reader.request, reader.tokens)):
        event = events[request]
        assert (event.user, event.outcome, event.completion) == (ours, code, tokens)
        assert tokens > 0
    assert again.request not in events
