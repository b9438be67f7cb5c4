"""A request as the scheduler keeps it, and what a step is made of. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from aiplat.domain.answers import Finished
from aiplat.domain.usage import Timings, Usage
from aiplat.engine.outbox import Outbox


class Voice(Protocol):
    """Turns an answer's tokens into its text."""

    ended: bool
    """Whether the model or a stop string ended the answer."""

    def say(self, token: int) -> str:
        """Take the next token; give the text that became certain with it."""

    def flush(self) -> str:
        """Give what was held back: there are no more tokens."""


class Draw(NamedTuple):
    """How tokens are chosen. `temperature` 0 takes the likeliest."""

    temperature: float
    top_p: float
    seed: int


@dataclass(slots=True, eq=False, kw_only=True)
class Row:
    """One request.

    Arguments:
        number: its name in the engine's pipes.
        ids: the prompt's tokens, then those of the answer that were said elsewhere.
        prompt_tokens: how many of them are the prompt's.
        limit: most tokens of the whole answer.
        arrived, deadline: seconds on the engine's clock.
    """

    number: int
    ids: list[int]
    prompt_tokens: int
    limit: int
    draw: Draw
    voice: Voice
    outbox: Outbox
    arrived: float
    deadline: float

    slot: int = -1
    read: int = 0
    """How many of `ids` the model has read; the answer's own are appended as they are drawn."""
    served: int = 0
    """The turn in which some of its prompt was last read."""
    cancelled: bool = False
    queued: bool = False
    reason: str = ""
    """Why it stopped speaking, while its reader has not got all; empty while it speaks."""
    begun: float | None = None
    first: float | None = None
    """Seconds at which it got a slot, and its first token."""

    @property
    def said(self) -> int:
        """Tokens of the answer so far, those said elsewhere included."""
        return len(self.ids) - self.prompt_tokens

    @property
    def unread(self) -> int:
        """Tokens that the model has not read yet: one while it answers, more before."""
        return len(self.ids) - self.read

    @property
    def need(self) -> int:
        """Tokens that the KV cache must hold for it at most."""
        return self.prompt_tokens + self.limit

    @property
    def usage(self) -> Usage:
        """The prompt, and what was delivered of the answer by this engine."""
        return Usage(self.prompt_tokens, self.outbox.delivered)

    def finished(self, reason: str, now: float) -> Finished:
        """The good end."""
        begun = (now if self.begun is None else self.begun) - self.arrived
        first = 0.0 if self.first is None else self.first - self.arrived
        times = Timings(begun * 1000, first * 1000, (now - self.arrived) * 1000)
        return Finished(reason, self.usage, times)  # type: ignore[arg-type]  # only the four are used


class Piece(NamedTuple):
    """What the model reads of one request in a step.

    Arguments:
        row: whose it is.
        slot: the slot of the KV cache.
        start: position of the first token.
        ids: the tokens.
        draws: whether the last of them is answered by a new token.
    """

    row: Row
    slot: int
    start: int
    ids: list[int]
    draws: bool


class Step(NamedTuple):
    """What is to be done at once: slots to free, slots to make with their lengths, and to read."""

    closed: list[int]
    opened: list[tuple[int, int]]
    pieces: list[Piece]


class Fault(NamedTuple):
    """Why the model gave no token for one request."""

    message: str
