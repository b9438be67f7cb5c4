"""How fast a model goes, and so how much one step may read. Pure: durations are told to it."""

from __future__ import annotations

from collections.abc import Sequence

from aiplat.engine.rows import Piece

_LEAST = 16
_FIRST_GUESS = 64
_WEIGHT = 0.2


class Pace:
    """Running means over the last steps.

    Arguments:
        step_seconds: how long a step should take at most.
        most: tokens of prompts that a step reads at most.
    """

    def __init__(self, step_seconds: float, most: int) -> None:
        self._step_seconds = step_seconds
        self._most = most
        self._budget = float(min(most, _FIRST_GUESS))
        self._request_seconds = 0.0
        self.tokens_per_second = 0.0
        """What one answering request got lately."""
        self.steps = 0

    def budget(self, answering: int) -> int:
        """Tokens of prompts that the next step may read beside `answering` requests."""
        return max(_LEAST, int(self._budget) - answering)

    def took(self, pieces: Sequence[Piece], seconds: float) -> None:
        """Learn from a step."""
        self.steps += 1
        if not pieces or seconds <= 0:
            return
        if any(piece.draws for piece in pieces):
            self.tokens_per_second = _mean(self.tokens_per_second, 1 / seconds)
        tokens = sum(len(piece.ids) for piece in pieces)
        if tokens > len(pieces):  # a prompt was read: grow towards what fits, shrink at once
            fits = tokens * self._step_seconds / seconds
            grown = min(fits, self._budget * 1.5)
            self._budget = min(float(self._most), max(float(_LEAST), grown))

    def ended(self, seconds: float) -> None:
        """Learn from a request that finished after `seconds`."""
        self._request_seconds = _mean(self._request_seconds, seconds)

    def expected_wait(self, place: int, slots: int) -> float:
        """Seconds until the request at `place` of the queue gets one of `slots`; 0 if unknown."""
        return self._request_seconds * (place + 1) / slots


def _mean(old: float, new: float) -> float:
    return new if old == 0 else old + _WEIGHT * (new - old)
