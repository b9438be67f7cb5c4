"""A gateway's accounts on a real database, with clocks that are set by hand and cheap passwords."""

from __future__ import annotations

import contextlib
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec
import pytest
import trio
from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from aiplat.accounts.accounts import Accounts, StorePlaces
from aiplat.accounts.directory import Directory, Key, User
from aiplat.accounts.meter import Lease
from aiplat.accounts.passwords import Passwords
from aiplat.accounts.settings import AccountsSettings
from aiplat.control.accounts import (
    KeyWish,
    Login,
    NewKey,
    Nothing,
    Register,
    Session,
    UsageAsk,
    UsageReply,
)
from aiplat.domain.answers import Failed, Finished, Started
from aiplat.domain.errors import AiplatError
from aiplat.domain.usage import Timings, Usage
from aiplat.telemetry.metrics import Metrics
from tests.support.dialogue import MANIFEST

GATEWAY = "12D3KooWGatewayHere"
OTHER_GATEWAY = "12D3KooWGatewayElsewhere"
PEER = "12D3KooWSomebodysNode"
NOON = 1_795_003_200
"""2026-11-18, 12:00 UTC."""
DAY = 86_400
GOOD = "correct horse"
BAD = "incorrect horse"


class Clock:
    """Both clocks of a node; the wall's may jump."""

    def __init__(self, wall: float = NOON) -> None:
        self.at = wall
        self.seconds = 1000.0

    def wall(self) -> float:
        return self.at

    def now(self) -> float:
        return self.seconds

    def passes(self, seconds: float) -> None:
        self.at += seconds
        self.seconds += seconds


class Counting(PasswordHasher):
    """As cheap as argon2 can be; counts its work."""

    def __init__(self) -> None:
        super().__init__(time_cost=1, memory_cost=8, parallelism=1)
        self.hashed: list[str | bytes] = []
        self.verified: list[str | bytes] = []

    def hash(self, password: str | bytes, *, salt: bytes | None = None) -> str:
        self.hashed.append(password)
        return super().hash(password, salt=salt)

    def verify(self, hash: str | bytes, password: str | bytes) -> Literal[True]:
        try:
            good = super().verify(hash, password)
        except InvalidHashError:
            raise  # which costs nothing
        except VerificationError:
            self.verified.append(password)
            raise
        self.verified.append(password)
        return good

    @property
    def work(self) -> int:
        return len(self.hashed) + len(self.verified)


@dataclass
class Progress:
    """A request as its gateway has it."""

    tokens: int = 0
    model: str = "tiny"
    began: Started | None = None
    processor: str | None = None


class Home:
    """A gateway's accounts; `opened` again they are those of its next life."""

    def __init__(self, folder: Path, clock: Clock | None = None, **settings: Any) -> None:
        self.folder = folder
        self.path = folder / "accounts.db"
        self.places = StorePlaces(self.path, folder / "backups")
        self.clock = clock or Clock()
        self.settings = AccountsSettings(**settings)
        self.hasher = Counting()
        self.is_open = False
        self.opened()

    def opened(self) -> Accounts:
        """A life begins."""
        self.metrics = Metrics()
        hashing, waiting = self.settings.hashing, self.settings.max_hashing
        self.accounts = Accounts(
            GATEWAY, self.places, self.settings, self.metrics, is_open=lambda: self.is_open,
            wall=self.clock.wall, now=self.clock.now,
            passwords=Passwords(hashing, waiting, self.hasher),
        )  # fmt: skip
        self.accounts.open()
        return self.accounts

    @asynccontextmanager
    async def running(self) -> AsyncIterator[Home]:
        """It runs; at the end what is left is written."""
        with trio.fail_after(60):
            async with trio.open_nursery() as nursery:
                await nursery.start(self.accounts.run)
                yield self
                nursery.cancel_scope.cancel()

    async def written(self) -> None:
        """All that was counted until now is on the disk."""
        self.accounts._flush()
        await self.accounts._house.writer.change(lambda connection: None)

    async def ask(
        self, method: str, wish: Any = None, credential: str = "", peer: str | None = None
    ) -> Any:
        """Ask as the owner, as somebody with a credential, or from afar."""
        return await self.accounts.answer(method, wish or Nothing(), credential, peer)

    async def register(self, name: str, password: str = GOOD, peer: str = PEER) -> Session:
        made: Session = await self.ask("register", Register(name=name, password=password), "", peer)
        return made

    async def login(self, name: str, password: str = GOOD, peer: str = PEER) -> Session:
        begun: Session = await self.ask("login", Login(name=name, password=password), "", peer)
        return begun

    async def key(self, name: str = "laptop", credential: str = "", **wish: Any) -> NewKey:
        made: NewKey = await self.ask("keys.create", KeyWish(name=name, **wish), credential)
        return made

    async def usage(self, credential: str = "", **wish: Any) -> UsageReply:
        told: UsageReply = await self.ask("usage", UsageAsk(**wish), credential)
        return told

    def admit(self, credential: str = "", **changes: Any) -> Lease:
        """Let a request in; `changes` replace what is said of it."""
        fields: dict[str, Any] = {
            "request": "req-" + "0" * 24, "credential": credential, "asker": None, "model": "tiny",
            "prompt": 10, "answer": 50,
        }  # fmt: skip
        return self.accounts.admission.admit(**(fields | changes))

    @property
    def directory(self) -> Directory:
        return self.accounts._house.directory

    def user(self, name: str) -> User:
        found = self.directory.named(name)
        assert found is not None
        return found

    def held_key(self, made: NewKey) -> Key:
        return self.directory.keys[made.id]

    def rows(self, sql: str, *values: Any) -> list[tuple[Any, ...]]:
        """What the file holds, by another connection."""
        with contextlib.closing(sqlite3.connect(self.path)) as connection:
            return connection.execute(sql, values).fetchall()

    def does(self, sql: str, *values: Any) -> None:
        """Change the file behind the gateway's back."""
        with contextlib.closing(sqlite3.connect(self.path, isolation_level=None)) as connection:
            connection.execute(sql, values)

    def count(self, name: str, **labels: str) -> float:
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def says(lease: Lease, tokens: int = 5, prompt: int = 12, exact: bool = True) -> Progress:
    """A processor began with a request, and said so many tokens."""
    began = Started(MANIFEST, prompt, exact=exact)
    progress = lease.progress = Progress(tokens, "tiny", began, "12D3KooWProcessor")
    lease.started(prompt)
    return progress


def finishes(
    lease: Lease, tokens: int = 5, prompt: int = 12, cached: int = 0, reason: str = "stop"
) -> None:
    """It goes well, or is cancelled."""
    if lease.progress is None:
        says(lease, tokens, prompt)
    end = Finished(reason, Usage(prompt, tokens, cached))  # type: ignore[arg-type]  # test data
    lease.end(end, "tiny", reason, Timings(1.0, 2.0, 3.0))


def fails(lease: Lease, tokens: int = 0, prompt: int = 12, code: str = "processor_lost") -> None:
    """It goes wrong, after so many tokens."""
    usage = None if lease.progress is None else Usage(prompt, tokens)
    lease.end(Failed(code, "gone", usage=usage), "tiny", code, Timings())


@contextmanager
def refused(kind: type[AiplatError], words: str) -> Iterator[pytest.ExceptionInfo[AiplatError]]:
    """What is in the block is refused, by that leaf and in these words."""
    with pytest.raises(kind, match=words) as caught:
        yield caught
    assert caught.value.code == kind.code
    assert msgspec.json.encode(Failed.of(caught.value))


def holding(path: Path) -> sqlite3.Connection:
    """Another program that holds the file; close it to let go."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("BEGIN EXCLUSIVE")
    return connection


async def until(check: Callable[[], Any], what: str, seconds: float = 30.0) -> Any:
    """Wait for what a thread does; gives what `check` gave."""
    with trio.move_on_after(seconds):
        while not (found := check()):
            await trio.sleep(0.005)
        return found
    raise AssertionError(f"not within {seconds:g} s: {what}")


async def busy(home: Home, nursery: trio.Nursery) -> threading.Event:
    """Keep the writer at something until what is given is set."""
    holds, goes_on = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> None:
        holds.set()
        assert goes_on.wait(60)

    nursery.start_soon(home.accounts._house.writer.change, slow)
    await until(holds.is_set, "the writer is busy")
    return goes_on


async def waiting(home: Home, count: int) -> None:
    """Until so many changes wait for the writer."""
    writer = home.accounts._house.writer
    await until(lambda: len(writer._changes) == count, f"{count} changes wait")
