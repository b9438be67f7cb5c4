"""What an answer has said and its reader has no credit for yet. Pure."""

from __future__ import annotations

from aiplat.domain.answers import Delta

_UNIT = 4  # of credit: one id or one character (`Delta.cost`)


class Outbox:
    """Keeps ids and text until there is credit, then gives them as deltas.

    Arguments:
        credit: what the reader takes at first, in units of `Delta.cost`.
    """

    __slots__ = ("_ids", "_text", "credit", "delivered")

    def __init__(self, credit: int) -> None:
        self.credit = max(0, credit)
        self.delivered = 0
        """Tokens given so far."""
        self._ids: tuple[int, ...] = ()
        self._text = ""

    @property
    def empty(self) -> bool:
        """Whether all was given."""
        return not self._ids and not self._text

    def grant(self, credit: int) -> None:
        """Take more credit; a negative one, which only a broken peer sends, counts nothing."""
        self.credit += max(0, credit)

    def put(self, ids: tuple[int, ...], text: str) -> None:
        """Keep what was said."""
        self._ids += ids
        self._text += text

    def clear(self) -> None:
        """Forget what was not given: the request was cancelled."""
        self._ids, self._text = (), ""

    def take(self) -> Delta | None:
        """What credit allows of all that is kept, ids first; None when that is nothing."""
        room = self.credit // _UNIT
        if room <= 0 or self.empty:
            return None
        ids = self._ids[:room]
        text = self._text[: room - len(ids)]
        self._ids, self._text = self._ids[len(ids) :], self._text[len(text) :]
        self.credit -= _UNIT * (len(ids) + len(text))
        self.delivered += len(ids)
        return Delta(ids, text)
