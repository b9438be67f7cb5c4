"""A person's conversations in their file: what may be asked of them, and what answers need.

Blocking, and for one thread at a time. A node has it behind `aiplat.history.history`; a command
uses it by itself, while no node can run.
"""

from __future__ import annotations

import logging
import sqlite3
import time
from collections.abc import Callable
from functools import partial
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
from aiplat.history.file import HistoryFile, TookLong, Trouble
from aiplat.history.finding import find, newest, not_kept
from aiplat.history.settings import HistorySettings

T = TypeVar("T")

log = logging.getLogger("aiplat.history")

WORK_SECONDS = 8.0
"""That one piece of work may take; a face waits longer."""
SEARCH_SECONDS = 2.0
"""That a search may take: answers that begin, or put down what has come, wait behind it."""
TIDY_SECONDS = 3.0
"""For one step of deleting what is too old; then others come in between."""
ERASE_SECONDS = 2.0
"""That a person waits for what is left of a deleted conversation to be overwritten."""
_DAY = 86_400


class _TookLong(NotReady):
    """A piece of work was given up."""


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
        self._noted = ""

    @property
    def is_there(self) -> bool:
        """Whether anything is kept."""
        return self._file.path.exists()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()

    def answer(
        self, method: str, wish: msgspec.Struct, is_wanted: Callable[[], bool] = lambda: True
    ) -> msgspec.Struct:
        """Do what a face asks (`aiplat.control.history.METHODS`).

        Arguments:
            is_wanted: whether the face waits still: nobody else waits behind a search for none.

        Raises:
            AiplatError: it cannot be done, or the file cannot be used. So do all methods here.
        """
        ways: dict[str, Callable[[Any], msgspec.Struct]] = {
            "list": partial(self.list, is_wanted=is_wanted), "show": self.show, "save": self.save,
            "delete": self.delete, "state": self.state, "retain": self.retain,
        }  # fmt: skip
        return ways[method](wish)

    def list(self, ask: HistoryAsk, is_wanted: Callable[[], bool] = lambda: True) -> HistoryList:
        """The conversations that were used last, or that words are found in."""
        found = self._found(ask, is_wanted) if self.is_there else HistoryList(conversations=())
        note = "" if ask.search else self._note()  # the file may have been moved just now
        return msgspec.structs.replace(found, note=note)

    def _found(self, ask: HistoryAsk, is_wanted: Callable[[], bool]) -> HistoryList:
        try:
            return self._do(lambda db: newest(db, ask, is_wanted), SEARCH_SECONDS, is_wanted)
        except _TookLong:
            raise NotReady(
                f"The search took more than {SEARCH_SECONDS:g} s, and was given up: type more of "
                "the word, or a rarer one."
            ) from None

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
            return HistoryState(conversations=0, bytes=0, days=0, path=path, note=self._note())

        def work(db: sqlite3.Connection) -> HistoryState:
            return HistoryState(
                conversations=store.count(db), bytes=store.used_bytes(db),
                days=store.retention(db), path=path,
            )  # fmt: skip

        return msgspec.structs.replace(self._do(work), note=self._note())

    def _note(self) -> str:
        """Tell of broken files that lie there; none is deleted here."""
        aside = self._file.aside
        return _broken(aside[-1], len(aside)) if aside else ""

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
        gone, is_all = self._expire()
        rest = "" if is_all else " More are older: they go step by step while the node runs."
        return Done(
            message=f"Conversations are kept for {days} day{'s' * (days > 1)} after they were used "
            f"last; {gone} {'was' if gone == 1 else 'were'} older, and deleted.{rest}"
        )

    # -- needed by answers and by time ---------------------------------------------------------

    def begin(self, conversation: Conversation, answer: Turn, is_wanted: Callable[[], bool]) -> str:
        """Keep a conversation, and begin an answer in it (`store.begin`).

        Gives what befell the file since the last answer began, in words; mostly nothing.
        """

        def work(db: sqlite3.Connection) -> None:
            store.begin(db, conversation, answer, self._settings, self._today, is_wanted)

        try:
            self._do(work)
        except store.CutPath as cut:
            if news := self._news():
                raise store.CutPath(f"{cut} {news}", param=cut.param) from None
            raise
        return self._news()

    def _news(self) -> str:
        moved, noted = self._file.moved, self._noted
        self._noted = moved
        return _broken(moved, 1) if moved != noted else ""

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
        """Delete what is older than it may be, as far as the time of one step goes.

        Ends what died. Gives how many conversations went; when it is not 0, there may be more.
        """
        return self._expire()[0]

    def _expire(self) -> tuple[int, bool]:
        """Do so; gives how many went, and whether those were all."""
        if not self.is_there or not (days := self._do(store.retention)):
            return 0, True
        total, before, end = 0, self._today - days * _DAY, time.monotonic() + TIDY_SECONDS

        def has_time() -> bool:
            return time.monotonic() < end

        while gone := self._do(lambda db: store.expire(db, before, has_time)):
            total += gone
            if not has_time():
                break
        if total:
            self.erase()
            log.info("%d conversations were older than %d days, and are deleted", total, days)
        return total, not gone

    def _refuse_without_file(self, name: ConversationName) -> None:
        if not self.is_there:
            raise not_kept(name.id)

    @property
    def _today(self) -> int:
        return int(self._now())

    def _do(
        self,
        work: Callable[[sqlite3.Connection], T],
        seconds: float = WORK_SECONDS,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> T:
        """Do something with the file.

        Raises:
            NotReady: it cannot be used now.
        """

        def in_time(connection: sqlite3.Connection) -> T:
            with no_longer_than(connection, seconds, time.monotonic, is_wanted):
                self._end_died(connection)
                return work(connection)

        try:
            return self._file.use(in_time)
        except TookLong as slow:
            raise _TookLong(str(slow)) from None
        except Trouble as trouble:
            raise NotReady(str(trouble)) from None

    def _end_died(self, connection: sqlite3.Connection) -> None:
        """Before anything else: whatever runs in the file now died with an earlier node."""
        if not self._has_looked:
            if died := store.end_died(connection):
                log.warning("%d answers were not whole when the node ended last", died)
            self._has_looked = True


def _broken(path: str, count: int) -> str:
    earlier = f"; {count - 1} that broke before lie beside it" if count > 1 else ""
    return (
        f"The conversations' file was broken, and a new one was begun: the old one is {path}, "
        f"for you to mend or to delete{earlier}."
    )


def _called(title: str) -> str:
    return f"“{clip(title, 60)}”" if title else "without a title"
