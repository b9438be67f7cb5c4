"""What an upstream said and the reader has no credit for yet. Pure.

As `engine.outbox`, for answers without token ids: log-probabilities where they were asked for, then
text, then calls of tools.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable

from aiplat.domain.answers import CallPiece, Delta, Logprobs
from aiplat.engine.backends.upstream.chunks import Scored

_CHAR = 4
"""What a character costs (`Delta.cost`)."""


class Pending:
    """Keeps what came until there is credit.

    Arguments:
        credit: what the reader takes at first, in units of `Delta.cost`.
    """

    __slots__ = ("_calls", "_scored", "_text", "credit", "pieces")

    def __init__(self, credit: int) -> None:
        self.credit = max(0, credit)
        self.pieces = 0
        """Pieces of text or calls that came: with most servers one for each token."""
        self._text = ""
        self._scored: deque[Scored] = deque()
        self._calls: deque[CallPiece] = deque()

    @property
    def empty(self) -> bool:
        """Whether all was given."""
        return not self._text and not self._scored and not self._calls

    def grant(self, credit: int) -> None:
        """Take more credit; a negative one, which only a broken peer sends, counts nothing."""
        self.credit += max(0, credit)

    def put(
        self, text: str, scored: Iterable[Scored] = (), calls: Iterable[CallPiece] = ()
    ) -> None:
        """Keep a piece."""
        before = len(self._calls)
        self._calls.extend(calls)
        self.pieces += bool(text) or len(self._calls) > before
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
        calls = () if self._scored or self._text else self._affordable_calls()
        if not text and not scored and not calls:
            return None
        said = Logprobs(tuple(s.token for s in scored), tuple(s.top for s in scored))
        return Delta((), text, said if scored else None, calls)

    def _affordable_calls(self) -> tuple[CallPiece, ...]:
        calls = []
        while self._calls and (price := Delta(calls=(self._calls[0],)).cost) <= self.credit:
            self.credit -= price
            calls.append(self._calls.popleft())
        return tuple(calls)


def _price(scored: Scored) -> int:
    return Delta(logprobs=Logprobs((scored.token,), (scored.top,))).cost
