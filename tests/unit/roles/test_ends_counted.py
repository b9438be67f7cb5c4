"""What a request comes to that ends before its first token, and that it is counted come what may.

The rule is `Lease.end`'s: a prompt that a processor has begun with counts where its asker ended it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from aiplat.domain.accounts import Limits
from aiplat.domain.answers import Delta, Failed, Finished
from aiplat.domain.errors import (
    DeadlineExceeded,
    EngineFailed,
    InvalidApiKey,
    ProcessorLost,
    ShuttingDown,
    UserDisabled,
)
from aiplat.domain.usage import Usage
from aiplat.roles import reasons
from tests.unit.roles.test_gateway_accounts import BROKEN, House, asking


@asynccontextmanager
async def watched(house: House) -> AsyncIterator[None]:
    """Its gateway watches the deadlines."""
    async with trio.open_nursery() as nursery:
        await nursery.start(house.gateway.run)
        yield
        nursery.cancel_scope.cancel()


def begun(house: House, **changes: Any) -> Any:
    """A request whose prompt a processor has begun with."""
    processor = house.processor()
    house.asks(**changes)
    return processor.work[-1].starts()


# -- ended by who asked --------------------------------------------------------------------------


async def test_a_cancel_before_the_first_token_counts_the_prompt(tmp_path: Path) -> None:
    """A client that is gone is a cancel too."""
    house = House(tmp_path)
    work = begun(house)
    next(iter(house.gateway.active)).cancel()
    assert work.cancelled
    work.sink.deliver(Finished("cancelled", Usage(3, 0)))
    assert house.tokens() == [(3, 0, "cancelled")]


async def test_a_cancel_before_a_processor_began_counts_nothing(tmp_path: Path) -> None:
    house = House(tmp_path)
    [work] = (house.processor(), house.asks())[0].work
    next(iter(house.gateway.active)).cancel()
    work.sink.deliver(Finished("cancelled", Usage(10**9, 10**9)))
    assert house.tokens() == [(0, 0, "cancelled")]


async def test_the_whole_deadline_counts_the_prompt(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    house = House(tmp_path)
    async with watched(house):
        work = begun(house, deadline_ms=1000)
        await trio.sleep(1.5)
    assert work.cancelled
    assert house.tokens() == [(3, 0, "deadline_exceeded")]


async def test_it_does_so_when_the_processor_is_the_first_to_tell(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    house = House(tmp_path)
    work = begun(house, deadline_ms=1000)
    await trio.sleep(0.9)
    work.sink.deliver(Failed.of(DeadlineExceeded("It was not done within 0.9 s.")))
    assert house.tokens() == [(3, 0, "deadline_exceeded")]


async def test_a_deadline_of_the_processors_own_counts_nothing(tmp_path: Path) -> None:
    """It says so long before the request's: it has some other reason."""
    house = House(tmp_path)
    work = begun(house)
    work.sink.deliver(Failed.of(DeadlineExceeded("I was too slow.")))
    assert house.tokens() == [(0, 0, "deadline_exceeded")]


async def test_a_deadline_before_a_processor_began_counts_nothing(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    house = House(tmp_path)
    async with watched(house):
        house.processor()
        house.asks(deadline_ms=1000)
        await trio.sleep(1.5)
    assert house.tokens() == [(0, 0, "deadline_exceeded")]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (InvalidApiKey("it was revoked"), "invalid_api_key"),
        (UserDisabled("it is disabled"), "user_disabled"),
    ],
)
async def test_who_takes_a_key_back_pays_for_what_was_begun(
    tmp_path: Path, error: Any, outcome: str
) -> None:
    house = House(tmp_path)
    begun(house)
    house.gateway.end_those(lambda lease: True, error)
    assert house.tokens() == [(3, 0, outcome)]


async def test_a_limit_that_the_answer_runs_into_at_once_counts_the_prompt(tmp_path: Path) -> None:
    house = House(tmp_path)
    key = house.key("ann", limits=Limits(tokens_per_minute=20))
    work = begun(house, credential=key, work=asking(5))
    work.sink.deliver(Delta(tuple(range(30)), "x"))
    assert house.tokens() == [(3, 0, "rate_limit_exceeded")]


# -- ended by others -----------------------------------------------------------------------------


@pytest.mark.parametrize("who", ["engine", "first token", "lost", "gateway", "no cancel"])
async def test_what_the_processor_or_the_gateway_ends_counts_nothing(
    tmp_path: Path, autojump_clock: MockClock, who: str
) -> None:
    house = House(tmp_path)
    async with watched(house):
        work = begun(house)
        match who:
            case "engine":
                work.sink.deliver(BROKEN)
            case "lost":
                work.sink.deliver(Failed.of(ProcessorLost("it is gone", recoverable=False)))
            case "gateway":
                house.gateway.fail_all(ShuttingDown("it ends"))
            case "no cancel":
                next(iter(house.gateway.active)).cancel()
                await trio.sleep(house.gateway._settings.cancel_seconds + 1)
            case _:
                await trio.sleep(house.gateway._settings.first_token_seconds + 1)
    [event] = house.counted()
    assert (event.prompt, event.completion) == (0, 0)


async def test_one_that_moved_on_pays_for_one_prompt(
    tmp_path: Path, autojump_clock: MockClock
) -> None:
    """The first processor had begun, and failed; the second has not begun at the deadline."""
    house = House(tmp_path)
    async with watched(house):
        first, second = house.processor("p"), house.processor("q")
        house.asks(deadline_ms=1000)
        failing = first if first.work else second
        failing.work[0].starts().sink.deliver(Failed.of(EngineFailed("it broke")))
        await trio.sleep(1.5)
    assert [len(first.work), len(second.work)] == [1, 1]
    assert house.tokens() == [(0, 0, "deadline_exceeded")]


# -- come what may -------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["reasons", "speed", "sink", "turn", "release", "line"])
async def test_whatever_fails_at_its_end_it_is_counted_and_holds_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    house = House(tmp_path)
    house.home.directory.owner.limit(Limits(concurrent=1))
    work = begun(house)
    for number in range(10):
        work.says("x", number)
    [forwarding] = house.gateway.active

    def breaks(*args: Any, **more: Any) -> Any:
        raise RuntimeError("a fault of ours")

    processor = house.gateway.processors.get(forwarding.processor)
    assert processor is not None
    match what:
        case "reasons":
            monkeypatch.setattr(reasons, "ended", breaks)
        case "speed":
            forwarding.stages.last_token_at += 1
            monkeypatch.setattr(processor, "saw", breaks)
        case "sink":
            monkeypatch.setattr(forwarding._sink, "deliver", breaks)
        case "turn":
            monkeypatch.setattr(type(forwarding._turn), "succeeded", breaks)
        case "release":
            forwarding._release = breaks
        case _:
            monkeypatch.setattr(house.gateway._line, "leave", breaks)
    with pytest.raises(RuntimeError, match="a fault of ours"):
        work.finishes()
    assert house.tokens() == [(3, 10, "stop")]
    assert house.home.accounts.meter.live() == []
    assert not house.gateway.active
    monkeypatch.undo()
    house.asks()  # its place is free again
