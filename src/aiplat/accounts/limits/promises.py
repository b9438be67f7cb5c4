"""Who was told to come back to one limit and when, so that those who are told later come later.

A promise is no claim: nobody is refused for one. It only makes the limiter tell others later times,
as if those it told before had come and taken their part. Pure; times are in milliseconds.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable

MOST_PROMISES = 1000
"""Of one limit of one subject; more are not kept."""
LONGEST_WAIT = 3_600_000
"""Nobody is told more, however many wait."""
LATE = 1000
"""A promise is kept so long after its time: who comes has a way to come."""
_EARLY = 5
"""The clocks of those who sleep are not better than that."""
_MOST_STEPS = 500
"""So many things that leave a limit are looked at for one refusal, and no more."""

_MOST_ROOM = 16.0
_MORE_ROOM = 1.1
"""For one who came when told and was refused: others came between."""
_LESS_ROOM = _MORE_ROOM ** (-1 / 14)
"""For one who came and was let in. The two balance where 14 of 15 are."""


class Promises:
    """Those that were told to come back to one limit of one subject.

    Others take what was meant for those who wait: they come while there is room, and nobody is
    refused who fits. So a promise counts for more than its amount, by as much as it shows to need
    for nearly all to be let in who come when they were told.

    Arguments:
        room: how much more a promise counts for, before anybody came.
    """

    __slots__ = ("_all", "_promised", "_room")

    def __init__(self, room: float) -> None:
        self._all: list[tuple[int, float]] = []  # when, and how much of the limit; the next first
        self._promised = 0.0
        self._room = room

    def move(self, now: int) -> None:
        """Drop those whose time is over."""
        gone = bisect.bisect_left(self._all, (now - LATE, 0.0))
        if gone:
            del self._all[:gone]
            self._promised = math.fsum(amount for _, amount in self._all)

    def is_empty(self, now: int) -> bool:
        """Whether nobody is waited for any more."""
        return not self._all or self._all[-1][0] < now - LATE

    def claim(self, now: int) -> bool:
        """Somebody asks: whether it may be one who was told to come now; that one waits no more."""
        self.move(now)
        if not self._all or self._all[0][0] > now + _EARLY:
            return False
        amount = self._all.pop(0)[1]
        self._promised = self._promised - amount if self._all else 0.0  # sums of floats drift
        return True

    def came(self, *, let_in: bool) -> None:
        """Learn what became of one who came when told."""
        room = self._room * (_LESS_ROOM if let_in else _MORE_ROOM)
        self._room = min(max(room, 1.0), _MOST_ROOM)

    def free_at(
        self,
        lacking: float,
        taken: float,
        leaving: Iterable[tuple[int, float]],
        last: int,
        stay: int,
    ) -> int:
        """Tell when there will be room, if those who wait already come and take their part.

        Gives 0 where there is room even so.

        Arguments:
            lacking: how much has to leave for one who comes now to fit; below 0 where more fits.
            taken: how much is taken now.
            leaving: what leaves of it, the next first: when, and how much.
            last: when all of it has left.
            stay: how long they stay who will come.
        """
        lacking += self._promised
        if lacking <= 0:
            return 0
        if lacking > taken:
            return self._free_after(lacking - taken, last, stay)
        at = last
        for step, (leaves, amount) in enumerate(leaving):
            lacking -= amount
            if lacking <= 0 or step == _MOST_STEPS:
                at = leaves if lacking <= 0 else last
                break
        return at

    def _free_after(self, lacking: float, last: int, stay: int) -> int:
        """When there is room that they leave who are still to come."""
        if not self._all:
            return last
        latest = self._all[-1][0]
        if len(self._all) < MOST_PROMISES:
            for when, amount in self._all:
                lacking -= amount
                if lacking <= 1e-6:  # they are rounded
                    latest = when
                    break
        return max(last, latest + stay)

    def promise(self, when: int, amount: float) -> None:
        """Somebody was told to come then, and will take so much."""
        if len(self._all) < MOST_PROMISES:
            bisect.insort(self._all, (when, amount * self._room))
            self._promised += amount * self._room
