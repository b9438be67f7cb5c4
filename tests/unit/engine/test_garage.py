"""Who is loaded and who has to leave: with tenants that are only noted down."""

from __future__ import annotations

import pytest
import trio
import trio.testing

from aiplat.domain.errors import ConfigError
from aiplat.engine.garage import TURN_SECONDS, Garage, Unwanted
from aiplat.engine.memory import Footprint
from aiplat.engine.settings import EngineSettings


class Fake:
    """A tenant of so many MiB."""

    def __init__(self, garage: Garage, name: str, mib: int = 400) -> None:
        self.name, self.last_used = name, 0.0
        self.footprint = Footprint(weights=mib, cache=0, overhead=0)
        self.is_wanted, self.is_idle, self.is_ready = True, False, False
        self.unloads, self.held_back, self.heard = 0, False, ""
        self.garage = garage
        garage.add(self)

    def unload(self) -> None:
        self.is_idle = False
        self.unloads += 1

    def hold_back(self, *, off: bool = False) -> None:
        self.held_back = not off

    def waits_for_room(self, why: str) -> None:
        self.heard = why

    def reconfigure(self, settings: EngineSettings) -> None: ...

    async def load(self) -> None:
        await self.garage.enter(self)
        self.is_idle = self.is_ready = True

    @property
    def counts(self) -> tuple[int, bool]:
        """How often it was unloaded, and whether it is held back now."""
        return self.unloads, self.held_back

    def used(self, at: float, *, idle: bool) -> None:
        self.last_used, self.is_idle = at, idle
        self.garage.changed()


def garage_of(mib: int) -> Garage:
    return Garage(EngineSettings(memory_mib=mib))


async def test_the_least_lately_used_idle_one_leaves() -> None:
    garage = garage_of(1000)
    first, second, third = (Fake(garage, name) for name in ("first", "second", "third"))
    await first.load()
    await second.load()
    first.used(2.0, idle=True)
    second.used(1.0, idle=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(third.load)
        await trio.testing.wait_all_tasks_blocked()
        assert (first.unloads, second.unloads) == (0, 1)
        assert "third" not in garage.loaded  # the other's process is still there
        assert "is being unloaded" in third.heard
        garage.leave(second)
    assert garage.loaded == ["first", "third"]


async def test_a_busy_one_stays_and_is_told() -> None:
    garage = garage_of(1000)
    busy, idle, large = Fake(garage, "busy"), Fake(garage, "idle"), Fake(garage, "large", 900)
    await busy.load()
    await idle.load()
    busy.used(1.0, idle=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(large.load)
        await trio.testing.wait_all_tasks_blocked()
        assert (busy.unloads, idle.unloads) == (0, 0)  # that alone would not be enough
        assert large.heard == (
            "large waits for room: it needs 900 MiB of memory, 200 of 1000 are free, busy still "
            "at work"
        )
        busy.used(2.0, idle=True)
        await trio.testing.wait_all_tasks_blocked()
        assert (busy.unloads, idle.unloads) == (1, 1)
        garage.leave(busy)
        garage.leave(idle)


async def test_nobody_starves_behind_one_that_is_always_busy(
    autojump_clock: trio.testing.MockClock,
) -> None:
    garage = garage_of(500)
    busy, waits = Fake(garage, "busy"), Fake(garage, "waits")
    await busy.load()
    busy.used(1.0, idle=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits.load)
        await trio.sleep(TURN_SECONDS - 1)
        assert busy.counts == (0, False)
        await trio.sleep(2)
        assert busy.counts == (0, True)
        busy.used(30.0, idle=True)
        assert busy.counts == (1, True)
        garage.leave(busy)
    assert busy.counts == (1, False)
    assert garage.loaded == ["waits"]


async def test_one_that_loads_does_first_what_it_was_loaded_for(
    autojump_clock: trio.testing.MockClock,
) -> None:
    garage = garage_of(500)
    loads, waits = Fake(garage, "loads"), Fake(garage, "waits")
    await loads.load()
    loads.is_idle = loads.is_ready = False  # for longer than a turn
    async with trio.open_nursery() as nursery:
        nursery.start_soon(waits.load)
        await trio.sleep(TURN_SECONDS * 2)
        assert loads.counts == (0, False)
        loads.is_ready = True
        loads.used(40.0, idle=False)  # it was sent what waited for it
        await trio.testing.wait_all_tasks_blocked()
        assert loads.counts == (0, True)
        loads.used(50.0, idle=True)
        garage.leave(loads)


async def test_who_is_wanted_no_more_does_not_enter(
    autojump_clock: trio.testing.MockClock,
) -> None:
    garage = garage_of(500)
    busy, waits = Fake(garage, "busy"), Fake(garage, "waits")
    await busy.load()
    busy.used(1.0, idle=False)

    async def gives_up() -> None:
        with pytest.raises(Unwanted):
            await waits.load()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(gives_up)
        await trio.sleep(TURN_SECONDS + 1)
        assert busy.counts == (0, True)
        waits.is_wanted = False
        garage.changed()
    assert busy.counts == (0, False)
    assert garage.loaded == ["busy"]


async def test_a_gpu_has_one_model_at_a_time_whatever_the_budget() -> None:
    garage = garage_of(100_000)
    first, other, second = (Fake(garage, name) for name in ("first", "other", "second"))
    for tenant in (first, second):
        tenant.footprint = Footprint(weights=0, cache=0, alone=True)
    await first.load()
    await other.load()  # on the CPU
    first.used(1.0, idle=False)
    other.used(2.0, idle=True)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(second.load)
        await trio.testing.wait_all_tasks_blocked()
        assert second.heard == (
            "second waits for room: the GPU has room for one model, first still at work"
        )
        first.used(3.0, idle=True)
        await trio.testing.wait_all_tasks_blocked()
        assert (first.unloads, other.unloads) == (1, 0)
        garage.leave(first)
    assert garage.loaded == ["other", "second"]


async def test_who_is_not_the_first_in_line_hears_after_whom_it_comes() -> None:
    garage = garage_of(500)
    busy, first, second = Fake(garage, "busy"), Fake(garage, "first"), Fake(garage, "second")
    await busy.load()
    busy.used(1.0, idle=False)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(first.load)
        await trio.testing.wait_all_tasks_blocked()
        nursery.start_soon(second.load)
        await trio.testing.wait_all_tasks_blocked()
        assert second.heard == "second waits for room, after first"
        assert "busy still at work" in first.heard
        nursery.cancel_scope.cancel()


async def test_too_large_alone_is_refused_with_both_numbers() -> None:
    garage = garage_of(500)
    with pytest.raises(ConfigError, match=r"large takes 501 MiB .* may take 500 MiB"):
        Fake(garage, "large", 501)


async def test_a_budget_in_which_one_does_not_fit_is_known_before_it_holds() -> None:
    garage = garage_of(1000)
    Fake(garage, "small", 100)
    Fake(garage, "large", 600)
    garage.check_within(EngineSettings(memory_mib=600))
    with pytest.raises(
        ConfigError, match=r"large takes 600 MiB .* may take 599 MiB .*aiplat share"
    ):
        garage.check_within(EngineSettings(memory_mib=599))
    assert garage.budget == 1000


async def test_a_smaller_budget_sends_the_oldest_away() -> None:
    garage = garage_of(1000)
    old, new = Fake(garage, "old"), Fake(garage, "new")
    await old.load()
    await new.load()
    old.used(1.0, idle=False)
    new.used(2.0, idle=True)
    garage.reconfigure(EngineSettings(memory_mib=500))
    assert (old.unloads, new.unloads) == (0, 1)
    garage.leave(new)
    garage.reconfigure(EngineSettings(memory_mib=300))
    assert old.held_back
    old.used(3.0, idle=True)
    assert old.unloads == 1


async def test_who_was_removed_is_in_nobodys_way_and_its_name_is_free() -> None:
    garage = garage_of(1000)
    gone = Fake(garage, "same", 900)
    await gone.load()
    gone.used(1.0, idle=True)
    garage.leave(gone)  # its process has ended
    garage.remove(gone)
    other = Fake(garage, "same", 900)
    await other.load()
    assert garage.loaded == ["same"]
    other.used(2.0, idle=True)
    third = Fake(garage, "third", 900)
    async with trio.open_nursery() as nursery:
        nursery.start_soon(third.load)
        await trio.testing.wait_all_tasks_blocked()
        assert (gone.unloads, other.unloads) == (0, 1)
        garage.leave(other)
    assert garage.loaded == ["third"]
