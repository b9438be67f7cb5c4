"""What is done with the file: conversations saved, deleted, expired; answers begun and written.

Blocking. Each function is one transaction, or a part of one.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable

import msgspec

from aiplat.database.working import transaction
from aiplat.domain.conversations import (
    MAX_TURNS,
    AnswerFacts,
    Conversation,
    Turn,
    check_conversation,
    check_turn,
    title_of,
)
from aiplat.domain.errors import InvalidRequest, NotReady
from aiplat.history.bounds import (
    Full,
    refuse_larger,
    refuse_more_bytes,
    refuse_one_more,
    used_bytes,
)
from aiplat.history.rows import (
    facts_column,
    facts_of,
    index_words,
    number_of,
    put_conversation,
    put_turn,
    read,
    remove,
)
from aiplat.history.settings import HistorySettings

DIED = "the node ended before the answer was whole"
_EXPIRED_AT_ONCE = 100
_INDEXES = ("turn_words", "title_words")
_MERGED_PAGES = 500
"""Of an index, in one step: some 2 MB."""


class CutPath(InvalidRequest):
    """A turn comes after one that is not kept: what was said before it would be lost."""


# -- saved ---------------------------------------------------------------------------------------


def save(
    connection: sqlite3.Connection, given: Conversation, settings: HistorySettings, now: int
) -> Conversation:
    """Keep a conversation, or what is new of it; gives it without its turns, as it is kept.

    Arguments:
        now: seconds since 1970; nothing is newer than that.

    Raises:
        CutPath: a turn comes after one that is neither kept nor given.
        InvalidRequest: it cannot be kept.
        Full: a bound was hit.
    """
    check_conversation(given)
    with transaction(connection):
        _, kept = _put(connection, given, settings, now)
        return kept


def begin(
    connection: sqlite3.Connection,
    given: Conversation,
    answer: Turn,
    settings: HistorySettings,
    now: int,
    is_wanted: Callable[[], bool],
) -> None:
    """Keep a conversation, and begin an answer in it, which is its head from now on.

    Arguments:
        is_wanted: whether somebody waits for it still. An answer that nobody gives must not stand
            there as one under way.

    Raises:
        CutPath: there is no such question; or a turn comes after one neither kept nor given.
        InvalidRequest: it cannot be kept, or there is that answer already.
        Full: a bound was hit.
        NotReady: nobody waits any more; nothing of it is kept.
    """
    turns = tuple(turn for turn in given.turns if turn.id != answer.id)
    given = msgspec.structs.replace(given, turns=turns, head=answer.id, updated=now)
    check_conversation(given)
    check_turn(answer)
    with transaction(connection):
        number, _ = _put(connection, given, settings, now)
        known = _turns_of(connection, number)
        if answer.id in known:
            raise InvalidRequest(
                f"The conversation has a turn {answer.id} already: give the answer a new id.",
                param="keep.answer",
            )
        if answer.parent not in known:
            wrong = CutPath if answer.parent else InvalidRequest
            raise wrong(
                f"The conversation has no turn {answer.parent or '(none was named)'} that could be "
                "answered: send the question along.",
                param="keep.parent",
            )
        put_turn(connection, number, answer, running=True)
        if not is_wanted():
            raise NotReady("The conversations' file took too long, and the answer is not kept.")


def _put(
    connection: sqlite3.Connection, given: Conversation, settings: HistorySettings, now: int
) -> tuple[int, Conversation]:
    number = number_of(connection, given.id)
    if number is None:
        refuse_one_more(connection, settings)
    known = {} if number is None else _turns_of(connection, number)
    turns = [turn for turn in given.turns if _is_taken(turn, known)]
    if number is None or turns:
        refuse_more_bytes(connection, settings)
    if len(known.keys() | {turn.id for turn in turns}) > MAX_TURNS:
        raise InvalidRequest(
            f"A conversation has at most {MAX_TURNS} turns: begin a new one.", param="turns"
        )
    _refuse_cut(turns, known)
    kept = _with_times_and_title(connection, given, number, now)
    number = put_conversation(connection, kept, number)
    for turn in turns:
        put_turn(connection, number, turn)
    if turns:
        refuse_larger(connection, number, settings)
    return number, msgspec.structs.replace(kept, turns=())


def _turns_of(connection: sqlite3.Connection, number: int) -> dict[str, bool]:
    """The turns that are kept, by their ids, and whether they run."""
    query = "SELECT id, running FROM turns WHERE conversation = ?"
    return {id: bool(running) for id, running in connection.execute(query, [number])}


def _is_taken(turn: Turn, known: dict[str, bool]) -> bool:
    """Leave out an answer that runs, or that a face believes to run: the node writes those."""
    believed = turn.facts is not None and turn.facts.state == "running"
    return not (known.get(turn.id, False) or believed)


def _refuse_cut(turns: Iterable[Turn], known: Iterable[str]) -> None:
    """Take a turn only behind one that is there: its path would begin in the middle."""
    turns = tuple(turns)
    there = {"", *known, *(turn.id for turn in turns)}
    if cut := next((turn for turn in turns if turn.parent not in there), None):
        raise CutPath(
            f"The turn {cut.id} comes after {cut.parent}, which is not kept here: it was deleted, "
            "or its file moved away. Send the whole conversation.",
            param="parent",
        )


def _with_times_and_title(
    connection: sqlite3.Connection, given: Conversation, number: int | None, now: int
) -> Conversation:
    """Fill in what a face leaves out: when, and of what the first question was."""
    created, updated = min(given.created or now, now), min(given.updated or now, now)
    if number is not None:
        query = "SELECT created, updated FROM conversations WHERE number = ?"
        created, used = connection.execute(query, [number]).fetchone()
        updated = max(used, min(given.updated, now))
    title = given.title or title_of(_first_question(connection, given, number))
    return msgspec.structs.replace(given, created=created, updated=updated, title=title)


def _first_question(connection: sqlite3.Connection, given: Conversation, number: int | None) -> str:
    query = (
        "SELECT text FROM turns WHERE conversation = ? AND role = 'user' ORDER BY number LIMIT 1"
    )
    row = None if number is None else connection.execute(query, [number]).fetchone()
    asked = (turn.text for turn in given.turns if turn.role == "user")
    return str(row[0]) if row else next(asked, "")


# -- an answer under way -------------------------------------------------------------------------


def write_answer(
    connection: sqlite3.Connection,
    conversation: str,
    answer: str,
    text: str,
    facts: AnswerFacts,
    now: int,
) -> bool:
    """Write what has come of an answer, all of it; whether its conversation is still kept.

    One that has ended can be found, and is the last use of its conversation.
    """
    ended = facts.state != "running"
    with transaction(connection):
        number = number_of(connection, conversation)
        query = "SELECT number FROM turns WHERE conversation = ? AND id = ? AND running = 1"
        row = connection.execute(query, [number, answer]).fetchone()
        if row is None:
            return False
        query = "UPDATE turns SET text = ?, facts = ?, running = ? WHERE number = ?"
        connection.execute(query, [text, facts_column(facts), not ended, row[0]])
        if ended:
            index_words(connection, row[0])
            query = "UPDATE conversations SET updated = max(updated, ?) WHERE number = ?"
            connection.execute(query, [now, number])
    return True


def end_died(connection: sqlite3.Connection) -> int:
    """Mark the answers that were under way when a node died; gives how many."""
    if connection.execute("SELECT 1 FROM turns WHERE running = 1 LIMIT 1").fetchone() is None:
        return 0
    with transaction(connection):
        rows = connection.execute("SELECT number, facts FROM turns WHERE running = 1").fetchall()
        for number, column in rows:
            facts = facts_of(column) or AnswerFacts()
            facts = msgspec.structs.replace(facts, state="failed", error=DIED)
            query = "UPDATE turns SET facts = ?, running = 0 WHERE number = ?"
            connection.execute(query, [facts_column(facts), number])
            index_words(connection, number)
        return len(rows)


# -- deleted -------------------------------------------------------------------------------------


def delete(connection: sqlite3.Connection, number: int) -> str:
    """Delete a conversation; gives its title."""
    with transaction(connection):
        title = read_title(connection, number)
        remove(connection, number)
        _note_words(connection)
    return title


def read_title(connection: sqlite3.Connection, number: int) -> str:
    """Give the title of a conversation that is kept."""
    query = "SELECT title FROM conversations WHERE number = ?"
    return str(connection.execute(query, [number]).fetchone()[0])


def expire(connection: sqlite3.Connection, before: int, has_time: Callable[[], bool]) -> int:
    """Delete conversations that were used last before then, but none with an answer under way.

    Arguments:
        before: seconds since 1970.
        has_time: asked after each one; a large one takes a while.

    Returns:
        How many; when it is not 0, there may be more.
    """
    query = (
        "SELECT number FROM conversations AS c WHERE updated < ? AND NOT EXISTS "
        "(SELECT 1 FROM turns WHERE conversation = c.number AND running = 1) LIMIT ?"
    )
    with transaction(connection):
        old = connection.execute(query, [before, _EXPIRED_AT_ONCE]).fetchall()
        gone = 0
        for (number,) in old:
            remove(connection, number)
            gone += 1
            if not has_time():
                break
        if gone:
            _note_words(connection)
    return gone


def _note_words(connection: sqlite3.Connection) -> None:
    """Remember that deleted words stand in the indexes, where SQLite does not see to it by itself.

    FTS5 only notes what was deleted until it merges its segments; `secure_delete` then overwrites
    the old ones (SQLite, "FTS5", 6.8 and 6.12).
    """
    for table in _INDEXES:
        query = f"SELECT v FROM {table}_config WHERE k = 'secure-delete'"
        row = connection.execute(query).fetchone()
        if row is None or not row[0]:
            _set_meta(connection, f"erase {table}", "begin")


def erase(connection: sqlite3.Connection) -> bool:
    """Merge a part of an index that deleted words stand in; whether more is to be done.

    A large one takes a while, so it goes in steps (SQLite, "FTS5", 6.7).
    """
    for table in _INDEXES:
        name = f"erase {table}"
        state = _meta(connection, name)
        if not state:
            continue
        with transaction(connection):
            before, pages = connection.total_changes, _MERGED_PAGES
            merge = f"INSERT INTO {table} ({table}, rank) VALUES ('merge', ?)"
            connection.execute(merge, [-pages if state == "begin" else pages])
            is_done = connection.total_changes - before < 2
            _set_meta(connection, name, "" if is_done and state != "begin" else "go on")
        return True
    _shorten_log(connection)
    return False


def _shorten_log(connection: sqlite3.Connection) -> None:
    """Empty the WAL, which holds pages as they were; while another reads, it is done later."""
    connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()


# -- what is kept, and how long ------------------------------------------------------------------


def retention(connection: sqlite3.Connection) -> int:
    """Give the days that conversations are kept; 0 for ever."""
    return int(_meta(connection, "days") or 0)


def set_retention(connection: sqlite3.Connection, days: int) -> None:
    """Keep conversations for so many days from now on."""
    with transaction(connection):
        _set_meta(connection, "days", str(days))


def _meta(connection: sqlite3.Connection, name: str) -> str:
    row = connection.execute("SELECT value FROM meta WHERE name = ?", [name]).fetchone()
    return str(row[0]) if row else ""


def _set_meta(connection: sqlite3.Connection, name: str, value: str) -> None:
    query = (
        "INSERT INTO meta (name, value) VALUES (?, ?) "
        "ON CONFLICT DO UPDATE SET value = excluded.value"
    )
    connection.execute(query, [name, value])


def count(connection: sqlite3.Connection) -> int:
    """Give how many conversations are kept."""
    return int(connection.execute("SELECT count(*) FROM conversations").fetchone()[0])


__all__ = [
    "DIED", "CutPath", "Full", "begin", "count", "delete", "end_died", "erase", "expire", "read",
    "read_title", "retention", "save", "set_retention", "used_bytes", "write_answer",
]  # fmt: skip
