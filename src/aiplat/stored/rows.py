"""What is done with the rows of stored answers. Blocking; who writes has a transaction.

Every look is by owner and id together: another's answer is found no more than none, at the same
price.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

from aiplat.control.stored import StoredAnswer
from aiplat.domain.errors import InvalidRequest, clip
from aiplat.stored.settings import StoredSettings

OnBound = Callable[[str], None]

_COLUMNS = "owner, id, created, items, body, previous, state"
_STEP = 50
"""Answers, of up to two megabytes each, that are deleted at once: others come in between."""


class LongChain(InvalidRequest):
    """A request goes on from more than may be read for it."""


# -- writing -----------------------------------------------------------------------------------


def put(
    connection: sqlite3.Connection, answer: StoredAnswer, settings: StoredSettings, hit: OnBound
) -> None:
    """Keep an answer, and make room for it.

    Arguments:
        hit: told the name of each bound that another answer had to give way for.
    """
    connection.execute(
        f"INSERT OR IGNORE INTO answers ({_COLUMNS}, bytes) VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        [answer.owner, answer.id, answer.created, answer.items, answer.body, answer.previous,
         answer.state, answer.bytes],
    )  # fmt: skip
    make_room(connection, answer.owner, answer.id, settings, hit)


def end(
    connection: sqlite3.Connection,
    owner: str,
    answer: str,
    body: bytes,
    settings: StoredSettings,
    hit: OnBound,
) -> None:
    """Keep how an answer ended, if it is kept still; make room for what it grew by."""
    connection.execute(
        "UPDATE answers SET state = 'ended', body = ?, bytes = length(items) + ? "
        "WHERE owner = ? AND id = ?",
        [body, len(body), owner, answer],
    )
    make_room(connection, owner, answer, settings, hit)


def make_room(
    connection: sqlite3.Connection, owner: str, answer: str, settings: StoredSettings, hit: OnBound
) -> None:
    """Delete the oldest until all bounds hold; that answer itself stays.

    A user over its own bounds loses its own. Over the bound of all, who has the most loses: so no
    user's answers cost those of one who keeps few.
    """
    while _sums(connection, owner)[0] > settings.max_answers:
        if not _delete_oldest(connection, owner, answer):
            break
        hit("stored_answers")
    while _sums(connection, owner)[1] > settings.max_user_bytes:
        if not _delete_oldest(connection, owner, answer):
            break
        hit("stored_user_bytes")
    while _whole(connection) > settings.max_bytes:
        if not _delete_oldest(connection, _largest(connection), answer):
            break
        hit("stored_bytes")


def _sums(connection: sqlite3.Connection, owner: str) -> tuple[int, int]:
    query = "SELECT answers, bytes FROM owners WHERE owner = ?"
    found = connection.execute(query, [owner]).fetchone()
    return (0, 0) if found is None else (found[0], found[1])


def _whole(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT bytes FROM whole").fetchone()[0])


def _largest(connection: sqlite3.Connection) -> str:
    return str(connection.execute("SELECT owner FROM owners ORDER BY bytes DESC").fetchone()[0])


def _delete_oldest(connection: sqlite3.Connection, owner: str, but: str) -> bool:
    query = "SELECT number FROM answers WHERE owner = ? AND id <> ? ORDER BY created, number"
    found = connection.execute(f"{query} LIMIT 1", [owner, but]).fetchone()
    if found is not None:
        connection.execute("DELETE FROM answers WHERE number = ?", found)
    return found is not None


# -- deleting ----------------------------------------------------------------------------------


def delete(connection: sqlite3.Connection, owner: str, answer: str, since: float) -> bool:
    """Delete one; whether it was kept, and not older than `since`."""
    query = "DELETE FROM answers WHERE owner = ? AND id = ? RETURNING created"
    found = connection.execute(query, [owner, answer]).fetchone()
    return found is not None and found[0] >= since


def forget(connection: sqlite3.Connection, owner: str) -> int:
    """Delete some of a user's; how many went. When it is not 0, there may be more."""
    query = "SELECT number FROM answers WHERE owner = ? LIMIT ?"
    gone = connection.execute(f"DELETE FROM answers WHERE number IN ({query})", [owner, _STEP])
    return gone.rowcount


def expire(connection: sqlite3.Connection, since: float) -> int:
    """Delete some of those that are older; how many went. When it is not 0, there may be more."""
    query = "SELECT number FROM answers WHERE created < ? LIMIT ?"
    gone = connection.execute(f"DELETE FROM answers WHERE number IN ({query})", [since, _STEP])
    return gone.rowcount


def owners(connection: sqlite3.Connection) -> list[str]:
    """Every user that something is kept of."""
    return [str(owner) for (owner,) in connection.execute("SELECT owner FROM owners")]


def end_died(connection: sqlite3.Connection) -> int:
    """Mark those that an earlier node had under way when it ended; how many they are."""
    query = "UPDATE answers SET state = 'died' WHERE state = 'running'"
    return connection.execute(query).rowcount


def erase(connection: sqlite3.Connection) -> None:
    """Empty the WAL, which holds pages as they were; while another reads, it is done later."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


# -- reading -----------------------------------------------------------------------------------


def read(
    connection: sqlite3.Connection, owner: str, answer: str, since: float
) -> StoredAnswer | None:
    """One, unless it is older than `since` (seconds since 1970)."""
    query = f"SELECT {_COLUMNS} FROM answers WHERE owner = ? AND id = ?"
    found = connection.execute(query, [owner, answer]).fetchone()
    if found is None or found[2] < since:
        return None
    names = _COLUMNS.split(", ")
    return StoredAnswer(**dict(zip(names, found, strict=True)))


def chain(
    connection: sqlite3.Connection, owner: str, answer: str, since: float, most: int
) -> Iterable[StoredAnswer]:
    """That one and those that it goes on from, the newest first.

    Arguments:
        most: bytes that they may have together.

    Raises:
        LongChain: they have more.
    """
    size, seen, name = 0, set[str](), answer
    while name and name not in seen and (found := read(connection, owner, name, since)):
        seen.add(name)
        size += found.bytes
        if size > most:
            raise LongChain(
                f"The answers that {clip(answer)} goes on from have over {most} bytes, as many as "
                "may be read for one request (stored.max_chain_bytes): send the conversation as "
                "input, without its oldest part.",
                param="previous_response_id",
            )
        yield found
        name = found.previous
