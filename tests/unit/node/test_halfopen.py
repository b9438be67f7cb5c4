"""Who gives way when every place for a handshake is taken."""

from __future__ import annotations

from contextlib import AbstractContextManager

import pytest

from aiplat.node.halfopen import PATIENCE_SECONDS, HalfOpen
from tests.support.networks import Clock


class Doorway:
    """Places, and what became of who holds one."""

    def __init__(self, bound: int) -> None:
        self.clock = Clock(0.0)
        self.refused = 0
        self.half_open = HalfOpen(bound, self._refuse, self.clock)

    def _refuse(self) -> None:
        self.refused += 1

    def place(self, source: str) -> AbstractContextManager[bool]:
        return self.half_open.place(source)


@pytest.mark.trio
async def test_the_oldest_of_the_greediest_source_makes_room_for_another() -> None:
    door = Doorway(3)
    with door.place("greedy") as first:
        gone = next(iter(door.half_open._waiting.values()))
        with door.place("greedy") as second, door.place("modest") as third:
            assert first
            assert second
            assert third
            with door.place("new") as fourth:
                assert fourth
                assert gone.scope.cancel_called
                assert door.half_open.of("greedy") == 1
                assert len(door.half_open) == 3
    assert door.refused == 1
    assert len(door.half_open) == 0


@pytest.mark.trio
async def test_the_same_source_waits_for_its_own() -> None:
    """Many nodes behind one NAT that start at once do not throw each other out."""
    door = Doorway(2)
    with door.place("nat"):
        oldest = next(iter(door.half_open._waiting.values()))
        door.clock.now = PATIENCE_SECONDS - 0.1
        with door.place("nat"):
            with door.place("nat") as early:
                assert not early
            assert not oldest.scope.cancel_called
            door.clock.now = PATIENCE_SECONDS
            with door.place("nat") as late:
                assert late
            assert oldest.scope.cancel_called


@pytest.mark.trio
async def test_who_has_as_many_as_anybody_throws_nobody_else_out() -> None:
    door = Doorway(2)
    with door.place("a"), door.place("b"), door.place("b") as more:
        assert not more
        assert door.half_open.of("a") == door.half_open.of("b") == 1


@pytest.mark.trio
async def test_many_sources_with_one_place_each_do_not_keep_everyone_out() -> None:
    door = Doorway(2)
    with door.place("a"):
        oldest = next(iter(door.half_open._waiting.values()))
        with door.place("b"):
            with door.place("c") as early:
                assert not early
            door.clock.now = PATIENCE_SECONDS
            with door.place("c") as late:
                assert late
            assert oldest.scope.cancel_called
