"""A store with many users and keys, written straight into the columns that the directory reads."""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from aiplat.accounts import database
from aiplat.accounts.accounts import Accounts, StorePlaces
from aiplat.accounts.directory import LIMIT_COLUMNS, columns_of
from aiplat.accounts.secret_forms import mark_of, take_apart
from aiplat.accounts.settings import AccountsSettings
from aiplat.domain.accounts import UNLIMITED, Limits
from aiplat.telemetry.metrics import Metrics

GATEWAY = "12D3KooW" + "B" * 44
"""The peer id whose mark the keys bear."""
WIDE = Limits(
    requests_per_minute=10**7, tokens_per_minute=10**10, concurrent=10**5, tokens_per_month=10**12
)
"""All four limits, and none that the bench reaches."""
CREATED = 1_700_000_000
_ID_LETTERS = "abcdefghijklmnopqrstuvwxyz234567"
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_USER = "INSERT INTO users (id, name, role, created, {}) VALUES (?, ?, 'user', ?, {})".format(
    ", ".join(LIMIT_COLUMNS), ", ".join("?" * len(LIMIT_COLUMNS))
)
_KEY = (
    "INSERT INTO keys (id, user, name, folded, hash, scopes, models, created, {}) "
    "VALUES (?, ?, ?, ?, ?, '[\"inference\"]', '[]', ?, {})"
).format(", ".join(LIMIT_COLUMNS), ", ".join("?" * len(LIMIT_COLUMNS)))


@dataclass(frozen=True)
class People:
    """Who is in a store: whole keys, in an order of chance.

    Arguments:
        limited: keys with all four limits, of users with all four.
        unlimited: keys without any, of users without any.
        spent: a key that may ask once a minute.
    """

    limited: list[str]
    unlimited: list[str]
    spent: str


def places_in(folder: Path) -> StorePlaces:
    """Where the store of a bench lies."""
    return StorePlaces(folder / "accounts.db", folder / "backups")


def accounts_in(folder: Path, wall: Callable[[], float] = time.time) -> Accounts:
    """The accounts of that store, with the settings that a gateway has by itself."""
    return Accounts(GATEWAY, places_in(folder), AccountsSettings(), Metrics(), wall=wall)


def add_people(folder: Path, users: int, keys: int) -> People:
    """Make a store of so many users and keys: nine in ten with all limits, the rest with none.

    There is one key more, which may ask once a minute.

    Arguments:
        folder: an empty one.
        keys: at least as many as users.
    """
    folder.mkdir(parents=True, exist_ok=True)
    places = places_in(folder)
    database.prepare(places.database, places.backups)
    limited_users = users * 9 // 10
    found: dict[Limits, list[str]] = {WIDE: [], UNLIMITED: [], _ONCE: []}
    with (
        contextlib.closing(database.connect(places.database)) as connection,
        database.transaction(connection),
    ):
        for n in range(users):
            limits = columns_of(_limits(n, limited_users))
            connection.execute(_USER, (user_id(n), f"user{n}", CREATED, *limits))
        for n, text in enumerate(key_texts(keys + 1)):
            user = n % users
            of_key = _ONCE if n == keys else _limits(user, limited_users)
            found[of_key].append(text)
            secret = take_apart(text, "sk")
            connection.execute(
                _KEY,
                (secret.id, user_id(user), f"k{n}", f"k{n}", secret.hash, CREATED,
                 *columns_of(of_key)),
            )  # fmt: skip
    chance = random.Random(1)
    for texts_of in found.values():
        chance.shuffle(texts_of)
    return People(found[WIDE], found[UNLIMITED], found[_ONCE][0])


_ONCE = Limits(requests_per_minute=1)


def _limits(user: int, limited_users: int) -> Limits:
    return WIDE if user < limited_users else UNLIMITED


def user_id(number: int) -> str:
    """The id of a user of the bench, as long as a real one."""
    return f"u{number:015x}"


def key_texts(count: int) -> Iterator[str]:
    """So many keys of this gateway; the same ones each time."""
    chance = random.Random(0)
    mark = mark_of(GATEWAY)
    for _ in range(count):
        own = "".join(chance.choices(_ID_LETTERS, k=12))
        yield f"sk-aip-{mark}{own}-{''.join(chance.choices(_LETTERS, k=43))}"
