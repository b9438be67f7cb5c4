"""Stored answers: whose they are, how long they are kept, and what a restart makes of them."""

from __future__ import annotations

import stat
from pathlib import Path

import pytest
import trio

from aiplat.domain.errors import NotReady
from aiplat.stored import stored as module
from tests.unit.stored.helpers import START, Home, answer

DAY = 86_400.0


def modes_in(folder: Path) -> set[int]:
    return {stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}


def holds(folder: Path, text: bytes) -> bool:
    return any(text in path.read_bytes() for path in folder.iterdir())


async def test_an_answer_is_there_as_soon_as_it_was_put(tmp_path: Path) -> None:
    async with Home(tmp_path).open() as stored:
        given = answer("resp_1")
        stored.put(given)
        assert await stored.read("ann", "resp_1") == given


async def test_anothers_answer_is_not_there(tmp_path: Path) -> None:
    async with Home(tmp_path).open() as stored:
        stored.put(answer("resp_1"))
        assert await stored.read("bob", "resp_1") is None
        assert await stored.chain("bob", "resp_1") == ()
        assert not await stored.delete("bob", "resp_1")
        assert await stored.read("ann", "resp_1") is not None


async def test_nothing_is_made_to_look_for_what_is_not_there(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.open() as stored:
        assert await stored.read("ann", "resp_1") is None
        assert not await stored.delete("ann", "resp_1")
        await stored.tidy()
    assert not home.path.exists()


async def test_only_its_owner_may_read_the_file(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.open() as stored:
        stored.put(answer("resp_1"))
        await stored.read("ann", "resp_1")
        modes = modes_in(tmp_path)
    assert modes == {0o600}


async def test_a_chain_is_read_from_its_oldest(tmp_path: Path) -> None:
    async with Home(tmp_path).open() as stored:
        for name, previous in (("a", ""), ("b", "a"), ("c", "b"), ("other", "b")):
            stored.put(answer(name, previous=previous))
        assert [one.id for one in await stored.chain("ann", "c")] == ["a", "b", "c"]
        assert await stored.delete("ann", "a")
        rest = await stored.chain("ann", "c")
        assert [one.id for one in rest] == ["b", "c"]
        assert rest[0].previous == "a", "it tells that something is lacking"


async def test_a_chain_that_bites_its_tail_ends(tmp_path: Path) -> None:
    async with Home(tmp_path).open() as stored:
        stored.put(answer("a", previous="b"))
        stored.put(answer("b", previous="a"))
        assert [one.id for one in await stored.chain("ann", "b")] == ["a", "b"]


async def test_what_was_deleted_while_it_ran_does_not_come_back(tmp_path: Path) -> None:
    async with Home(tmp_path).open() as stored:
        stored.put(answer("resp_1", state="running"))
        assert await stored.delete("ann", "resp_1")
        stored.end("ann", "resp_1", b"the end")
        assert await stored.read("ann", "resp_1") is None


async def test_what_was_deleted_is_overwritten(tmp_path: Path) -> None:
    home, secret = Home(tmp_path), b"a text that nobody shall find again"
    async with home.open() as stored:
        stored.put(answer("resp_1", state="running"))
        stored.end("ann", "resp_1", secret)
        await stored.read("ann", "resp_1")
        assert holds(tmp_path, secret)
        await stored.delete("ann", "resp_1")
        with trio.fail_after(30):
            while holds(tmp_path, secret):
                await trio.sleep(0.01)


async def test_an_old_answer_is_gone_to_the_second_and_then_for_good(tmp_path: Path) -> None:
    home = Home(tmp_path, days=30)
    async with home.open() as stored:
        stored.put(answer("old"))
        stored.put(answer("new", created=START + DAY, previous="old"))
        home.clock.now = START + 30 * DAY
        assert await stored.read("ann", "old") is not None
        home.clock.now += 1
        assert await stored.read("ann", "old") is None
        assert [one.id for one in await stored.chain("ann", "new")] == ["new"]
        await stored.tidy()
        home.clock.now = START
        assert await stored.read("ann", "old") is None, "it was only hidden"
        assert await stored.read("ann", "new") is not None


async def test_a_user_that_is_deleted_loses_its_answers_and_nobody_else(tmp_path: Path) -> None:
    home = Home(tmp_path)
    names = [f"resp_{number}" for number in range(120)]
    async with home.open() as stored:
        for name in names:
            stored.put(answer(name))
        stored.put(answer("resp_1", "bob"))
        stored.forget("ann")
        left = names
        while left:
            left = [name for name in left if await stored.read("ann", name) is not None]
        assert await stored.read("bob", "resp_1") is not None


async def test_answers_of_nobody_go_at_the_next_look(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.open() as stored:
        for owner in ("ann", "bob"):
            stored.put(answer("resp_1", owner))
        await stored.read("ann", "resp_1")
        await stored.tidy()
        assert await stored.read("bob", "resp_1") is not None, "nobody knows who is gone"
        home.users = lambda: {"ann"}
        await stored.tidy()
        assert await stored.read("bob", "resp_1") is None
        assert await stored.read("ann", "resp_1") is not None


async def test_a_node_that_ends_keeps_what_was_told_it_last(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.open() as stored:
        for number in range(500):
            stored.put(answer(f"resp_{number}"))
    async with home.open() as stored:
        assert await stored.read("ann", "resp_499") == answer("resp_499")


async def test_what_an_earlier_node_had_under_way_died_with_it(tmp_path: Path) -> None:
    home = Home(tmp_path)
    async with home.open() as stored:
        stored.put(answer("cut", state="running"))
        stored.put(answer("whole", state="running"))
        stored.end("ann", "whole", b"the end")
    async with home.open() as stored:
        stored.put(answer("young", state="running"))
        states = {}
        for name in ("cut", "whole", "young"):
            found = await stored.read("ann", name)
            assert found is not None
            states[name] = (found.state, found.body)
    assert states == {
        "cut": ("died", b"x" * 8), "whole": ("ended", b"the end"), "young": ("running", b"x" * 8),
    }  # fmt: skip


async def test_a_broken_file_is_begun_anew(tmp_path: Path) -> None:
    home = Home(tmp_path)
    home.path.write_bytes(b"rubbish" * 1000)
    async with home.open() as stored:
        stored.put(answer("resp_1"))
        assert await stored.read("ann", "resp_1") is not None
    assert (tmp_path / "stored.db.broken-1").exists()


async def test_a_file_that_cannot_be_used_costs_stored_answers_and_nothing_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "RETRY_SECONDS", 0.01)
    home = Home(tmp_path)
    home.path.mkdir()
    async with home.open() as stored:
        stored.ready()
        stored.put(answer("resp_1"))
        with pytest.raises(NotReady, match="cannot be used now; its log says why"):
            await stored.read("ann", "resp_1")
        with pytest.raises(NotReady, match="Send store: false") as caught:
            stored.ready()
        assert str(tmp_path) not in str(caught.value), "users are elsewhere"
        home.path.rmdir()
        with trio.fail_after(50):
            while True:
                try:
                    stored.ready()
                    break
                except NotReady:
                    await trio.sleep(0.01)
        assert await stored.read("ann", "resp_1") is not None, "it waited in memory"


def test_its_repr_tells_nothing_of_what_was_said() -> None:
    assert "xxx" not in repr(answer("resp_1")) and "ann" not in repr(answer("resp_1"))
