"""What an upstream said and the reader has no credit for yet. Pure.

As `engine.outbox`, for answers without token ids: text, and log-probabilities where they were asked
for, which go first.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from aiplat.domain.answers import Delta, Logprobs
from aiplat.engine.backends.upstream.chunks import Scored

_CHAR = 4
"""What a character costs (`Delta.cost`)."""


class Pending:
    """Keeps what came until there is credit.

    Arguments:
        credit: what the reader takes at first, in units of `Delta.cost`.
    """

    __slots__ = ("_scored", "_text", "credit", "pieces")

    def __init__(self, credit: int) -> None:
        self.credit = max(0, credit)
        self.pieces = 0
        """Pieces of text that came: with most servers one for each token."""
        self._text = ""
        self._scored: deque[Scored] = deque()

    @property
    def empty(self) -> bool:
        """Whether all was given."""
        return not self._text and not self._scored

    def grant(self, credit: int) -> None:
        """Take more credit; a negative one, which only a broken peer sends, counts nothing."""
        self.credit += max(0, credit)

    def put(self, text: str, scored: Iterable[Scored] = ()) -> None:
        """Keep a piece."""
        self.pieces += bool(text)
        self._text += text
        self._scored.extend(scored)

    def take(self) -> Delta | None:
        """What credit allows of all that is kept; None when that is nothing."""
        scored = []
        while self._scored and (price := _price(self._scored[0])) <= self.credit:
            self.credit -= price
            scored.append(self._scored.popleft())
        room = 0 if self._scored else self.credit // _CHAR
        text, self._text = self._text[:room], self._text[room:]
        self.credit -= _CHAR * len(text)
        if not text and not scored:
            return None
        if not scored:
            return Delta((), text)
        said = Logprobs(tuple(s.token for s in scored), tuple(s.top for s in scored))
        return Delta((), text, said)


def _price(scored: Scored) -> int:
    return Delta(logprobs=Logprobs((scored.token,), (scored.top,))).cost
