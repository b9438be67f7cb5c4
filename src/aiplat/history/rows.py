"""Conversations and turns as rows of the file, and back. Blocking; the caller has a transaction."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from aiplat.domain.conversations import (
    AnswerFacts,
    AttachedFile,
    Conversation,
    ConversationSettings,
    Turn,
)

_FACTS = msgspec.json.Decoder(AnswerFacts)
_SETTINGS = msgspec.json.Decoder(ConversationSettings)


def number_of(connection: sqlite3.Connection, id: str) -> int | None:
    """Give the number of a conversation by its whole id; None when it is not kept."""
    row = connection.execute("SELECT number FROM conversations WHERE id = ?", [id]).fetchone()
    return None if row is None else int(row[0])


def read(connection: sqlite3.Connection, number: int) -> Conversation:
    """Read a conversation with all its turns."""
    query = "SELECT id, title, created, updated, settings, head FROM conversations WHERE number = ?"
    id, title, created, updated, settings, head = connection.execute(query, [number]).fetchone()
    return Conversation(
        id=id, title=title, created=created, updated=updated, settings=_SETTINGS.decode(settings),
        head=head, turns=tuple(_turns(connection, number)),
    )  # fmt: skip


def _turns(connection: sqlite3.Connection, number: int) -> Iterable[Turn]:
    files: dict[int, list[AttachedFile]] = {}
    query = (
        "SELECT turn, name, files.text FROM files JOIN turns ON turn = number "
        "WHERE conversation = ? ORDER BY turn, place"
    )
    for turn, name, text in connection.execute(query, [number]):
        files.setdefault(turn, []).append(AttachedFile(name, text))
    query = (
        "SELECT number, id, parent, role, text, at, facts FROM turns "
        "WHERE conversation = ? ORDER BY number"
    )
    for turn, id, parent, role, text, at, facts in connection.execute(query, [number]):
        yield Turn(
            id=id, parent=parent, role=role, text=text, at=at, facts=facts_of(facts),
            files=tuple(files.get(turn, ())),
        )  # fmt: skip


def facts_of(column: str) -> AnswerFacts | None:
    """Read what is known of an answer; a question has nothing there."""
    return _FACTS.decode(column) if column else None


def facts_column(facts: AnswerFacts | None) -> str:
    """Write that."""
    return "" if facts is None else msgspec.json.encode(facts).decode()


def put_conversation(
    connection: sqlite3.Connection, conversation: Conversation, number: int | None
) -> int:
    """Write title, settings, times and head, and index the title; gives the number."""
    settings = msgspec.json.encode(conversation.settings).decode()
    title, head = conversation.title, conversation.head
    if number is None:
        query = (
            "INSERT INTO conversations (id, title, created, updated, settings, head) "
            "VALUES (?, ?, ?, ?, ?, ?)"
        )
        times = [conversation.created, conversation.updated]
        done = connection.execute(query, [conversation.id, title, *times, settings, head])
        assert done.lastrowid is not None
        number = done.lastrowid
    else:
        _forget_title(connection, number)
        query = (
            "UPDATE conversations SET title = ?, updated = ?, settings = ?, head = ? "
            "WHERE number = ?"
        )
        connection.execute(query, [title, conversation.updated, settings, head, number])
    connection.execute("INSERT INTO title_words (rowid, title) VALUES (?, ?)", [number, title])
    return number


def _forget_title(connection: sqlite3.Connection, number: int) -> None:
    connection.execute(
        "INSERT INTO title_words (title_words, rowid, title) "
        "SELECT 'delete', number, title FROM conversations WHERE number = ?",
        [number],
    )


def put_turn(
    connection: sqlite3.Connection, conversation: int, turn: Turn, *, running: bool = False
) -> None:
    """Write a turn, new or in the place of that with its id; one that runs is not indexed yet."""
    query = "SELECT number FROM turns WHERE conversation = ? AND id = ?"
    row = connection.execute(query, [conversation, turn.id]).fetchone()
    values = [turn.parent, turn.role, turn.text, turn.at, facts_column(turn.facts), running]
    if row is None:
        query = (
            "INSERT INTO turns (conversation, id, parent, role, text, at, facts, running) "
            "VALUES (?, ?, ?, ?, ?, ?, ?, ?)"
        )
        done = connection.execute(query, [conversation, turn.id, *values])
        assert done.lastrowid is not None
        number = done.lastrowid
    else:
        (number,) = row
        forget_words(connection, number)
        connection.execute("DELETE FROM files WHERE turn = ?", [number])
        query = (
            "UPDATE turns SET parent = ?, role = ?, text = ?, at = ?, facts = ?, running = ? "
            "WHERE number = ?"
        )
        connection.execute(query, [*values, number])
    files = [(number, place, file.name, file.text) for place, file in enumerate(turn.files)]
    connection.executemany("INSERT INTO files VALUES (?, ?, ?, ?)", files)
    if not running:
        index_words(connection, number)


def index_words(connection: sqlite3.Connection, turn: int) -> None:
    """Have a turn be found, with its files."""
    connection.execute("UPDATE turns SET indexed = 1 WHERE number = ?", [turn])
    connection.execute(
        "INSERT INTO turn_words (rowid, text, attached) "
        "SELECT number, text, attached FROM said WHERE number = ?",
        [turn],
    )


def forget_words(connection: sqlite3.Connection, turn: int) -> None:
    """Have a turn be found no more. It must still be as it was indexed (SQLite, "FTS5", 4.4.3)."""
    connection.execute(
        "INSERT INTO turn_words (turn_words, rowid, text, attached) "
        "SELECT 'delete', number, text, attached FROM said WHERE number = ?",
        [turn],
    )
    connection.execute("UPDATE turns SET indexed = 0 WHERE number = ?", [turn])


def remove(connection: sqlite3.Connection, number: int) -> None:
    """Remove a conversation with all that is of it."""
    turns = connection.execute("SELECT number FROM turns WHERE conversation = ?", [number])
    for (turn,) in turns.fetchall():
        forget_words(connection, turn)
        connection.execute("DELETE FROM files WHERE turn = ?", [turn])
    connection.execute("DELETE FROM turns WHERE conversation = ?", [number])
    _forget_title(connection, number)
    connection.execute("DELETE FROM conversations WHERE number = ?", [number])
