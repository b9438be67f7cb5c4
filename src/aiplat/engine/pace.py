"""How fast a model goes, and so how much one step may read. Pure: durations are told to it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

_LEAST = 16
_FIRST_GUESS = 64
_WEIGHT = 0.2
_FADING = 0.95  # of what a step counts, with each later one
_SPREAD = 0.01  # of the squared mean: with less no line can be drawn


class Read(Protocol):
    """What a step reads of one request: tokens, and whether it draws one."""

    @property
    def ids(self) -> list[int]:
        """The tokens."""

    @property
    def draws(self) -> bool:
        """Whether a token is drawn after them."""


class Pace:
    """Running means over the last steps.

    A step takes a fixed time and some for each token: a line through the steps seen lately, the
    later the weightier, says how many tokens fit into one.

    Arguments:
        step_seconds: how long a step should take at most.
        most: tokens of prompts that a step reads at most.
    """

    def __init__(self, step_seconds: float, most: int) -> None:
        self._step_seconds = step_seconds
        self._most = most
        self._budget = float(min(most, _FIRST_GUESS))
        self._line = Line()
        self._request_seconds = 0.0
        self.tokens_per_second = 0.0
        """What one answering request got lately."""
        self.steps = 0

    def budget(self, answering: int) -> int:
        """Tokens of prompts that the next step may read beside `answering` requests."""
        return max(_LEAST, int(self._budget) - answering)

    def took(self, pieces: Sequence[Read], seconds: float) -> None:
        """Learn from a step."""
        self.steps += 1
        if not pieces or seconds <= 0:
            return
        if any(piece.draws for piece in pieces):
            self.tokens_per_second = _mean(self.tokens_per_second, 1 / seconds)
        tokens = sum(len(piece.ids) for piece in pieces)
        self._line.add(tokens, seconds)
        if tokens > len(pieces):  # a prompt was read: grow towards what fits, shrink at once
            grown = min(self._line.fits(self._step_seconds), self._budget * 1.5)
            self._budget = min(float(self._most), max(float(_LEAST), grown))

    def ended(self, seconds: float) -> None:
        """Learn from a request that finished after `seconds`."""
        self._request_seconds = _mean(self._request_seconds, seconds)

    def expected_wait(self, place: int, slots: int) -> float:
        """Seconds until the request at `place` of the queue gets one of `slots`; 0 if unknown."""
        return self._request_seconds * (place + 1) / slots


def _mean(old: float, new: float) -> float:
    return new if old == 0 else old + _WEIGHT * (new - old)


class Line:
    """Seconds of a step by its tokens: fixed + tokens · each, by least squares."""

    def __init__(self) -> None:
        self._weight = self._x = self._y = self._xx = self._xy = 0.0

    def add(self, tokens: int, seconds: float) -> None:
        """Learn from a step; earlier ones fade."""
        sums = (self._weight, self._x, self._y, self._xx, self._xy)
        new = (1.0, tokens, seconds, tokens * tokens, tokens * seconds)
        faded = [_FADING * old + one for old, one in zip(sums, new, strict=True)]
        self._weight, self._x, self._y, self._xx, self._xy = faded

    def fits(self, seconds: float) -> float:
        """How many tokens take so long; by their mean where all steps were alike."""
        mean_x, mean_y = self._x / self._weight, self._y / self._weight
        spread = self._xx / self._weight - mean_x * mean_x
        together = self._xy / self._weight - mean_x * mean_y
        if spread < _SPREAD * mean_x * mean_x or together <= 0:
            return mean_x * seconds / mean_y
        each = together / spread
        fixed = min(max(0.0, mean_y - each * mean_x), mean_y)
        return max(0.0, seconds - fixed) / each
