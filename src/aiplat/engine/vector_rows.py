"""A request for vectors as its scheduler keeps it, and what a step is made of. Pure data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from aiplat.domain.answers import Finished
from aiplat.domain.usage import Timings, Usage


@dataclass(slots=True, eq=False, kw_only=True)
class VectorRow:
    """One request.

    Arguments:
        number: its name in the engine's pipes.
        texts: the tokens of each.
        size: numbers that a vector shall have.
        cost: what one vector takes of credit.
        credit: what the reader takes at first.
        arrived, deadline: seconds on the engine's clock.
        tag: the fairness tag of who asks.
    """

    number: int
    texts: list[list[int]]
    size: int
    cost: int
    credit: int
    arrived: float
    deadline: float
    tag: str = ""

    next: int = 0
    """The first text that no step has read."""
    had: int = 0
    """Tokens that were read for it."""
    cancelled: bool = False
    begun: float | None = None
    first: float | None = None
    """Seconds at which its first text was read, and its first vector was there."""

    @property
    def tokens(self) -> int:
        """Of all its texts."""
        return sum(map(len, self.texts))

    @property
    def may_go_on(self) -> bool:
        """Whether a text is left, and its reader takes one more vector."""
        return self.next < len(self.texts) and self.credit >= self.cost

    @property
    def usage(self) -> Usage:
        """All its tokens: none is written."""
        return Usage(self.tokens, 0)

    def finished(self, reason: str, now: float) -> Finished:
        """The good end."""
        begun = (now if self.begun is None else self.begun) - self.arrived
        first = 0.0 if self.first is None else self.first - self.arrived
        times = Timings(begun * 1000, first * 1000, (now - self.arrived) * 1000)
        return Finished(reason, self.usage, times)  # type: ignore[arg-type]  # "stop" or "cancelled"


class Text(NamedTuple):
    """A text that the model reads in a step.

    Arguments:
        row: whose it is.
        ids: its tokens.
        draws: that nothing is written after it; `Pace` asks.
    """

    row: VectorRow
    ids: list[int]
    draws: bool = False
