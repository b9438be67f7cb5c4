"""Both ends of a request that hold the other to the rules: one reads, one answers."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from typing import Literal, NamedTuple

from hypothesis import strategies as st

from aiplat.domain.answers import (
    LEAST_CREDIT,
    AnswerEvent,
    Asking,
    Delta,
    Failed,
    Finished,
    Started,
)
from aiplat.domain.errors import EngineFailed
from aiplat.domain.usage import Usage
from aiplat.node.incoming import Incoming
from tests.unit.node.helpers import STARTED

End = Literal["stop", "fail"]


class Answer(NamedTuple):
    """What is said to one request.

    Arguments:
        prompt: what is asked.
        credit: the reader's window.
        pieces: of each delta, how many tokens and which text.
        end: how it ends.
    """

    prompt: str
    credit: int
    pieces: tuple[tuple[int, str], ...]
    end: End

    @property
    def tokens(self) -> int:
        """How many token ids it has: 0, 1, 2 and so on."""
        return sum(tokens for tokens, _ in self.pieces)

    @property
    def text(self) -> str:
        """Its whole text."""
        return "".join(text for _, text in self.pieces)

    def events(self) -> Iterator[AnswerEvent]:
        """Everything that is delivered, in order."""
        ids = count()
        yield STARTED
        for tokens, text in self.pieces:
            yield Delta(tuple(next(ids) for _ in range(tokens)), text)
        failed = Failed.of(EngineFailed("as the test wants it"))
        yield Finished("stop", Usage(3, self.tokens)) if self.end == "stop" else failed


def answers(longest: int = 40) -> st.SearchStrategy[Answer]:
    """Answers with texts of up to so many characters a delta, from one token to some fifty."""
    long = st.integers(1, longest).map(lambda length: "ab" * (length // 2) + "é")
    text = st.one_of(st.text(max_size=20), st.text(max_size=20), long)
    piece = st.tuples(st.integers(0, 6), text).filter(any)
    return st.builds(
        _answer,
        text,
        st.one_of(st.integers(LEAST_CREDIT, 200), st.integers(200, 100_000)),
        st.lists(piece, max_size=8).map(tuple),
        st.sampled_from(["stop", "fail"]),
    )


def _answer(prompt: str, credit: int, pieces: tuple[tuple[int, str], ...], end: End) -> Answer:
    """One that takes at most some 80 grants of credit: more say nothing new, and take long."""
    cost = 4 * sum(tokens + len(text) for tokens, text in pieces)
    return Answer(prompt, max(credit, cost // 40), pieces, end)


class StrictSink:
    """A reader that keeps what it hears, and what it should not have heard (`AnswerSink`).

    Arguments:
        credit: what it granted with its request.
    """

    def __init__(self, credit: int) -> None:
        self.asking: Asking | None = None
        self.ids: list[int] = []
        self.text = ""
        self.end: Finished | Failed | None = None
        self.faults: list[str] = []
        self._began = False
        self._granted = credit
        self._cost = self._taken = 0

    def deliver(self, event: AnswerEvent) -> None:
        """Note it."""
        if self.end is not None:
            self.faults.append(f"{event} after the end")
        if isinstance(event, Started):
            self._began = True
        elif isinstance(event, Finished | Failed):
            self.end = event
            self._check_count(event.usage)
        elif isinstance(event, Delta):
            self._hear(event)

    def _hear(self, delta: Delta) -> None:
        self.ids += delta.ids
        self.text += delta.text
        self._cost += delta.cost
        if not self._began:
            self.faults.append("a delta before Started")
        if self._cost > self._granted:
            self.faults.append(f"{self._cost} came, {self._granted} were granted")

    def _check_count(self, usage: Usage | None) -> None:
        if usage is None or isinstance(self.end, Failed):
            return
        if usage.exact and usage.completion_tokens != len(self.ids) and self._began:
            self.faults.append(f"{usage} after {len(self.ids)} tokens")
        if min(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) < 0:
            self.faults.append(f"{usage} is below zero")

    def take(self) -> None:
        """Accept all that came, and grant as much again."""
        if self.asking is not None and self._cost > self._taken:
            more, self._taken = self._cost - self._taken, self._cost
            self._granted += more
            self.asking.accept(len(self.ids), more)

    def cancel(self) -> None:
        """Want no more."""
        if self.asking is not None:
            self.asking.cancel()


class Teller:
    """Who answers a request, an event at a time (`Asking`)."""

    def __init__(self, incoming: Incoming, answer: Answer) -> None:
        self._incoming = incoming
        self._events = answer.events()
        self._told = 0
        self._is_over = False

    def tell(self) -> bool:
        """Deliver the next event; False when there is none."""
        event = None if self._is_over else next(self._events, None)
        if event is None:
            return False
        self._is_over = isinstance(event, Finished | Failed)
        if isinstance(event, Delta):
            self._told += len(event.ids)
        self._incoming.deliver(event)
        return True

    def accept(self, tokens: int, credit: int) -> None:
        """The channel holds back what is over the credit: nothing to do."""

    def cancel(self) -> None:
        """End it, as a processor does."""
        if not self._is_over:
            self._is_over = True
            self._incoming.deliver(Finished("cancelled", Usage(3, self._told)))


@contextmanager
def no_exceptions() -> Iterator[None]:
    """See that nothing was raised in the block that something else had to catch and log."""
    caught = _Caught()
    logger = logging.getLogger("aiplat")
    logger.addHandler(caught)
    try:
        yield
    finally:
        logger.removeHandler(caught)
    assert not caught.records, caught.records[0].getMessage()


class _Caught(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.ERROR)
        self.records: list[logging.LogRecord] = []

    def emit(self, record: logging.LogRecord) -> None:
        if record.exc_info:
            self.records.append(record)
