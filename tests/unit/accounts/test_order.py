"""What is written and what is known in memory do not part: in order, and also what comes late."""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest
import trio

from aiplat.accounts import database, writer
from aiplat.control.accounts import KeyName, KeyRotate, LimitsWish, RoleWish, UserName
from aiplat.domain.errors import NotReady
from tests.unit.accounts.helpers import Home, busy, refused, until

ROUNDS = 8
AT_ONCE = 16


def of_file(home: Home) -> list[tuple[Any, ...]]:
    return home.rows(
        "SELECT name, role, disabled, requests_per_minute, concurrent FROM users "
        "WHERE deleted IS NULL ORDER BY name"
    )


def of_memory(home: Home) -> list[tuple[Any, ...]]:
    return [
        (user.name, user.role, user.disabled, user.limits.requests_per_minute,
         user.limits.concurrent)
        for user in sorted(home.directory, key=lambda user: user.name)
    ]  # fmt: skip


CHANGES: dict[str, Callable[[int], tuple[str, msgspec.Struct]]] = {
    "disable and enable": lambda n: (
        ("users.disable", "users.enable")[n % 2], UserName(name="ann")
    ),
    "limits": lambda n: ("users.limits", LimitsWish(name="ann", concurrent=n + 1)),
    "role": lambda n: (
        "users.role", RoleWish(name="ann", role="operator" if n % 2 else "user")
    ),
    "all of them, and its end": lambda n: (
        ("users.delete", UserName(name="ann")) if n == AT_ONCE // 2
        else ("users.limits", LimitsWish(name="ann", requests_per_minute=n + 1))
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", CHANGES)
async def test_of_many_at_once_memory_has_the_last_one_too(tmp_path: Path, what: str) -> None:
    """They are told in one tick of the loop, which runs its tasks in any order."""
    home = Home(tmp_path, registration="open", registrations_per_peer=100)
    async with home.running():
        for _ in range(ROUNDS):
            if home.directory.named("ann") is None:
                await home.register("ann")
            async with trio.open_nursery() as nursery:
                goes_on = await busy(home, nursery)
                for number in range(AT_ONCE):
                    nursery.start_soon(home.ask, *CHANGES[what](number))
                await until(
                    lambda: len(home.accounts._house.writer._changes) == AT_ONCE, "all wait"
                )
                goes_on.set()
            assert of_memory(home) == of_file(home)


class Disk:
    """Hangs in its COMMIT, where it is told to."""

    def __init__(self) -> None:
        self.hangs = False
        self.holds, self.goes_on = threading.Event(), threading.Event()

    @contextmanager
    def transaction(self, connection: sqlite3.Connection) -> Iterator[None]:
        with database.transaction(connection):
            yield
            if self.hangs:
                self.hangs = False
                self.holds.set()
                assert self.goes_on.wait(60)


LATE: dict[str, tuple[str, msgspec.Struct, Callable[[Home], object]]] = {
    "disable": ("users.disable", UserName(name="ann"), lambda home: home.user("ann").disabled),
    "limits": (
        "users.limits", LimitsWish(name="ann", concurrent=3),
        lambda home: home.user("ann").limits.concurrent == 3,
    ),
    "revoke": (
        "keys.revoke", KeyName(key="laptop", user="ann"),
        lambda home: all(key.revoked for key in home.user("ann").keys.values()),
    ),
    "rotate": (
        "keys.rotate", KeyRotate(key="laptop", user="ann"),
        lambda home: [bool(k.replaced_by) for k in home.user("ann").keys.values()] == [True, False],
    ),
    "delete": (
        "users.delete", UserName(name="ann"), lambda home: home.directory.named("ann") is None
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", LATE)
async def test_a_change_that_is_given_up_and_written_after_all_is_followed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, what: str
) -> None:
    home, disk = Home(tmp_path, registration="open"), Disk()
    monkeypatch.setattr(writer, "transaction", disk.transaction)
    method, wish, has_come = LATE[what]
    async with home.running():
        await home.register("ann")
        await home.key("laptop", user="ann")
        disk.hangs = True
        with monkeypatch.context() as brief:
            brief.setattr(writer, "CHANGE_SECONDS", 0.05)
            with refused(NotReady, "may take it yet, so look what is there before you try again"):
                await home.ask(method, wish)
        assert disk.holds.is_set()
        assert not has_come(home)
        disk.goes_on.set()
        await until(lambda: has_come(home), "memory follows")
        assert of_memory(home) == of_file(home)
        assert "was given up was written after all" in caplog.text
