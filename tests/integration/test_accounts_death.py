"""A gateway that is killed while answers stream: what is counted afterwards, and what is not."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
import trio

from aiplat.control.accounts import Nothing, StoreCheck
from tests.support.accounts_home import Row, control
from tests.support.accounts_reader import Reader, reaching
from tests.support.accounts_world import GATEWAY, World
from tests.support.nodes import aiplat
from tests.unit.node.nodes import until

RATE = 25.0
"""Tokens a second of each answer: slow, so that what was lost can be told."""
MOMENTS = 10
"""Of each of two gateways, which live side by side."""
STREAMS = 8
FLUSH_SECONDS = 0.2
SLACK_SECONDS = 0.5
"""For a machine with much else to do; half a second is 12 tokens."""


class Lives:
    """One gateway's lives: asked, killed at a moment of chance, started again, and looked at.

    Arguments:
        folder: for its home and its processor's.
        seed: of the moments.
    """

    def __init__(self, folder: Path, seed: int) -> None:
        self.draw = random.Random(seed)
        self.world = World(folder, ("ann",), ("p",), {}, rate=RATE)
        self.worst = 0.0
        """The longest time before a death (seconds) from which a token was not counted."""
        self.cut_off = 0

    async def run(self) -> None:
        """Live and die `MOMENTS` times."""
        world = self.world
        await trio.to_thread.run_sync(world.__enter__)
        try:
            for _ in range(MOMENTS):
                await self._one()
            world.kill(GATEWAY)
            done = await trio.to_thread.run_sync(aiplat, world.home.path, "db", "check")
            assert done.returncode == 0, done.stdout + done.stderr
        finally:
            world.close()

    async def _one(self) -> None:
        world, draw = self.world, self.draw
        async with reaching(world[GATEWAY]) as channel:
            readers = [self._ask(channel) for _ in range(STREAMS)]
            moment = draw.randint(0, 150)
            await until(lambda: sum(reader.tokens for reader in readers) >= moment)
            at = trio.current_time()
            world.kill(GATEWAY)
            await until(lambda: all(reader.end for reader in readers))
        await trio.to_thread.run_sync(self._look, readers, at)

    def _look(self, readers: list[Reader], at: float) -> None:
        world = self.world
        world.start(GATEWAY)
        check = control(world[GATEWAY]).accounts("db.check", Nothing(), StoreCheck)
        assert check.problems == ()
        assert world.home.running() == {}
        world.home.check_sums()
        self._compare(readers, at)

    def _ask(self, channel: object) -> Reader:
        key = self.draw.choice(("", self.world.home.key("ann")))
        tokens = self.draw.choice((self.draw.randint(1, 20), 1000))
        return Reader().ask(channel, tokens, key=key)  # type: ignore[arg-type]  # it is one

    def _compare(self, readers: list[Reader], at: float) -> None:
        events = self.world.home.by_request()  # nothing twice
        processed = self.world.processed()
        for reader in readers:
            event = events.get(reader.request)
            surely = reader.tokens_before(at - FLUSH_SECONDS - SLACK_SECONDS)
            counted = 0 if event is None else event.completion
            assert counted >= surely, (event, surely, reader.tokens)
            self._note(reader, counted, at)
            if event is not None:
                self._see_that_none_is_invented(reader, event, processed)

    def _note(self, reader: Reader, counted: int, at: float) -> None:
        lost = [when for when, count in reader.seen if count > counted]
        if lost:
            self.worst = max(self.worst, at - lost[0])

    def _see_that_none_is_invented(
        self, reader: Reader, event: Row, processed: dict[tuple[str, str], int]
    ) -> None:
        own = processed.get((reader.request, event.processor), 0)
        assert event.completion <= max(own, reader.tokens), (event, own, reader.tokens)
        self.cut_off += event.outcome == "gateway_restarted"


async def live_side_by_side(lives: list[Lives]) -> None:
    """All of them to their ends."""
    async with trio.open_nursery() as nursery:
        for life in lives:
            nursery.start_soon(life.run)


@pytest.mark.slow
def test_a_killed_gateway_loses_what_came_in_its_last_flush_window_and_no_more(
    tmp_path: Path,
) -> None:
    lives = [Lives(tmp_path / str(seed), seed) for seed in (1, 2)]
    trio.run(live_side_by_side, lives)
    assert sum(life.cut_off for life in lives) >= 2 * MOMENTS * STREAMS // 4
    worst = max(life.worst for life in lives)
    print(f"the oldest token that was lost had come {worst * 1000:.0f} ms before the death")
