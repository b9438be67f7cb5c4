"""Pauses between tries: they grow while a peer is away, however slowly each try fails."""

from __future__ import annotations

import random
from typing import Any

import pytest
import trio

from aiplat.domain.errors import NoPeer
from aiplat.node.addresses import Target, parse_target
from aiplat.node.channel import Channel
from aiplat.node.identity import Identity
from aiplat.node.keeping import Keeper
from aiplat.node.settings import NodeSettings

SETTINGS = NodeSettings()
TARGET = parse_target(f"/ip4/127.0.0.1/tcp/1/p2p/{Identity(bytes(31) + b'1').peer_id}")


class Away:
    """A peer that a try takes `seconds` to miss; of a channel, that it lives for so long."""

    def __init__(self, *, misses: float = 0.0, lives: float | None = None) -> None:
        self.tries: list[float] = []
        self.ends: list[float] = []
        self._misses = misses
        self._lives = lives

    async def reach(self, target: Target) -> Channel:
        self.tries.append(trio.current_time())
        await trio.sleep(self._misses)
        if self._lives is None:
            self.ends.append(trio.current_time())
            raise NoPeer("It is away.")
        return self  # type: ignore[return-value]  # a fake

    async def wait_ended(self) -> str:
        assert self._lives is not None
        await trio.sleep(self._lives)
        self.ends.append(trio.current_time())
        return "it went"

    async def pauses(self, monkeypatch: pytest.MonkeyPatch) -> list[float]:
        """The first six, in seconds."""
        monkeypatch.setattr(random, "uniform", lambda low, high: high)
        keeper = Keeper(TARGET, SETTINGS, self.reach, lambda target, channel: None)
        with trio.move_on_after(200):
            await keeper.run()
        return [round(t - e, 3) for t, e in zip(self.tries[1:7], self.ends, strict=False)]


@pytest.mark.trio
@pytest.mark.parametrize("misses", [0.0, SETTINGS.connect_seconds])
async def test_the_pause_grows_also_when_a_try_fails_slowly(
    misses: float, autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses = await Away(misses=misses).pauses(monkeypatch)
    assert pauses == [0.25, 0.5, 1.0, 2.0, 4.0, 5.0]


@pytest.mark.trio
@pytest.mark.parametrize(("lives", "last"), [(0.1, 5.0), (6.0, 0.25)])
async def test_the_pause_starts_anew_after_a_channel_that_lived(
    lives: float, last: float, autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (await Away(misses=8.0, lives=lives).pauses(monkeypatch))[-1] == last


@pytest.mark.trio
async def test_who_turns_it_away_at_once_each_time_is_tried_ever_more_seldom(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As one that is away: after ten minutes the pause is half a minute, not five seconds."""
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    away = Away(lives=0.1)
    keeper = Keeper(TARGET, SETTINGS, away.reach, lambda target, channel: None)
    with trio.move_on_after(700):
        await keeper.run()
    assert away.tries[-1] - away.ends[-2] > 5 * SETTINGS.reconnect_max_seconds


@pytest.mark.trio
async def test_one_that_is_hurried_tries_at_once_and_its_pauses_grow_anew(
    autojump_clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(random, "uniform", lambda low, high: high)
    away = Away()
    keeper = Keeper(TARGET, SETTINGS, away.reach, lambda target, channel: None)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(keeper.run)
        await trio.sleep(300)
        begin = trio.current_time()
        keeper.hurry()
        await trio.sleep(2)
        nursery.cancel_scope.cancel()
    tries = [round(t - begin, 3) for t in away.tries if t >= begin]
    assert tries == [0.0, 0.25, 0.75, 1.75]
