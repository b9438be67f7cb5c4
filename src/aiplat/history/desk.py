"""A person's conversations in their file: what may be asked of them, and what answers need.

Blocking, and for one thread at a time. A node has it behind `aiplat.history.history`; a command
uses it by itself, while no node can run.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from aiplat.control.history import (
    MAX_DAYS,
    ConversationName,
    HistoryAsk,
    HistoryList,
    HistoryState,
    Nothing,
    Retention,
    Save,
)
from aiplat.control.messages import Done
from aiplat.database.working import no_longer_than
from aiplat.domain.conversations import AnswerFacts, Conversation, Turn
from aiplat.domain.errors import InvalidRequest, NotReady, clip
from aiplat.history import store
from aiplat.history.file import HistoryFile, Trouble
from aiplat.history.finding import find, newest, not_kept
from aiplat.history.settings import HistorySettings

T = TypeVar("T")

log = logging.getLogger("aiplat.history")

WORK_SECONDS = 8.0
"""That one piece of work may take; a face waits longer."""
ERASE_SECONDS = 2.0
"""That a person waits for what is left of a deleted conversation to be overwritten."""
_DAY = 86_400


class HistoryDesk:
    """The conversations.

    Arguments:
        path: of the file, in a folder that is its owner's alone; made when there is something to
            keep.
        settings: bounds.
        now: seconds since 1970; it may be set back or forward at any time.
    """

    def __init__(
        self, path: Path, settings: HistorySettings, now: Callable[[], float] = time.time
    ) -> None:
        self._file = HistoryFile(path)
        self._settings = settings
        self._now = now
        self._has_looked = False

    @property
    def is_there(self) -> bool:
        """Whether anything is kept."""
        return self._file.path.exists()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def answer(self, method: str, wish: msgspec.Struct) -> msgspec.Struct:
        """Do what a face asks (`aiplat.control.history.METHODS`).

        Raises:
            AiplatError: it cannot be done, or the file cannot be used. So do all methods here.
        """
        ways: dict[str, Callable[[Any], msgspec.Struct]] = {
            "list": self.list, "show": self.show, "save": self.save, "delete": self.delete,
            "state": self.state, "retain": self.retain,
        }  # fmt: skip
        return ways[method](wish)

    def list(self, ask: HistoryAsk) -> HistoryList:
        """The conversations that were used last, or that words are found in."""
        if not self.is_there:
            return HistoryList(conversations=())
        return self._do(lambda db: newest(db, ask))

    def show(self, name: ConversationName) -> Conversation:
        """One, with all its turns."""
        self._refuse_without_file(name)
        return self._do(lambda db: store.read(db, find(db, name.id)[0]))

    def save(self, wish: Save) -> Done:
        """Keep one, or what is new of it."""
        kept = self._do(lambda db: store.save(db, wish.conversation, self._settings, self._today))
        return Done(message=f"The conversation {_called(kept.title)} is kept ({kept.id}).")

    def whole_id(self, name: ConversationName) -> str:
        """The id of the one that is named."""
        self._refuse_without_file(name)
        return self._do(lambda db: find(db, name.id)[1])

    def delete(self, name: ConversationName) -> Done:
        """Delete one for good."""
        self._refuse_without_file(name)
        title = self._do(lambda db: store.delete(db, find(db, name.id)[0]))
        self.erase()
        return Done(message=f"The conversation {_called(title)} is deleted.")

    def state(self, _: Nothing) -> HistoryState:
        """How much is kept, and for how long."""
        path = str(self._file.path)
        if not self.is_there:
            return HistoryState(conversations=0, bytes=0, days=0, path=path)

        def work(db: sqlite3.Connection) -> HistoryState:
            return HistoryState(
                conversations=store.count(db), bytes=store.used_bytes(db),
                days=store.retention(db), path=path,
            )  # fmt: skip

        return self._do(work)

    def retain(self, wish: Retention) -> Done:
        """Keep conversations so long, and delete at once what is older."""
        days = wish.days
        if not 0 <= days <= MAX_DAYS:
            raise InvalidRequest(
                f"Conversations are kept for 1 to {MAX_DAYS} days, or with 0 for ever; not for "
                f"{days}.",
                param="days",
            )
        self._do(lambda db: store.set_retention(db, days))
        if not days:
            return Done(message="Conversations are kept until they are deleted.")
        gone = self.tidy()
        return Done(
            message=f"Conversations are kept for {days} day{'s' * (days > 1)} after they were used "
            f"last; {gone} {'was' if gone == 1 else 'were'} older, and deleted."
        )

    # -- needed by answers and by time ---------------------------------------------------------

    def begin(
        self, conversation: Conversation, answer: Turn, is_wanted: Callable[[], bool]
    ) -> None:
        """Keep a conversation, and begin an answer in it (`store.begin`)."""

        def work(db: sqlite3.Connection) -> None:
            store.begin(db, conversation, answer, self._settings, self._today, is_wanted)

        self._do(work)

    def write(self, conversation: str, answer: str, text: str, facts: AnswerFacts) -> bool:
        """Write what has come of an answer; whether its conversation is still kept."""
        if not self.is_there:  # removed under our hands: it is not begun anew for a half answer
            return False
        return self._do(
            lambda db: store.write_answer(db, conversation, answer, text, facts, self._today)
        )

    def erase(self) -> bool:
        """Overwrite what deleted conversations left, as far as the time goes; whether more is left.

        A fault costs only that: what is left is overwritten later.
        """
        if not self.is_there:
            return False
        until = time.monotonic() + ERASE_SECONDS
        try:
            while self._do(store.erase):
                if time.monotonic() > until:
                    return True
        except NotReady as fault:
            log.warning("what was deleted is not overwritten yet: %s", fault)
        return False

    def tidy(self) -> int:
        """Delete what is older than it may be; gives how many conversations. Ends what died."""
        if not self.is_there or not (days := self._do(store.retention)):
            return 0
        total, before = 0, self._today - days * _DAY
        while gone := self._do(lambda db: store.expire(db, before)):
            total += gone
        if total:
            self.erase()
            log.info("%d conversations were older than %d days, and are deleted", total, days)
        return total

    def _refuse_without_file(self, name: ConversationName) -> None:
        if not self.is_there:
            raise not_kept(name.id)

    @property
    def _today(self) -> int:
        return int(self._now())

    def _do(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Do something with the file.

        Raises:
            NotReady: it cannot be used now.
        """

        def in_time(connection: sqlite3.Connection) -> T:
            with no_longer_than(connection, WORK_SECONDS, time.monotonic):
                self._end_died(connection)
                return work(connection)

        try:
            return self._file.use(in_time)
        except Trouble as trouble:
            raise NotReady(str(trouble)) from None

    def _end_died(self, connection: sqlite3.Connection) -> None:
        """Before anything else: whatever runs in the file now died with an earlier node."""
        if not self._has_looked:
            if died := store.end_died(connection):
                log.warning("%d answers were not whole when the node ended last", died)
            self._has_looked = True


def _called(title: str) -> str:
    return f"“{clip(title, 60)}”" if title else "without a title"
