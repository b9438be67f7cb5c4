"""A request as the scheduler keeps it, and what a step is made of. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol

from aiplat.domain.answers import CallPiece, Finished
from aiplat.domain.usage import Timings, Usage
from aiplat.engine.outbox import Outbox
from aiplat.engine.tally import Tally

_COLD = 1e-5  # below this temperature the likeliest is taken, as in vLLM


class Voice(Protocol):
    """Turns an answer's tokens into its text."""

    @property
    def ended(self) -> bool:
        """Whether the model or a stop string ended the answer."""

    @property
    def stop(self) -> str:
        """The stop string that did; empty where none did."""

    @property
    def called(self) -> bool:
        """Whether tools were called."""

    def say(self, token: int) -> str:
        """Take the next token; give the text that became certain with it."""

    def flush(self) -> str:
        """Give what was held back: there are no more tokens."""

    def take_calls(self) -> tuple[CallPiece, ...]:
        """The calls of tools that became certain since the last call."""

    def is_end(self, token: int) -> bool:
        """Whether the token is no text, but the model's sign that the answer is over."""


class Matcher(Protocol):
    """Keeps an answer to a grammar. One thread makes it, another uses it, never both at once."""

    @property
    def ended(self) -> bool:
        """Whether the grammar lets nothing follow."""

    def allowed(self, width: int) -> Any:
        """Ids that may come next, ascending, below `width`: an array of numpy; never none.

        Raises:
            ValueError: the grammar's bounds of time and memory were reached.
        """

    def take(self, token: int) -> bool:
        """Go on by the next token; false where the grammar does not have it."""


class Draw(NamedTuple):
    """How tokens are chosen (`domain.chat.Sampling`, with the model's defaults filled in).

    Arguments:
        temperature: 0 takes the likeliest.
        top_p, top_k, min_p: what is left out of the draw; 1, 0 and 0 leave nothing out.
        seed: of the draws, a signed whole number of 64 bits.
        repetition: penalty of each token of the prompt and the answer (CTRL's); 1 for none.
        presence, frequency: penalties of the answer's tokens (OpenAI's); 0 for none.
        bias: added to the logits of tokens.
        logprobs: how many of the likeliest are told beside the token; None tells nothing.
    """

    temperature: float
    top_p: float
    seed: int
    top_k: int = 0
    min_p: float = 0.0
    repetition: float = 1.0
    presence: float = 0.0
    frequency: float = 0.0
    bias: tuple[tuple[int, float], ...] = ()
    logprobs: int | None = None

    @property
    def plain(self) -> bool:
        """Whether the logits are taken as the model gave them."""
        return self.repetition == 1.0 and not self.presence and not self.frequency and not self.bias

    @property
    def greedy(self) -> bool:
        """Whether nothing is left to chance."""
        return self.temperature < _COLD or self.top_p == 0.0 or self.top_k == 1


class Drawn(NamedTuple):
    """A token that was drawn.

    Arguments:
        token: its id.
        logprob: its natural logarithm of probability, by the model's raw logits: before bias,
            penalties and temperature (as OpenAI and vLLM tell it); None where not asked for.
        top: the likeliest tokens in its place with theirs, likeliest first.
    """

    token: int
    logprob: float | None = None
    top: tuple[tuple[int, float], ...] = ()


@dataclass(slots=True, eq=False, kw_only=True)
class Row:
    """One request.

    Arguments:
        number: its name in the engine's pipes.
        ids: the prompt's tokens, then those of the answer that were said elsewhere.
        prompt_tokens: how many of them are the prompt's.
        limit: most tokens of the whole answer.
        arrived, deadline: seconds on the engine's clock.
        tag: the fairness tag of who asks; rows of one tag share what was read before.
        matcher: what keeps the answer to a grammar, while it is generated; None for free text.
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
    tag: str = ""
    matcher: Matcher | None = None

    place: int = -1
    """Of the KV cache; -1 while it has none."""
    read: int = 0
    """How many of `ids` are in the cache; the answer's own are appended as they are drawn."""
    tally: Tally | None = None
    """Counts its tokens, where it has penalties."""
    cached: int = 0
    """Tokens that were there when it got its place: an earlier request's prefix."""
    served: int = 0
    """When it last had a share of what a step reads of prompts: a number that only grows."""
    cancelled: bool = False
    told: int = -1
    """The place in the queue that its asker was last told of."""
    overtaken: int = 0
    """How many were let in before it, though it came before them or was next."""
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
    def is_over(self) -> bool:
        """Whether the answer ends with what was said so far."""
        ended = self.voice.ended or (self.matcher is not None and self.matcher.ended)
        return ended or self.said >= self.limit

    @property
    def usage(self) -> Usage:
        """The prompt, and what was delivered of the answer by this engine."""
        cached = min(self.cached, self.prompt_tokens)
        return Usage(self.prompt_tokens, self.outbox.delivered, cached)

    def finished(self, reason: str, now: float) -> Finished:
        """The good end."""
        begun = (now if self.begun is None else self.begun) - self.arrived
        first = 0.0 if self.first is None else self.first - self.arrived
        times = Timings(begun * 1000, first * 1000, (now - self.arrived) * 1000)
        stop = self.voice.stop if reason == "stop" else ""
        return Finished(reason, self.usage, times, stop=stop)  # type: ignore[arg-type]  # one of the four


class Piece(NamedTuple):
    """What the model reads of one request in a step.

    Arguments:
        row: whose it is.
        place: the place of the KV cache.
        start: position of the first token.
        ids: the tokens.
        draws: whether the last of them is answered by a new token.
    """

    row: Row
    place: int
    start: int
    ids: list[int]
    draws: bool


class Opening(NamedTuple):
    """A place that is made ready for a request. What it held besides `kept` is forgotten.

    Arguments:
        place: of the KV cache.
        length: tokens that the request has at most.
        kept: how many of its first tokens are in `source` already; 0 for none.
        source: `place` itself (they stay where they are), or another place, at work or free:
            they are copied from it. What is copied is what it holds when its turn comes in
            `Step.opened`; a source is never closed or opened anew before that in its step.
    """

    place: int
    length: int
    kept: int
    source: int


class Step(NamedTuple):
    """What is to be done at once, in this order: places to empty, to make ready, and to read."""

    closed: list[int]
    opened: list[Opening]
    pieces: list[Piece]


class Fault(NamedTuple):
    """Why the model gave no token for one request."""

    message: str
