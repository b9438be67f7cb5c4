"""Log-ins: what a wrong one tells and costs, and sessions from their beginning to their end."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Literal

import pytest
import trio
import trio.testing

from aiplat.control.accounts import UserName
from aiplat.domain.errors import (
    AiplatError,
    InvalidApiKey,
    InvalidRequest,
    Overloaded,
    RateLimited,
    UserDisabled,
)
from tests.unit.accounts.helpers import (
    BAD,
    DAY,
    GOOD,
    PEER,
    Counting,
    Home,
    busy,
    refused,
    waiting,
)
from tests.unit.accounts.test_admission import changed

WRONG = "The name or the password is wrong"


async def test_the_right_password_begins_a_session(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", session_days=3)
    async with home.running():
        await home.register("ann")
        session = await home.login(" ANN ")
        assert session.expires == home.clock.at + 3 * DAY
        told = await home.ask("whoami", None, session.token, PEER)
        assert (told.user.name, told.by, told.expires) == ("ann", "session", session.expires)
        assert told.scopes == ("inference", "usage", "admin")
        home.opened()
        assert home.directory.sessions[session.id].user is home.user("ann")
    secret = session.token.split("-")[3]
    assert secret.encode() not in home.path.read_bytes()
    assert GOOD.encode() not in home.path.read_bytes()


async def test_a_wrong_name_and_a_wrong_password_tell_the_same_and_cost_the_same(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.register("ann")
        with refused(InvalidApiKey, WRONG):
            await home.login("ann", BAD)  # the dummy is made by the first of all
        told, cost = set(), set()
        for name, password in (
            ("ann", BAD), ("nobody", BAD), ("operator", BAD), ("operator", ""), ("", BAD),
            ("x'; --", GOOD), ("аnn", GOOD), ("nobody", GOOD), ("ann\0", GOOD),
        ):  # fmt: skip
            before = home.hasher.work
            with refused(InvalidApiKey, WRONG) as caught:
                await home.login(name, password, f"{PEER}{name}")
            told.add(str(caught.value))
            cost.add(home.hasher.work - before)
        assert len(told) == 1
        assert cost == {1}


async def test_an_account_is_slowed_down_wherever_it_is_tried_from(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.register("ann")
        await home.register("bob")
        for number in range(3):
            with refused(InvalidApiKey, WRONG):
                await home.login("ann", BAD, f"{PEER}{number}")
        before = home.hasher.work
        words = "There were 3 wrong passwords in a row for this account: the next try is heard in 1"
        for password in (BAD, GOOD):
            with refused(RateLimited, words) as caught:
                await home.login("ANN", password, "12D3KooWElsewhere")
            assert caught.value.retry_after == 1
        assert home.hasher.work == before, "nothing is hashed for who comes too early"
        await home.login("bob")
        home.clock.passes(1)
        await home.login("ann", GOOD, "12D3KooWElsewhere")
        with refused(InvalidApiKey, WRONG):
            await home.login("ann", BAD, "12D3KooWElsewhere")


async def test_a_peer_is_slowed_down_whichever_account_it_tries(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.register("ann")
        for number in range(10):
            with refused(InvalidApiKey, WRONG):
                await home.login(f"user{number}", BAD)
        with refused(RateLimited, "There were 10 wrong passwords of late from this machine"):
            await home.login("ann")
        await home.login("ann", peer="12D3KooWElsewhere")


async def test_ten_thousand_guesses_cost_a_few_hashes(tmp_path: Path) -> None:
    """All at once, and then again and again in the course of a minute."""
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.register("ann")
        with refused(InvalidApiKey, WRONG):
            await home.login("nobody", BAD, "12D3KooWElsewhere")  # the dummy is made
        before = home.hasher.work
        kinds: list[type[AiplatError]] = []

        async def guesses(number: int) -> None:
            try:
                await home.login("ann", f"{BAD} {number}", f"{PEER}{number % 50}")
            except AiplatError as error:
                kinds.append(type(error))

        async with trio.open_nursery() as nursery:
            for number in range(9_000):
                nursery.start_soon(guesses, number)
        for number in range(1_000):
            home.clock.passes(0.06)
            await guesses(number)
        assert len(kinds) == 10_000
        assert set(kinds) == {InvalidApiKey, RateLimited}
        # Three that are free, and one after each of 1, 2, 4, 8, 16 s.
        assert home.hasher.work - before == kinds.count(InvalidApiKey) == 3 + 5


class Gate(Counting):
    """Checks no password before it is told to."""

    def __init__(self) -> None:
        super().__init__()
        self.opens = threading.Event()
        self.opens.set()

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        assert self.opens.wait(60)
        return super().verify(hash, password)


async def test_who_is_not_heard_has_not_tried(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", hashing=1, max_hashing=1)
    home.hasher = gate = Gate()
    home.opened()
    async with home.running():
        await home.register("ann")
        gate.opens.clear()
        async with trio.open_nursery() as nursery:
            for number in range(2):
                nursery.start_soon(home.login, "ann", GOOD, f"{PEER}{number}")
            await trio.testing.wait_all_tasks_blocked()
            for _ in range(20):
                with refused(Overloaded, "checks 2 passwords already, which is its bound"):
                    await home.login("bob", BAD, "12D3KooWElsewhere")
            gate.opens.set()
        with refused(InvalidApiKey, WRONG):
            await home.login("bob", BAD, "12D3KooWElsewhere")


async def test_a_very_long_password_is_cut_short(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.register("ann")
        with refused(InvalidApiKey, WRONG):
            await home.login("ann" * 1_000_000, "x" * 1_000_000)
        assert all(len(password) <= 1024 for password in home.hasher.verified)
        tried = home.accounts._arrivals._proving._by_account._failures
        assert all(len(name) <= 100 for name in tried)


# -- sessions --------------------------------------------------------------------------------------


async def test_a_session_ends_when_its_time_is_over(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", session_days=1)
    async with home.running():
        session = await home.register("ann")
        home.clock.passes(DAY - 1)
        await home.ask("whoami", None, session.token, PEER)
        home.clock.passes(1)
        with refused(InvalidApiKey, "The session at the gateway .* is over: log in again"):
            await home.ask("whoami", None, session.token, PEER)
        new = await home.login("ann")
        assert home.rows("SELECT id FROM sessions") == [(new.id,)], "what is over is removed"
        assert list(home.directory.sessions) == [new.id]


async def test_sessions_are_bounded_and_the_oldest_gives_way(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open", max_sessions_per_user=3)
    async with home.running():
        sessions = [await home.register("ann")]
        for _ in range(5):
            home.clock.passes(60)
            sessions.append(await home.login("ann"))
        for session in sessions[:-3]:
            with refused(InvalidApiKey, "is over"):
                await home.ask("whoami", None, session.token)
        for session in sessions[-3:]:
            await home.ask("whoami", None, session.token)
        assert len(home.rows("SELECT * FROM sessions")) == len(home.directory.sessions) == 3


async def test_a_logout_ends_it_and_no_other(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        one, two = await home.register("ann"), await home.login("ann")
        done = await home.ask("logout", None, one.token, PEER)
        assert done.message == "ann is logged out."
        with refused(InvalidApiKey, "is over"):
            await home.ask("whoami", None, one.token, PEER)
        await home.ask("whoami", None, two.token, PEER)
        with refused(InvalidRequest, "There is no session to end"):
            await home.ask("logout")
        assert home.rows("SELECT id FROM sessions") == [(two.id,)]


async def test_a_token_that_is_none(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        session = await home.register("ann")
        with refused(InvalidApiKey, "is over: log in again"):
            await home.ask("whoami", None, changed(session.token), PEER)
        for token in (session.token[:-1], session.token + "x" * 1000, "nonsense"):
            with refused(InvalidApiKey, "API key"):
                await home.ask("whoami", None, token, PEER)
        with refused(InvalidApiKey, "must know who asks: log in first"):
            await home.ask("whoami", None, "", PEER)
        owner = await home.ask("whoami")
        assert (owner.user.name, owner.by, owner.user.local) == ("operator", "operator", True)


# -- while something else happens ------------------------------------------------------------------


@pytest.mark.parametrize("what", ["disable", "delete"])
async def test_an_account_that_goes_while_somebody_logs_in(tmp_path: Path, what: str) -> None:
    home = Home(tmp_path, registration="open")
    home.hasher = gate = Gate()
    home.opened()
    async with home.running():
        await home.register("ann")
        refusals: list[AiplatError] = []

        async def logs_in() -> None:
            try:
                await home.login("ann")
            except AiplatError as error:
                refusals.append(error)

        gate.opens.clear()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(logs_in)
            await trio.testing.wait_all_tasks_blocked()
            await home.ask(f"users.{what}", UserName(name="ann"))
            gate.opens.set()
        assert [type(error) for error in refusals] == [UserDisabled]
        assert home.rows("SELECT * FROM sessions") == []


async def test_an_account_that_goes_while_its_session_is_written(tmp_path: Path) -> None:
    """The look at it came before, the session's row comes after: it is looked at again."""
    home = Home(tmp_path, registration="open")
    async with home.running():
        await home.register("ann")
        refusals: list[AiplatError] = []

        async def logs_in() -> None:
            try:
                await home.login("ann")
            except AiplatError as error:
                refusals.append(error)

        async with trio.open_nursery() as nursery:
            goes_on = await busy(home, nursery)
            nursery.start_soon(home.ask, "users.disable", UserName(name="ann"))
            await waiting(home, 1)
            nursery.start_soon(logs_in)  # it is not disabled yet, and its session waits behind
            await waiting(home, 2)
            assert not home.user("ann").disabled
            goes_on.set()
        assert [type(error) for error in refusals] == [UserDisabled]
        await home.ask("users.enable", UserName(name="ann"))
        assert home.rows("SELECT count(*) FROM sessions") == [(0,)]
        assert home.directory.sessions == {}
