"""The calls of tools in an upstream's answer, put in order and cut into pieces. Pure.

A server may send anything: calls are counted and bounded here, and whose name is lacking, or whose
parts come in turns, is none.
"""

from __future__ import annotations

from collections.abc import Iterator

from aiplat.domain.answers import MAX_PIECE_CHARS, CallPiece
from aiplat.domain.chat import MAX_CALLS, MAX_NAME
from aiplat.engine.backends.upstream.chunks import CallPart


class Miscalled(Exception):
    """The calls are none; says why, in words that follow the upstream's name."""


class Called:
    """The calls of one answer so far.

    Arguments:
        one: whether only the first counts; not every server keeps to that.

    Attributes:
        count: how many began.
    """

    def __init__(self, *, one: bool = False) -> None:
        self.count = 0
        self._one = one
        self._place: int | None = None

    def pieces(self, parts: tuple[CallPart, ...]) -> list[CallPiece]:
        """What the parts of a chunk bring on.

        Raises:
            Miscalled: they are no calls, or too many.
        """
        return [piece for part in parts for piece in self._of(part)]

    def _of(self, part: CallPart) -> Iterator[CallPiece]:
        if self._one and self._place is not None and part.place != self._place:
            return
        if part.place != self._place:
            self._begin(part)
            room = MAX_PIECE_CHARS - len(part.name)
            yield CallPiece(self.count - 1, part.name, part.arguments[:room])
        elif part.name:
            raise Miscalled("names one call of a tool twice")
        else:
            room = 0
        for start in range(room, len(part.arguments), MAX_PIECE_CHARS):
            text = part.arguments[start : start + MAX_PIECE_CHARS]
            yield CallPiece(self.count - 1, "", text)

    def _begin(self, part: CallPart) -> None:
        if not part.name:
            raise Miscalled("sent a call of a tool without its name")
        if len(part.name) > MAX_NAME:
            raise Miscalled(f"calls a tool whose name has more than {MAX_NAME} characters")
        if self.count >= MAX_CALLS:
            raise Miscalled(f"calls more than {MAX_CALLS} tools at once")
        if self._place is not None and part.place < self._place:
            raise Miscalled("sent its calls of tools in turns")
        self._place = part.place
        self.count += 1
