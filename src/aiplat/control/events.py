"""Reads an answer's events out of the bytes of a stream (HTML standard, 9.2). Does no I/O."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from aiplat.control.messages import Accepted
from aiplat.domain.answers import Delta, Failed, Finished, Queued, Started

Event = Accepted | Queued | Started | Delta | Finished
"""What a face hears of an answer; `Failed` is raised instead."""

_EVENTS: msgspec.json.Decoder[Event | Failed] = msgspec.json.Decoder(
    Accepted | Queued | Started | Delta | Finished | Failed
)
_NAMES = frozenset({"accepted", "queued", "started", "delta", "finished", "failed"})
_MAX_LINE = 16 * 1024 * 1024


class EventReader:
    """Takes bytes as they come, and gives the events that are whole; each has one line of data."""

    def __init__(self) -> None:
        self._rest = b""
        self._name = ""

    def feed(self, data: bytes) -> Iterator[Event | Failed]:
        """Take the next bytes.

        Raises:
            ValueError: a line is too long, or an event is none that is known.
        """
        lines = (self._rest + data).split(b"\n")
        self._rest = lines.pop()
        if len(self._rest) > _MAX_LINE:
            raise ValueError(f"a line of more than {_MAX_LINE} bytes")
        for line in lines:
            field, _, value = line.rstrip(b"\r").partition(b": ")
            if field == b"event":
                self._name = value.decode("utf-8", "replace")
            elif field == b"data" and self._name in _NAMES:  # others are of a newer node
                yield _EVENTS.decode(value)  # MsgspecError is a ValueError
