"""What was said to one work, gathered from its events. Pure; knows no API."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from aiplat.domain.answers import AnswerEvent, CallPiece, Delta, Failed, Finished, Started
from aiplat.domain.errors import ShuttingDown
from aiplat.domain.usage import Usage


class Called(msgspec.Struct, frozen=True):
    """A call of a tool, whole: its place among the answer's calls, and its JSON text."""

    index: int
    name: str
    arguments: str


class Said:
    """One answer.

    Attributes:
        deltas: as they came, with log-probabilities.
        started: who works on it; a later one, after a move, has the last word.
        finished: its end, once that came.
    """

    def __init__(self) -> None:
        self.deltas: list[Delta] = []
        self.started: Started | None = None
        self.finished: Finished | None = None

    @property
    def is_complete(self) -> bool:
        """Whether it has ended."""
        return self.finished is not None

    @property
    def end(self) -> Finished:
        """Its end, of a complete one."""
        assert self.finished is not None
        return self.finished

    @property
    def attempts(self) -> int | None:
        """How many were tried; None while nobody works on it."""
        return None if self.started is None else self.started.attempts

    @property
    def text(self) -> str:
        """All its text."""
        return "".join([delta.text for delta in self.deltas])

    @property
    def calls(self) -> list[Called]:
        """The tools that it called."""
        pieces: dict[int, list[CallPiece]] = {}
        for delta in self.deltas:
            for piece in delta.calls:
                pieces.setdefault(piece.index, []).append(piece)
        return [
            Called(
                index,
                "".join([piece.name for piece in parts]),
                "".join([piece.arguments for piece in parts]),
            )
            for index, parts in sorted(pieces.items())
        ]

    @property
    def vectors(self) -> list[bytes]:
        """All its vectors, of an `Embed`."""
        return [vector for delta in self.deltas for vector in delta.vectors]

    def take(self, event: AnswerEvent) -> None:
        """Gather the next event.

        Raises:
            AiplatError: it failed, or was cancelled by somebody else.
        """
        match event:
            case Delta():
                self.deltas.append(event)
            case Started():
                self.started = event
            case Failed():
                raise event.error()
            case Finished():
                refuse_cancelled(event)
                self.finished = event


def refuse_cancelled(finished: Finished) -> None:
    """Raise `ShuttingDown` where an answer was cancelled, and not by its reader, who left."""
    if finished.reason == "cancelled":
        raise ShuttingDown("The answer was cancelled inside the network before its end. Ask again.")


def together(usages: Sequence[Usage]) -> Usage:
    """What the choices of one request came to: its prompt counts once."""
    return Usage(
        max(usage.prompt_tokens for usage in usages),
        sum(usage.completion_tokens for usage in usages),
        min(usage.cached_tokens for usage in usages),  # the others' was read for the first
        all(usage.exact for usage in usages),
    )
