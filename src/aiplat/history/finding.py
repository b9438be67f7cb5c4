"""Which conversations are shown: by their name, the newest, and those that words are found in.

Blocking. A conversation is found when each word stands somewhere in it, in its title or a turn.
"""

from __future__ import annotations

import contextlib
import re
import secrets
import sqlite3
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence

import msgspec

from aiplat.control.history import (
    MAX_LISTED,
    MAX_QUERY_CHARS,
    ConversationSummary,
    HistoryAsk,
    HistoryList,
)
from aiplat.domain.errors import InvalidRequest, clip
from aiplat.history.form import TOKENS
from aiplat.history.rows import facts_of
from aiplat.history.search import line_of, phrases_of

LINES_SECONDS = 1.5
"""From the start of a search on lines are looked for: each may be of millions of characters."""
_LEAST = 4
_NAME = re.compile(r"(?:cnv-)?([0-9a-f]{1,24})")


def find(connection: sqlite3.Connection, name: str) -> tuple[int, str]:
    """Give number and id of the conversation that `name` is, begins or ends.

    Raises:
        InvalidRequest: none does, or several do.
    """
    found = _NAME.fullmatch(name.strip().lower())
    rows: list[tuple[int, str]] = []
    if found and len(found[1]) >= _LEAST:
        digits = found[1]
        query = "SELECT number, id FROM conversations WHERE id LIKE ? OR id LIKE ? LIMIT 3"
        rows = connection.execute(query, [f"cnv-{digits}%", f"%{digits}"]).fetchall()
    if len(rows) == 1:
        return rows[0]
    if rows:
        raise InvalidRequest(
            f"Several conversations begin or end with {clip(name)!r}: give more of the id.",
            param="id",
        )
    raise not_kept(name)


def not_kept(name: str) -> InvalidRequest:
    """Say that there is no such conversation."""
    return InvalidRequest(
        f"No conversation {clip(name)!r} is kept here. An id may be cut to {_LEAST} digits or more "
        "at its beginning or end; `aiplat history list` shows them.",
        param="id",
    )


def newest(
    connection: sqlite3.Connection, ask: HistoryAsk, is_wanted: Callable[[], bool] = lambda: True
) -> HistoryList:
    """List conversations, that which was used last first.

    Arguments:
        is_wanted: whether somebody waits for it still; lines are only looked for while they do.

    Raises:
        InvalidRequest: a bound of the question was passed.
    """
    _check(ask)
    end = time.monotonic() + LINES_SECONDS
    phrases = phrases_of(ask.search)
    if ask.search.strip() and not phrases:
        return HistoryList(conversations=())  # nothing of it can be found
    query = "SELECT number FROM conversations ORDER BY updated DESC, number DESC"
    numbers = [number for (number,) in connection.execute(query)]
    best: dict[int, int] = {}
    if phrases:
        best = _with_all(connection, phrases)
        numbers = [number for number in numbers if number in best]
    shown = numbers[ask.skip : ask.skip + ask.most]
    turns = {number: best[number] for number in shown if best}
    lines = _lines(connection, phrases, turns, lambda: is_wanted() and time.monotonic() < end)
    return HistoryList(
        conversations=tuple(
            _summary(connection, number, *lines.get(number, ("", ()))) for number in shown
        ),
        more=max(0, len(numbers) - ask.skip - len(shown)),
    )


def _check(ask: HistoryAsk) -> None:
    if len(ask.search) > MAX_QUERY_CHARS:
        raise InvalidRequest(
            f"A search has at most {MAX_QUERY_CHARS} characters, this one {len(ask.search)}.",
            param="search",
        )
    if not 1 <= ask.most <= MAX_LISTED:
        raise InvalidRequest(
            f"most must be from 1 to {MAX_LISTED}, but is {ask.most}.", param="most"
        )
    if not 0 <= ask.skip < 2**31:
        raise InvalidRequest(f"skip must be from 0 to 2^31, but is {ask.skip}.", param="skip")


def _with_all(connection: sqlite3.Connection, phrases: Iterable[str]) -> dict[int, int]:
    """The conversations that have each phrase, and for each the turn that has most of them.

    Both by their numbers; of equal turns it is the newest, and 0 where only the title has any.
    """
    in_turns = (
        "SELECT conversation, number FROM turn_words JOIN turns ON number = turn_words.rowid "
        "WHERE turn_words MATCH ?"
    )
    in_titles = "SELECT rowid FROM title_words WHERE title_words MATCH ?"
    found: set[int] | None = None
    counts: Counter[tuple[int, int]] = Counter()
    for phrase in phrases:
        turns = connection.execute(in_turns, [phrase]).fetchall()
        counts.update(turns)
        having = {number for number, _ in turns}
        having.update(number for (number,) in connection.execute(in_titles, [phrase]))
        found = having if found is None else found & having
    best = dict.fromkeys(found or (), (0, 0))
    for (conversation, turn), count in counts.items():
        if conversation in best:
            best[conversation] = max(best[conversation], (count, turn))
    return {conversation: turn for conversation, (_, turn) in best.items()}


def _lines(
    connection: sqlite3.Connection,
    phrases: Sequence[str],
    turns: Mapping[int, int],
    has_time: Callable[[], bool],
) -> dict[int, tuple[str, tuple[tuple[int, int], ...]]]:
    """For each conversation a line of its turn; none for the last ones where that takes too long.

    The words are marked in an index of that turn alone, in memory: to ask the large one for each
    again took 85 ms a turn, where a phrase stands in thousands.
    """
    any_of = " OR ".join(phrases)
    begin, end = (f"\x02{secrets.token_hex(8)}{side}" for side in "<>")  # no text has them
    marking = "SELECT highlight(one, 0, ?, ?), highlight(one, 1, ?, ?) FROM one WHERE one MATCH ?"
    lines = {}
    with contextlib.closing(sqlite3.connect(":memory:", isolation_level=None)) as small:
        small.execute(f"CREATE VIRTUAL TABLE one USING fts5 (text, attached, {TOKENS})")
        for conversation, turn in turns.items():
            if not turn or not has_time():
                continue
            query = "SELECT text, attached FROM said WHERE number = ?"
            small.execute("DELETE FROM one")
            row = connection.execute(query, [turn]).fetchone()
            small.execute("INSERT INTO one (rowid, text, attached) VALUES (1, ?, ?)", row)
            marked = small.execute(marking, [begin, end, begin, end, any_of]).fetchone()
            found = (line_of(text or "", begin, end) for text in marked or ())
            lines[conversation] = next((line for line in found if line[0]), ("", ()))
    return lines


def _summary(
    connection: sqlite3.Connection, number: int, found: str, marks: tuple[tuple[int, int], ...]
) -> ConversationSummary:
    query = (
        "SELECT id, title, created, updated, json_extract(settings, '$.model'), "
        "(SELECT count(*) FROM turns WHERE conversation = c.number), "
        "EXISTS (SELECT 1 FROM turns WHERE conversation = c.number AND running = 1) "
        "FROM conversations AS c WHERE number = ?"
    )
    row = connection.execute(query, [number]).fetchone()
    id, title, created, updated, model, turns, running = row
    return ConversationSummary(
        id=id, title=title, created=created, updated=updated, turns=turns,
        model=_last_model(connection, number) or model or "", running=bool(running),
        found=found, marks=marks,
    )  # fmt: skip


def _last_model(connection: sqlite3.Connection, number: int) -> str:
    """Which model answered last."""
    query = (
        "SELECT facts FROM turns WHERE conversation = ? AND role = 'assistant' "
        "ORDER BY number DESC LIMIT 1"
    )
    row = connection.execute(query, [number]).fetchone()
    try:
        facts = facts_of(row[0]) if row else None
    except msgspec.MsgspecError:
        return ""
    return facts.model if facts else ""
