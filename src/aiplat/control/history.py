"""What may be asked of a person's conversations, which their node keeps: messages and methods.

Fields are append-only, each new one with a default. Times of day are in seconds since 1970 (UTC).
What holds a text is never logged.
"""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from aiplat.control.messages import Done
from aiplat.domain.conversations import Conversation

MAX_LISTED = 500
MAX_QUERY_CHARS = 400
MAX_DAYS = 36_500


class HistoryAsk(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The conversations that were used last, at most `most`.

    Arguments:
        search: words that all must be found, in titles and turns; the last may be a beginning.
        most: at most this many.
        skip: leave out that many of the newest.
    """

    search: str = ""
    most: int = 100
    skip: int = 0


class ConversationSummary(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """A conversation without its turns.

    Arguments:
        running: whether an answer is under way.
        found: of a search: a line of a turn that it was found in, without its line breaks.
        marks: where in `found` the words stand: first character and the one behind the last.
    """

    id: str
    title: str
    created: int
    updated: int
    turns: int
    model: str = ""
    running: bool = False
    found: str = ""
    marks: tuple[tuple[int, int], ...] = ()


class HistoryList(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Conversations, that which was used last first; `more` are there beyond the bound.

    `note` is as of `HistoryState`; a search has none.
    """

    conversations: tuple[ConversationSummary, ...]
    more: int = 0
    note: str = ""


class ConversationName(msgspec.Struct, frozen=True, kw_only=True):
    """A conversation by its id, or by its beginning or end where that names only one."""

    id: str


class Save(msgspec.Struct, frozen=True, kw_only=True):
    """Keep a conversation: make it, or put in what is new of it.

    Title, settings and head are taken as they are, an empty title is made of the first question;
    turns are put in by their ids, and those that are not named stay. An answer that runs is never
    overwritten, and a turn that says it runs is left out: only the node begins one.
    """

    conversation: Conversation


class Retention(msgspec.Struct, frozen=True, kw_only=True):
    """How many days a conversation is kept after it was used last; 0 for ever."""

    days: int


class HistoryState(msgspec.Struct, frozen=True, kw_only=True):
    """What is kept, and for how long (`Retention.days`).

    Arguments:
        note: what a person should know of the file, in words: that an earlier one was broken, and
            where it lies.
    """

    conversations: int
    bytes: int
    days: int
    path: str = ""
    note: str = ""


class Nothing(msgspec.Struct, frozen=True, kw_only=True):
    """A question without more to say."""


@dataclass(frozen=True)
class Method:
    """One thing that may be asked: its name, and what is sent each way."""

    name: str
    wish: type[msgspec.Struct]
    reply: type[msgspec.Struct]


METHODS: dict[str, Method] = {
    method.name: method
    for method in (
        Method("list", HistoryAsk, HistoryList),
        Method("show", ConversationName, Conversation),
        Method("save", Save, Done),
        Method("delete", ConversationName, Done),
        Method("state", Nothing, HistoryState),
        Method("retain", Retention, Done),
    )
}


class HistoryCall(msgspec.Struct, frozen=True, kw_only=True):
    """What a face asks: a method, and its wish as JSON."""

    method: str
    wish: msgspec.Raw = msgspec.Raw(b"{}")
