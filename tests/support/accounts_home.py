"""A gateway's home with accounts in it before its node starts, and its database as a test reads it.

The accounts are made by the gateway's own code; the database is read beside the node's back.
"""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, cast

import msgspec
import trio

from aiplat.accounts.accounts import Accounts, StorePlaces
from aiplat.accounts.settings import AccountsSettings
from aiplat.control.accounts import (
    KeyWish,
    NewKey,
    Register,
    Session,
    UserInvitation,
    UserInvite,
)
from aiplat.control.client import ControlClient
from aiplat.node.identity import load_or_create
from aiplat.runtime.places import Places, find_places
from aiplat.telemetry.metrics import Metrics
from tests.support.nodes import RunningNode

PASSWORD = "correct horse battery"
BUSY_SECONDS = 30.0


class Row(NamedTuple):
    """An event, as far as tests look at it."""

    request: str
    user: str
    key: str
    model: str
    processor: str
    prompt: int
    completion: int
    outcome: str


@dataclass(frozen=True)
class Person:
    """A user with one key."""

    id: str
    name: str
    key_id: str
    key: str


class AccountsHome:
    """The home of a gateway.

    Arguments:
        path: its folder.
        names: of the users that it has, each with a key named ``work``.
    """

    def __init__(self, path: Path, names: Iterable[str] = ()) -> None:
        self.path = path
        self.places: Places = find_places(str(path), {})
        self.places.prepare()
        self.peer_id = load_or_create(self.places.identity).peer_id
        self.people: dict[str, Person] = trio.run(partial(self._make, tuple(names)))

    async def _make(self, names: tuple[str, ...]) -> dict[str, Person]:
        stores = StorePlaces(self.places.accounts, self.places.data / "backups")
        settings = AccountsSettings(registration="invite")
        accounts = Accounts(self.peer_id, stores, settings, Metrics())
        accounts.open()
        made: dict[str, Person] = {}
        async with trio.open_nursery() as nursery:
            await nursery.start(accounts.run)
            for name in names:
                made[name] = await _person(accounts, name)
            nursery.cancel_scope.cancel()
        return made

    def key(self, name: str) -> str:
        """A user's key, whole."""
        return self.people[name].key

    @contextlib.contextmanager
    def reading(self) -> Iterator[sqlite3.Connection]:
        """The database, as of one moment, whoever else uses it."""
        uri = f"{self.places.accounts.as_uri()}?mode=ro"
        with contextlib.closing(
            sqlite3.connect(uri, uri=True, timeout=BUSY_SECONDS, isolation_level=None)
        ) as connection:
            connection.execute("BEGIN")
            yield connection

    def events(self) -> list[Row]:
        """All events, in the order in which they were written."""
        columns = ", ".join(Row._fields)
        with self.reading() as connection:
            return [Row(*row) for row in connection.execute(f"SELECT {columns} FROM events")]

    def by_request(self) -> dict[str, Row]:
        """The same by request; fails when one has two."""
        events = self.events()
        found = {event.request: event for event in events}
        assert len(found) == len(events), "a request was counted twice"
        return found

    def running(self) -> dict[str, int]:
        """The requests under way that are on the disk: their tokens so far."""
        with self.reading() as connection:
            rows = connection.execute("SELECT request, completion FROM running")
            return {str(request): int(tokens) for request, tokens in rows}

    def check_sums(self) -> None:
        """The sums are those of the events, by days and by hours, of each and of all."""
        figures = "count(*), sum(prompt), sum(cached), sum(completion)"
        summed = "coalesce(sum(requests), 0), sum(prompt), sum(cached), sum(completion)"
        with self.reading() as connection:

            def ask(query: str) -> list[tuple[Any, ...]]:
                return connection.execute(query).fetchall()

            [(mark,)] = ask("SELECT value FROM marks WHERE name = 'folded'")
            assert ask("SELECT coalesce(max(id), 0) FROM events") == [(mark,)], "not all folded"
            of_all = ask(f"SELECT {figures} FROM events")
            of_each = ask(
                f"SELECT user, key, model, processor, {figures} FROM events "
                "GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
            )
            for size in (3600, 86_400):
                assert ask(f"SELECT {summed} FROM totals WHERE size = {size}") == of_all
                assert of_each == ask(
                    f"SELECT user, key, model, processor, {summed} FROM sums "
                    f"WHERE size = {size} GROUP BY 1, 2, 3, 4 ORDER BY 1, 2, 3, 4"
                )


async def _person(accounts: Accounts, name: str) -> Person:
    async def ask(method: str, wish: msgspec.Struct, credential: str, peer: str | None) -> Any:
        return await accounts.answer(method, wish, credential, peer)

    code = cast(UserInvitation, await ask("users.invite", UserInvite(), "", None)).code
    wish = Register(name=name, password=PASSWORD, invitation=code)
    session = cast(Session, await ask("register", wish, "", "a peer"))
    key = cast(NewKey, await ask("keys.create", KeyWish(name="work"), session.token, "a peer"))
    return Person(session.user.id, name, key.id, key.key)


def control(node: RunningNode) -> ControlClient:
    """A node's control socket, without a command in between."""
    return ControlClient(Path(str(node.status["control"])))
