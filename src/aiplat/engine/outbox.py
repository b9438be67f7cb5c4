"""What an answer has said and its reader has no credit for yet. Pure."""

from __future__ import annotations

from collections import deque

from aiplat.domain.answers import CallPiece, Delta, Logprobs, TokenLogprob

_UNIT = 4  # of credit: one id or one character (`Delta.cost`)

Told = tuple[TokenLogprob, tuple[TokenLogprob, ...]]
"""A token's logprob, and those of the likeliest in its place."""


class Outbox:
    """Keeps ids, text and calls until there is credit, then gives them as deltas.

    Arguments:
        credit: what the reader takes at first, in units of `Delta.cost`.
    """

    __slots__ = ("_calls", "_ids", "_text", "_told", "credit", "delivered")

    def __init__(self, credit: int) -> None:
        self.credit = max(0, credit)
        self.delivered = 0
        """Tokens given so far."""
        self._ids: tuple[int, ...] = ()
        self._text = ""
        self._told: deque[Told] = deque()  # one for each id, or none at all
        self._calls: deque[CallPiece] = deque()

    @property
    def empty(self) -> bool:
        """Whether all was given."""
        return not self._ids and not self._text and not self._calls

    def grant(self, credit: int) -> None:
        """Take more credit; a negative one, which only a broken peer sends, counts nothing."""
        self.credit += max(0, credit)

    def put(
        self,
        ids: tuple[int, ...],
        text: str,
        told: Told | None = None,
        calls: tuple[CallPiece, ...] = (),
    ) -> None:
        """Keep what was said; an answer is told the logprobs of all its tokens or of none."""
        self._ids += ids
        self._text += text
        if told is not None:
            self._told.append(told)
        self._calls.extend(calls)

    def clear(self) -> None:
        """Forget what was not given: the request was cancelled."""
        self._ids, self._text = (), ""
        self._told.clear()
        self._calls.clear()

    def take(self) -> Delta | None:
        """What credit allows of all that is kept; None when that is nothing.

        Ids go first, then text, then calls; a piece of a call goes whole.
        """
        if self.credit < _UNIT or self.empty:
            return None
        count, logprobs = self._affordable()
        ids, room = self._ids[:count], self.credit // _UNIT
        text = ""
        if count == len(self._ids):  # text never comes before its ids
            spent = Delta(ids, "", logprobs).cost // _UNIT
            text = self._text[: room - spent]
        self._ids, self._text = self._ids[count:], self._text[len(text) :]
        delta = Delta(ids, text, logprobs)
        if self._calls and not self._ids and not self._text:
            delta = Delta(ids, text, logprobs, self._affordable_calls(self.credit - delta.cost))
        if not ids and not text and not delta.calls:
            return None
        self.credit -= delta.cost
        self.delivered += count
        return delta

    def _affordable_calls(self, credit: int) -> tuple[CallPiece, ...]:
        """The pieces that there is credit for; they leave the box."""
        calls = []
        while self._calls and (price := Delta(calls=(self._calls[0],)).cost) <= credit:
            credit -= price
            calls.append(self._calls.popleft())
        return tuple(calls)

    def _affordable(self) -> tuple[int, Logprobs | None]:
        """How many ids there is credit for, and what is told of them."""
        if not self._told:
            return min(len(self._ids), self.credit // _UNIT), None
        left, told = self.credit, []
        while self._told:
            token, top = self._told[0]
            left -= _UNIT + Logprobs((token,), (top,)).cost
            if left < 0:
                break
            told.append(self._told.popleft())
        if not told:
            return 0, None
        return len(told), Logprobs(tuple(t for t, _ in told), tuple(top for _, top in told))
