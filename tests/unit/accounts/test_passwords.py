"""Passwords: hashed a few at a time, and as slowly for a name that nobody has."""

from __future__ import annotations

import threading
import time

import pytest
import trio
import trio.testing
from argon2 import PasswordHasher

from aiplat.accounts.passwords import MAX_PASSWORD, MIN_PASSWORD, Passwords, check_password
from aiplat.domain.errors import InvalidRequest, Overloaded
from tests.unit.accounts.helpers import BAD, GOOD, PEER, Counting, refused


@pytest.mark.parametrize(
    "password", ["", "1234567", "ñ" * 7, "x" * (MAX_PASSWORD + 1), "x" * 10**6]
)
def test_one_that_is_too_short_or_too_long(password: str) -> None:
    words = f"A password has 8 to 256 characters, this one {len(password)}. Choose another"
    with refused(InvalidRequest, words) as caught:
        check_password(password)
    assert caught.value.param == "password"
    if password:
        assert password not in str(caught.value)


@pytest.mark.parametrize(
    "password", ["x" * MIN_PASSWORD, "x" * MAX_PASSWORD, "pass\0word", "pässwörd\ud800"]
)
async def test_any_other_is_taken_as_it_is(password: str) -> None:
    check_password(password)
    passwords = Passwords(1, 1, Counting())
    kept = await passwords.hash(password, PEER)
    assert password not in kept
    assert await passwords.matches(kept, password, PEER)
    assert not await passwords.matches(kept, password + "x", PEER)
    assert not await passwords.matches(kept, password.swapcase(), PEER)


async def test_the_real_hasher() -> None:
    """RFC 9106's second recommended option; a test that does it cheaply would not show that."""
    passwords = Passwords(1, 1)
    kept = await passwords.hash(GOOD, PEER)
    assert kept.startswith("$argon2id$v=19$m=65536,t=3,p=4$")
    assert await passwords.matches(kept, GOOD, PEER)
    assert not await passwords.matches(kept, BAD, PEER)
    assert not await passwords.matches(None, GOOD, PEER)
    assert kept != await passwords.hash(GOOD, PEER), "each has a salt of its own"


async def test_a_name_that_nobody_has_costs_the_same() -> None:
    hasher = Counting()
    passwords = Passwords(1, 1, hasher)
    kept = await passwords.hash(GOOD, PEER)
    await passwords.matches(kept, BAD, PEER)  # the first of all makes the dummy besides
    for one in (kept, None, kept, None):
        before = hasher.work
        assert not await passwords.matches(one, BAD, PEER)
        assert hasher.work == before + 1
    first = Counting()
    await Passwords(1, 1, first).matches(None, BAD, PEER)
    second = Counting()
    await Passwords(1, 1, second).matches(kept, BAD, PEER)
    assert first.work == second.work, "also the first"
    assert not await passwords.matches(None, "nobody's", PEER), "the dummy's own opens nothing"


async def test_what_is_kept_may_be_spoiled() -> None:
    passwords = Passwords(1, 1, Counting())
    for kept in ("", "$argon2id$", "plain", "\0"):
        assert not await passwords.matches(kept, GOOD, PEER)


class Slow(PasswordHasher):
    """Hashes when it is told to; knows how many it had at once."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.goes_on = threading.Event()
        self.lock = threading.Lock()
        self.at_once = self.most = 0

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        with self.lock:
            self.at_once += 1
            self.most = max(self.most, self.at_once)
        assert self.goes_on.wait(60)
        with self.lock:
            self.at_once -= 1
        return super().hash(password, salt=salt)


async def test_a_few_are_hashed_at_once_some_wait_and_one_more_is_refused() -> None:
    hasher = Slow()
    passwords = Passwords(2, 3, hasher)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for number in range(5):
                nursery.start_soon(passwords.hash, GOOD, f"{PEER}{number}")
            await trio.testing.wait_all_tasks_blocked(0.05)
            assert hasher.most == 2
            words = "This gateway checks 5 passwords already, which is its bound"
            with refused(Overloaded, words) as caught:
                await passwords.hash(GOOD, PEER)
            assert caught.value.retry_after == 2
            with refused(Overloaded, words):
                await passwords.matches(None, GOOD, PEER)
            with refused(Overloaded, words):
                passwords.check_room(PEER)
            hasher.goes_on.set()
        assert hasher.most == 2
        await passwords.hash(GOOD, PEER)


async def test_one_peer_has_a_share_so_that_others_are_heard() -> None:
    hasher = Slow()
    passwords = Passwords(2, 6, hasher)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(2):
                nursery.start_soon(passwords.hash, GOOD, PEER)
            await trio.testing.wait_all_tasks_blocked(0.05)
            words = "checks 2 passwords from this machine already, which is one machine's share of"
            with refused(Overloaded, words) as caught:
                await passwords.hash(GOOD, PEER)
            assert caught.value.retry_after == 2
            for number in range(6):
                passwords.check_room("12D3KooWElsewhere")
                nursery.start_soon(passwords.hash, GOOD, f"12D3KooWElsewhere{number}")
            await trio.testing.wait_all_tasks_blocked(0.05)
            hasher.goes_on.set()
        await passwords.hash(GOOD, PEER)
        assert not passwords._in_hand


async def test_the_loop_goes_on_meanwhile() -> None:
    passwords = Passwords(1, 1)
    turns = 0

    async def counts() -> None:
        nonlocal turns
        while True:
            await trio.sleep(0.001)
            turns += 1

    async with trio.open_nursery() as nursery:
        nursery.start_soon(counts)
        began = time.monotonic()
        await passwords.hash(GOOD, PEER)
        took = time.monotonic() - began
        nursery.cancel_scope.cancel()
    assert turns >= 3, f"in {took:.3f} s"
