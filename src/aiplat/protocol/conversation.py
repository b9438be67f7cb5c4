"""What may be said when, in one request: a table, and the counts that go with it.

Both ends run the same machine: the one checks what it is about to say, the other what it hears.
"""

from __future__ import annotations

from enum import IntEnum, auto

import msgspec

from aiplat.domain.answers import Delta, Failed, Finished, Queued, Started, Submission
from aiplat.protocol.errors import Violation
from aiplat.protocol.messages import Ack, Answer, Cancel

MAX_CREDIT = 16 * 1024 * 1024


class State(IntEnum):  # an Enum's hash is Python, and asked for with each token
    """Where a request stands."""

    SUBMITTED = auto()
    STARTED = auto()
    ENDED = auto()


_TRANSITIONS: dict[tuple[State, type[msgspec.Struct]], State] = {
    (State.SUBMITTED, Queued): State.SUBMITTED,
    (State.SUBMITTED, Started): State.STARTED,
    (State.SUBMITTED, Finished): State.ENDED,  # only when it was cancelled: see `_finish`
    (State.SUBMITTED, Failed): State.ENDED,
    (State.STARTED, Delta): State.STARTED,
    (State.STARTED, Finished): State.ENDED,
    (State.STARTED, Failed): State.ENDED,
}


class Conversation:
    """One request between the one who asked and the one who answers.

    `tokens` is the count of token ids that passed, `credit` what may still come (`Delta.cost`).
    """

    __slots__ = ("_exact", "_vocabulary", "cancelling", "credit", "state", "tokens")

    def __init__(self, submission: Submission) -> None:
        if not 0 < submission.credit <= MAX_CREDIT:
            raise Violation(f"a credit of {submission.credit}; 1 to {MAX_CREDIT} are allowed")
        self.state = State.SUBMITTED
        self.credit = submission.credit
        self.tokens = 0
        self.cancelling = False
        self._vocabulary = 0
        self._exact = True

    def answer(self, event: Answer) -> None:
        """Note an event from the one who answers.

        Raises:
            Violation: not now, over the credit, or with numbers that cannot be.
        """
        after = _TRANSITIONS.get((self.state, type(event)))
        if after is None:
            raise Violation(f"a {type(event).__name__} while the request is {self.state.name}")
        if type(event) is Delta:
            self._delta(event)
        elif type(event) is Started:
            self._start(event)
        elif type(event) is Finished:
            self._finish(event)
        self.state = after

    def _start(self, started: Started) -> None:
        if started.prompt_tokens < 0 or started.manifest.vocabulary <= 0:
            raise Violation("a Started with impossible counts")
        self._vocabulary = started.manifest.vocabulary
        self._exact = started.exact

    def _delta(self, delta: Delta) -> None:
        cost = delta.cost
        if cost == 0:
            raise Violation("a Delta with nothing in it")
        if cost > self.credit:
            raise Violation(f"a Delta that costs {cost} with {self.credit} of credit left")
        if delta.ids and not 0 <= min(delta.ids) <= max(delta.ids) < self._vocabulary:
            raise Violation(f"a token id outside the vocabulary of {self._vocabulary}")
        self.credit -= cost
        self.tokens += len(delta.ids)

    def _finish(self, finished: Finished) -> None:
        if self.state is State.SUBMITTED and not (
            self.cancelling and finished.reason == "cancelled"
        ):
            raise Violation("a Finished before Started of a request that was not cancelled")
        usage = finished.usage
        if min(usage.prompt_tokens, usage.completion_tokens, usage.cached_tokens) < 0:
            raise Violation("a usage below zero")
        if self._exact and usage.exact and usage.completion_tokens != self.tokens:
            raise Violation(
                f"a usage of {usage.completion_tokens} completion tokens after {self.tokens} came"
            )

    def ack(self, ack: Ack) -> None:
        """Note what the one who asked took, and grants.

        Raises:
            Violation: more tokens than were said, or more credit than is kept count of.
        """
        if not 0 <= ack.tokens <= self.tokens:
            raise Violation(f"an Ack of {ack.tokens} tokens when {self.tokens} were said")
        if not 0 <= ack.credit <= MAX_CREDIT - self.credit:
            raise Violation(f"an Ack that grants {ack.credit} beside {self.credit}")
        self.credit += ack.credit

    def cancel(self, _: Cancel) -> None:
        """Note that the one who asked wants the end.

        Raises:
            Violation: it was said before.
        """
        if self.cancelling:
            raise Violation("a second Cancel")
        self.cancelling = True
