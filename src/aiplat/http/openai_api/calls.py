"""Calls of tools in OpenAI's shapes: whole, and piece by piece as chunks have them. Pure.

Source: the published schemas `ChatCompletionMessageToolCall` and
`ChatCompletionMessageToolCallChunk`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

import msgspec

from aiplat.domain.answers import CallPiece
from aiplat.http.generating import call_id
from aiplat.http.said import Called

_UNSET = msgspec.UNSET


class Function(msgspec.Struct, frozen=True):
    """What is called, with its arguments as JSON text."""

    name: str
    arguments: str


class FunctionCall(msgspec.Struct, frozen=True):
    """A call of a tool."""

    id: str
    function: Function
    type: Literal["function"] = "function"


class FunctionPiece(msgspec.Struct, frozen=True):
    """More of what is called."""

    name: str | msgspec.UnsetType = _UNSET
    arguments: str | msgspec.UnsetType = _UNSET


class CallChunk(msgspec.Struct, frozen=True):
    """More of the call at `index`; the first of it has its id and name, and no arguments."""

    index: int
    function: FunctionPiece
    id: str | msgspec.UnsetType = _UNSET
    type: Literal["function"] | msgspec.UnsetType = _UNSET


def calls_of(called: Sequence[Called], request_id: str, place: int) -> list[FunctionCall]:
    """The calls of the choice at `place`."""
    return [
        FunctionCall(call_id(request_id, place, one.index), Function(one.name, one.arguments))
        for one in called
    ]


class CallWriter:
    """Turns the pieces of one choice's calls into those of a stream.

    Arguments:
        request_id: names the calls.
        place: of the choice.
    """

    def __init__(self, request_id: str, place: int) -> None:
        self._request = request_id
        self._place = place
        self._begun: set[int] = set()

    def feed(self, pieces: Iterable[CallPiece]) -> list[CallChunk]:
        """What is written for some pieces: names, and in one what came of the same arguments."""
        chunks: list[CallChunk] = []
        for index, name, arguments in _joined(pieces):
            if index not in self._begun:
                self._begun.add(index)
                own = call_id(self._request, self._place, index)
                chunks.append(CallChunk(index, FunctionPiece(name, ""), own, "function"))
            elif name:
                chunks.append(CallChunk(index, FunctionPiece(name)))
            if arguments:
                chunks.append(CallChunk(index, FunctionPiece(arguments=arguments)))
        return chunks


def _joined(pieces: Iterable[CallPiece]) -> Iterator[tuple[int, str, str]]:
    """Index, name and arguments; those of pieces that go on with the one before are joined."""
    index, name, parts = -1, "", list[str]()
    for piece in pieces:
        if piece.name or piece.index != index:
            if index >= 0:
                yield index, name, "".join(parts)
            index, name, parts = piece.index, piece.name, []
        parts.append(piece.arguments)
    if index >= 0:
        yield index, name, "".join(parts)
