"""What a deletion leaves of an account: sums, and nothing that says whose they are."""

from __future__ import annotations

import contextlib
import sqlite3
from pathlib import Path

import trio

from aiplat.control.accounts import (
    KeyName,
    KeyRotate,
    LimitsWish,
    UserName,
)
from aiplat.domain.errors import (
    AiplatError,
    InvalidApiKey,
    UserDisabled,
)
from tests.unit.accounts.helpers import (
    DAY,
    PEER,
    Home,
    busy,
    finishes,
    refused,
    waiting,
)
from tests.unit.accounts.test_operators import Ended, audit

# -- deleting --------------------------------------------------------------------------------------


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.is_file()}


def texts(path: Path) -> str:
    """All that any column of any table holds."""
    with contextlib.closing(sqlite3.connect(path)) as connection:
        tables = [name for (name,) in connection.execute(
            "SELECT name FROM sqlite_schema WHERE type = 'table'")]  # fmt: skip
        return repr([connection.execute(f"SELECT * FROM {name}").fetchall() for name in tables])


async def test_a_deletion_keeps_the_sums_and_nothing_that_says_whose_they_are(
    tmp_path: Path,
) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ended = Ended(home)
        ann = await home.register("annabella")
        hers = await home.key("annabellas laptop", ann.token)
        gone = await home.key("annabella by the owner", user="annabella")
        await home.ask("keys.revoke", KeyName(key="annabella by the owner", user="annabella"))
        await home.ask("keys.rotate", KeyRotate(key=hers.id), ann.token)
        await home.ask("users.limits", LimitsWish(name="annabella", concurrent=9))
        finishes(home.admit(hers.key), 8)
        home.admit(hers.key, request="req-live")
        home.clock.passes(DAY)
        assert home.accounts._house.used_this_month(f"user:{ann.user.id}") == 20
        usage = await home.usage(everyone=True, by="model", since_seconds=7 * DAY)
        done = await home.ask("users.delete", UserName(name="Annabella"))
        assert done.message.endswith(f"stays in the sums, as {ann.user.id}.")
        assert [request for request, _ in ended.errors] == ["req-live"]
        assert home.directory.named("annabella") is None
        for credential in (hers.key, gone.key):
            with refused(InvalidApiKey, "knows no such API key"):
                home.admit(credential)
        with refused(InvalidApiKey, "is over"):
            await home.ask("whoami", None, ann.token, PEER)
        with refused(InvalidApiKey, "The name or the password is wrong"):
            await home.login("annabella")
        for subject in (f"user:{ann.user.id}", f"key:{hers.id}"):
            assert home.accounts._house.used_this_month(subject) == 0, "memory forgets it too"
        again = await home.usage(everyone=True, by="model", since_seconds=7 * DAY)
        assert again.rows == usage.rows
        assert "annabella" not in str(await home.usage(everyone=True, by="key"))
        log = await audit(home)
        assert log[-1] == ("operator", "user.delete", ann.user.id, "")
        assert {row[0] for row in log} == {"operator", ann.user.id}
    assert "annabella" not in texts(home.path).lower()
    assert ann.user.id in texts(home.path)
    home.does("PRAGMA wal_checkpoint(TRUNCATE)")
    assert [name for name, held in files(tmp_path).items() if b"annabella" in held.lower()] == []
    home.opened()
    assert home.directory.named("annabella") is None
    assert home.rows("SELECT count(*) FROM keys") == [(0,)]


async def test_a_key_made_while_its_account_goes_is_not_kept(tmp_path: Path) -> None:
    home = Home(tmp_path, registration="open")
    async with home.running():
        ann = await home.register("ann")
        refusals: list[AiplatError] = []

        async def makes() -> None:
            try:
                await home.key("anns key", ann.token)
            except AiplatError as error:
                refusals.append(error)

        async with trio.open_nursery() as nursery:
            holds = await busy(home, nursery)
            nursery.start_soon(home.ask, "users.delete", UserName(name="ann"))
            await waiting(home, 1)
            nursery.start_soon(makes)
            await waiting(home, 2)
            holds.set()
        assert [type(error) for error in refusals] == [UserDisabled]
        assert home.rows("SELECT * FROM keys") == []
        assert home.directory.keys == {}
