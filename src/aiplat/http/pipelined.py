"""hypercorn's HTTP/1.1 with a fault mended: a client that leaves is noticed though it sent more.

hypercorn reads no further once the next request is there before the answer to this one is whole
(pipelining). It would not see that the client leaves, and the answer would be made for nobody.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Protocol

import trio
from hypercorn.protocol.h11 import H11Protocol
from hypercorn.typing import Event

_AHEAD = 65_536
"""Bytes that are read ahead of a request's turn; who sends more than these is not watched."""


class Ahead(Protocol):
    """What is read ahead from."""

    async def read_ahead(self, room: int) -> bool:
        """Read and keep more, of at most so many bytes in all; False at the end."""


class _Turn:
    """hypercorn's event that the next request has its turn; looks out for the end until then.

    Arguments:
        event: the one that it waits for otherwise.
        stream: where the client is.
        gone: called when it left.
    """

    def __init__(self, event: Event, stream: Ahead, gone: Callable[[], Awaitable[None]]) -> None:
        self._event = event
        self._stream = stream
        self._gone = gone
        self._looking: trio.CancelScope | None = None

    async def clear(self) -> None:
        """Wait from now on."""
        await self._event.clear()

    async def set(self) -> None:
        """Have waited."""
        await self._event.set()
        if self._looking is not None:
            self._looking.cancel()

    def is_set(self) -> bool:
        """Whether nothing waits."""
        return self._event.is_set()

    async def wait(self) -> None:
        """Wait for the turn, or find that the client left; read no more than `_AHEAD` for that."""
        if not self._event.is_set():
            # No nursery: that, and a task in it, would be a twentieth of a request's cost.
            with trio.CancelScope() as self._looking:
                await self._look_for_end()
                await self._gone()
            self._looking = None
        await self._event.wait()

    async def _look_for_end(self) -> None:
        try:
            while await self._stream.read_ahead(_AHEAD):
                pass
        except (trio.BrokenResourceError, trio.ClosedResourceError):
            pass


def watch_for_end(
    protocol: H11Protocol, stream: Ahead, gone: Callable[[], Awaitable[None]]
) -> None:
    """Have a connection of HTTP/1.1 notice that its client left while it waits for its turn."""
    protocol.can_read = _Turn(protocol.can_read, stream, gone)
