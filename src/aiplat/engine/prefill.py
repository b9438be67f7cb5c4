"""Deals out what a step reads of prompts. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from aiplat.engine.fairness import READ
from aiplat.engine.rows import Row

_SHARE = 32  # tokens of a prompt that are read before it is another's turn


class Prefill:
    """Deals in small shares, one after another.

    Every other share goes to the row that has waited longest for one, so that a long prompt
    holds back no short one; the others to the tag that has had least, so that who asks for
    much pays for it.
    """

    def __init__(self) -> None:
        self._turn = 0

    def deal(
        self, rows: Iterable[Row], budget: int, had: Callable[[str], float]
    ) -> list[tuple[Row, int]]:
        """How many tokens each row reads, none of them 0; they are `budget` at most.

        Arguments:
            rows: those with a prompt to read.
            had: what a tag has had, in weighted tokens.
        """
        left = {row: row.unread for row in rows}
        owed = {row.tag: had(row.tag) for row in left}
        shares: dict[Row, int] = {}
        by_need = False
        while left and budget > 0:
            if by_need and len(owed) > 1:
                row = min(left, key=lambda row: (owed[row.tag], row.served))
            else:
                row = min(left, key=lambda row: row.served)
            by_need = not by_need
            share = min(left[row], _SHARE, budget)
            self._turn += 1
            row.served = self._turn
            shares[row] = shares.get(row, 0) + share
            owed[row.tag] += READ * share
            budget -= share
            left[row] -= share
            if not left[row]:
                del left[row]
        return list(shares.items())
