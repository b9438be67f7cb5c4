"""Server-sent events, read from bytes that come in any pieces. Pure: bytes in, data out.

Source: the HTML standard, "Server-sent events", 9.2.5 and 9.2.6. Of an event only its data is
kept: name, id and retry say nothing in OpenAI's stream.
"""

from __future__ import annotations

from collections.abc import Iterator

MAX_LINE = 1024 * 1024
MAX_EVENT = 2 * 1024 * 1024
"""Bytes. A chunk of an answer has some hundreds; with many log-probabilities some ten thousand."""


class Oversized(Exception):
    """A line or an event is longer than is kept; says which and the bound."""


class EventStream:
    """Turns pieces of a stream into the data of its events."""

    def __init__(self, max_line: int = MAX_LINE, max_event: int = MAX_EVENT) -> None:
        self._max_line = max_line
        self._max_event = max_event
        self._rest = bytearray()
        self._data: list[bytes] = []
        self._size = 0
        self._begun = False
        self._after_cr = False

    def feed(self, piece: bytes) -> Iterator[bytes]:
        """Give the data of each event that is complete with `piece`.

        Raises:
            Oversized: what is kept would grow over its bound.
        """
        if self._after_cr and piece:  # the newline of a CRLF that was cut in two
            self._after_cr = False
            piece = piece.removeprefix(b"\n")
        self._rest += piece
        if b"\n" not in piece and b"\r" not in piece:  # what came before holds no line end either
            self._check_rest()
            return
        self._after_cr = self._rest.endswith(b"\r")
        # Of the two line ends that a lone CR may mean, the second is dropped when it comes.
        lines = bytes(self._rest).replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
        self._rest = bytearray(lines.pop())
        self._check_rest()
        for line in lines:
            if (event := self._line(line)) is not None:
                yield event

    def _check_rest(self) -> None:
        if len(self._rest) > self._max_line:
            raise Oversized(f"a line of more than {self._max_line} bytes")

    def _line(self, line: bytes) -> bytes | None:
        if not self._begun:
            self._begun = True
            line = line.removeprefix(b"\xef\xbb\xbf")
        if not line:
            return self._dispatch()
        name, _, value = line.partition(b":")
        if name != b"data":  # a comment has an empty name
            return None
        self._size += len(value)
        if len(line) > self._max_line or self._size > self._max_event:
            raise Oversized(f"an event of more than {min(self._max_line, self._max_event)} bytes")
        self._data.append(value.removeprefix(b" "))
        return None

    def _dispatch(self) -> bytes | None:
        if not self._data:
            return None
        data, self._data, self._size = b"\n".join(self._data), [], 0
        return data

    def close(self) -> bytes | None:
        """The data of an event that the end of the stream left without its empty line.

        The standard drops it; servers of OpenAI's API that end so mean it.
        """
        last = self._line(bytes(self._rest)) if self._rest else None
        self._rest.clear()
        return last if last is not None else self._dispatch()
