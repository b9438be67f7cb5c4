"""What is written of requests: those under way with what they came to so far, and those that ended.

A request under way is a row of `running`, renewed while it grows; its end makes it one of `events`
in the same transaction. What is still in `running` when a gateway starts was cut off by its death:
it becomes an event too, with what it had come to.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TypeVar

import msgspec

INTERRUPTED = "gateway_restarted"
"""The outcome of a request whose gateway died."""


class Running(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request under way. Times are in milliseconds since 1970 (UTC)."""

    id: int
    request: str
    at: int
    user: str
    key: str
    model: str = ""
    manifest: str = ""
    processor: str = ""
    prompt: int = 0
    completion: int = 0
    exact: bool = True


class Event(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A request that ended.

    Arguments:
        at: when it was let in, in milliseconds since 1970 (UTC): what day and month it counts for.
        user: an account's id, or ``peer:`` and the id of a peer without a key.
        key: a key's id, empty where there was none.
        manifest: the model's numerics class.
        outcome: ``stop``, ``length``, ``cancelled``, … or an error's code.
    """

    at: int
    request: str
    user: str
    key: str
    model: str
    manifest: str
    processor: str
    prompt: int
    cached: int
    completion: int
    exact: bool
    queue_ms: float
    first_ms: float
    total_ms: float
    outcome: str


_EVENT_COLUMNS = ", ".join(Event.__struct_fields__)
_ADD_EVENTS = f"INSERT INTO events ({_EVENT_COLUMNS}) VALUES"
_ADD_RUNNING = "INSERT OR REPLACE INTO running VALUES"
_AT_ONCE = 64
"""Rows of a statement. At each statement the writer's thread lets go of the interpreter, and has to
wait for it when the node's loop is busy, 5 ms or so: row by row thirty events took 0.3 s."""


class Batch(msgspec.Struct, frozen=True):
    """What is written at once.

    Arguments:
        running: by their ids, as they stand now.
        ended: events, with the ids of their rows of `running`; 0 for those that never had one.
        used: keys, and the minute (in seconds since 1970) in which they were used.
        sessions: the same of log-ins.
    """

    running: dict[int, Running]
    ended: list[tuple[int, Event]]
    used: dict[str, int]
    sessions: dict[str, int] = {}

    def joined(self, later: Batch) -> Batch:
        """Both, as one."""
        return Batch(
            self.running | later.running, self.ended + later.ended, self.used | later.used,
            self.sessions | later.sessions,
        )  # fmt: skip

    def write(self, connection: sqlite3.Connection) -> None:
        """Write it, within a transaction."""
        gone = {number for number, _ in self.ended if number}
        as_tuple = msgspec.structs.astuple
        running = [as_tuple(row) for number, row in self.running.items() if number not in gone]
        for rows in _parts(running):
            connection.execute(f"{_ADD_RUNNING} {_marks(rows)}", [*chain(*rows)])
        for rows in _parts([as_tuple(event) for _, event in self.ended]):
            connection.execute(f"{_ADD_EVENTS} {_marks(rows)}", [*chain(*rows)])
        for ids in _parts(sorted(gone)):
            connection.execute(f"DELETE FROM running WHERE id IN ({_marks(ids)})", ids)
        _note_use(connection, "keys", self.used)
        _note_use(connection, "sessions", self.sessions)


def _note_use(connection: sqlite3.Connection, table: str, used: dict[str, int]) -> None:
    for minute in set(used.values()):
        for ids in _parts(sorted(name for name, at in used.items() if at == minute)):
            connection.execute(
                f"UPDATE {table} SET last_used = ? WHERE last_used < ? AND id IN ({_marks(ids)})",
                [minute, minute, *ids],
            )


Part = TypeVar("Part")


def _parts(rows: Sequence[Part]) -> Iterator[Sequence[Part]]:
    """In a few sizes only, so that each statement is prepared once: powers of two."""
    place = 0
    while place < len(rows):
        size = min(_AT_ONCE, 1 << (len(rows) - place).bit_length() - 1)
        yield rows[place : place + size]
        place += size


def _marks(rows: Sequence[object]) -> str:
    """What stands for such rows, or single values, in a statement."""
    columns = len(rows[0]) if isinstance(rows[0], tuple) else 0
    mark = f"({', '.join('?' * columns)})" if columns else "?"
    return ", ".join([mark] * len(rows))


def recover(connection: sqlite3.Connection) -> int:
    """Make events of the requests that an earlier life of this gateway left; gives how many."""
    with_columns = f"INSERT INTO events ({_EVENT_COLUMNS})"
    done = connection.execute(
        f"{with_columns} SELECT at, request, user, key, model, manifest, processor, prompt, 0, "
        f"completion, exact, 0, 0, 0, '{INTERRUPTED}' FROM running ORDER BY id"
    )
    connection.execute("DELETE FROM running")
    return done.rowcount
