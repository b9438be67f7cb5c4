"""What is kept at most: of a user, of all, in a chain, in memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import trio

from aiplat.domain.errors import InvalidRequest, NotReady, Overloaded
from aiplat.stored.stored import Stored
from tests.unit.stored.helpers import START, Home, answer


async def kept(stored: Stored, *names: str, owner: str = "ann") -> list[str]:
    """Those of the names that are kept."""
    return [name for name in names if await stored.read(owner, name) is not None]


async def test_a_users_oldest_answer_gives_way(tmp_path: Path) -> None:
    home = Home(tmp_path, max_answers=2)
    async with home.open() as stored:
        stored.put(answer("theirs", "bob"))
        for number, name in enumerate("cab"):
            stored.put(answer(name, created=START + number))
        assert await kept(stored, "a", "b", "c") == ["a", "b"]
        assert await kept(stored, "theirs", owner="bob") == ["theirs"]
    assert home.hits("stored_answers") == 1


async def test_a_users_bytes_are_bounded_also_when_an_answer_grows(tmp_path: Path) -> None:
    home = Home(tmp_path, max_user_bytes=100_000)
    async with home.open() as stored:
        stored.put(answer("a", size=40_000))
        stored.put(answer("b", size=50_000))
        stored.put(answer("c", size=1000, state="running"))
        assert await kept(stored, "a", "b", "c") == ["a", "b", "c"]
        stored.end("ann", "c", b"x" * 20_000)
        assert await kept(stored, "a", "b", "c") == ["b", "c"]
        stored.put(answer("d", size=200_000))
        assert await kept(stored, "a", "b", "c", "d") == ["d"], "the newest stays itself"
    assert home.hits("stored_user_bytes") == 3


async def test_over_the_bound_of_all_who_has_the_most_loses(tmp_path: Path) -> None:
    home = Home(tmp_path, max_bytes=100_000)
    async with home.open() as stored:
        stored.put(answer("old", "bob", size=10_000, created=START - 100))
        for name in "abc":
            stored.put(answer(name, "ann", size=25_000))
        stored.put(answer("new", "bob", size=20_000))
        assert await kept(stored, "old", "new", owner="bob") == ["old", "new"]
        assert await kept(stored, "a", "b", "c") == ["b", "c"]
    assert home.hits("stored_bytes") == 1


async def test_what_was_deleted_makes_room(tmp_path: Path) -> None:
    home = Home(tmp_path, max_answers=2, max_bytes=100_000)
    async with home.open() as stored:
        stored.put(answer("a", size=90_000))
        assert await stored.delete("ann", "a")
        stored.put(answer("b", size=90_000))
        stored.forget("ann")
        stored.put(answer("c", "bob", size=90_000))
        stored.put(answer("c", "bob", size=90_000))  # told twice, as after a fault in the middle
        assert await kept(stored, "a", "b") == []
        assert await kept(stored, "c", owner="bob") == ["c"]
    assert home.hits("stored_bytes") == home.hits("stored_answers") == 0


async def test_a_chain_over_its_bound_is_refused(tmp_path: Path) -> None:
    home = Home(tmp_path, max_chain_bytes=1000)
    async with home.open() as stored:
        for name, previous in (("a", ""), ("b", "a"), ("c", "b")):
            stored.put(answer(name, size=500, previous=previous))
        assert len(await stored.chain("ann", "b")) == 2
        with pytest.raises(InvalidRequest, match=r"over 1000 bytes.*stored\.max_chain_bytes"):
            await stored.chain("ann", "c")
    assert home.hits("stored_chain_bytes") == 1


async def test_what_waits_in_memory_is_bounded(tmp_path: Path) -> None:
    home = Home(tmp_path, max_waiting_bytes=100_000)
    stored = home.make()  # nobody writes
    stored.put(answer("a", size=100_000))
    stored.ready()
    stored.put(answer("b"))
    with pytest.raises(NotReady, match=r"100010 bytes .*100000 may"):
        stored.ready()
    assert home.hits("stored_waiting_bytes") == 1


async def test_who_reads_at_once_is_bounded(tmp_path: Path) -> None:
    home = Home(tmp_path, max_asking=1)
    stored = home.make()
    stored.put(answer("a"))  # nobody writes, so a reader waits
    async with trio.open_nursery() as nursery:
        nursery.start_soon(stored.read, "ann", "a")
        await trio.testing.wait_all_tasks_blocked()
        with pytest.raises(Overloaded, match="1 requests wait"):
            await stored.read("ann", "a")
        nursery.cancel_scope.cancel()
    assert home.hits("stored_asking") == 1
    async with trio.open_nursery() as nursery:
        await nursery.start(stored.run)
        assert await kept(stored, "a") == ["a"], "who left does not count"
        nursery.cancel_scope.cancel()


async def test_a_disk_that_hangs_is_told_of(
    tmp_path: Path, autojump_clock: trio.testing.MockClock
) -> None:
    stored = Home(tmp_path).make()
    stored.put(answer("a"))
    with pytest.raises(NotReady, match="did not answer within 10 s"):
        await stored.read("ann", "a")
