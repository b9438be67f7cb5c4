"""What is written of requests: those under way with what they came to so far, and those that ended.

A request under way is a row of `running`, renewed while it grows; its end makes it one of `events`
in the same transaction. What is still in `running` when a gateway starts was cut off by its death:
it becomes an event too, with what it had come to.
"""

from __future__ import annotations

import sqlite3

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
_ADD_EVENT = f"INSERT INTO events ({_EVENT_COLUMNS}) VALUES ({', '.join('?' * 15)})"
_ADD_RUNNING = f"INSERT OR REPLACE INTO running VALUES ({', '.join('?' * 11)})"


class Batch(msgspec.Struct, frozen=True):
    """What is written at once.

    Arguments:
        running: by their ids, as they stand now.
        ended: events, with the ids of their rows of `running`; 0 for those that never had one.
        used: keys, and the minute (in seconds since 1970) in which they were used.
    """

    running: dict[int, Running]
    ended: list[tuple[int, Event]]
    used: dict[str, int]

    def joined(self, later: Batch) -> Batch:
        """Both, as one."""
        return Batch(self.running | later.running, self.ended + later.ended, self.used | later.used)

    def write(self, connection: sqlite3.Connection) -> None:
        """Write it, within a transaction."""
        gone = {number for number, _ in self.ended if number}
        as_tuple = msgspec.structs.astuple
        connection.executemany(
            _ADD_RUNNING,
            [as_tuple(row) for number, row in self.running.items() if number not in gone],
        )
        connection.executemany(_ADD_EVENT, [as_tuple(event) for _, event in self.ended])
        connection.executemany("DELETE FROM running WHERE id = ?", [(one,) for one in gone])
        connection.executemany(
            "UPDATE keys SET last_used = ? WHERE id = ? AND last_used < ?",
            [(minute, key, minute) for key, minute in self.used.items()],
        )


def recover(connection: sqlite3.Connection) -> int:
    """Make events of the requests that an earlier life of this gateway left; gives how many."""
    with_columns = f"INSERT INTO events ({_EVENT_COLUMNS})"
    done = connection.execute(
        f"{with_columns} SELECT at, request, user, key, model, manifest, processor, prompt, 0, "
        f"completion, exact, 0, 0, 0, '{INTERRUPTED}' FROM running ORDER BY id"
    )
    connection.execute("DELETE FROM running")
    return done.rowcount
