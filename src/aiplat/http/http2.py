"""hypercorn's HTTP/2 with its faults mended: what a client may hold for ever, and a lost end.

What each fault is, docs/decisions/0003 says. Knows nothing of sockets, TLS or requests.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import hypercorn.protocol
import hypercorn.protocol.h2
import trio
from h2.errors import ErrorCodes
from h2.events import Event as H2Event
from h2.events import StreamReset
from h2.exceptions import ProtocolError
from hypercorn.config import Config
from hypercorn.events import Updated
from hypercorn.protocol.events import Body, EndBody, StreamClosed
from hypercorn.protocol.events import Event as StreamEvent
from hypercorn.protocol.h2 import BUFFER_LOW_WATER, H2Protocol, StreamBuffer
from priority.priority import MissingStreamError

_ENDING = 1.0
"""Seconds that the end of a stream may take, which waits for nobody outside."""
_LOOK = 0.005


class DoorConfig(Config):
    """hypercorn's configuration, with what it lacks.

    Arguments:
        stalled_seconds: how long the reader of a stream may take nothing.
        count: told the name of each bound that was hit.
    """

    def __init__(self, stalled_seconds: float, count: Callable[[str], None]) -> None:
        super().__init__()
        self.stalled_seconds = stalled_seconds
        self.count = count


class Buffer(StreamBuffer):
    """What a stream has to send yet; who writes waits while it is much.

    hypercorn let the writer go on whenever little was taken, also when that was nothing: what a
    reader did not take was kept without a bound.
    """

    async def pop(self, max_length: int) -> bytes:
        """Take up to `max_length` bytes out."""
        data = bytes(self.buffer[:max_length])
        del self.buffer[:max_length]
        if len(self.buffer) < BUFFER_LOW_WATER:
            await self._paused.set()
        if not self.buffer:
            await self._is_empty.set()
        return data


class Http2(H2Protocol):
    """The protocol of one connection."""

    config: DoorConfig

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        # h2 takes what its settings begin with for no change of them, and left its own bound.
        self.connection.decoder.max_header_list_size = self.config.h2_max_header_list_size

    async def stream_send(self, event: StreamEvent) -> None:
        """Send what the application says; a reader that takes nothing loses its stream."""
        if isinstance(event, StreamClosed) and self.context.terminated.is_set():
            await self._say_end(event.stream_id)
        if not isinstance(event, Body | EndBody):
            await super().stream_send(event)
            return
        with trio.move_on_after(self.config.stalled_seconds) as limit:
            await super().stream_send(event)
        if limit.cancelled_caught:
            await self._give_up(event.stream_id)

    async def _say_end(self, stream: int) -> None:
        """Let a stream's last frame out before the connection's, which would keep it in."""
        with trio.move_on_after(_ENDING):
            while self._is_about_to_end(stream):  # noqa: ASYNC110  # no event tells of it
                await trio.sleep(_LOOK)

    def _is_about_to_end(self, stream: int) -> bool:
        """Whether all of a stream is sent, but the word that it was all."""
        buffer = self.stream_buffers.get(stream)
        return buffer is not None and buffer.complete and not self.closed

    async def _give_up(self, stream: int) -> None:
        """Reset a stream; its application, which calls this, hears that the client is gone."""
        self.config.count("http_stalled")
        with contextlib.suppress(ProtocolError):
            self.connection.reset_stream(stream, ErrorCodes.CANCEL)
        with trio.move_on_after(_ENDING, shield=True):  # to hear it may cancel who calls this
            buffer = self.stream_buffers.get(stream)
            if buffer is not None:
                await buffer.close()
                with contextlib.suppress(MissingStreamError):
                    self.priority.unblock(stream)  # the sending task removes it
                await self.has_data.set()
            await self._flush()
            await self._close_stream(stream)
            await self.send(Updated(idle=self.idle))

    async def _handle_events(self, events: list[H2Event]) -> None:
        """Take what came; one whose client took back all that it asked for is idle again."""
        await super()._handle_events(events)
        if self.idle and not self.closed and any(isinstance(e, StreamReset) for e in events):
            await self.send(Updated(idle=True))


def mend_http2() -> None:
    """Have hypercorn use these; it has no other way to be told."""
    # It says nowhere that these names may be set, and looks them up for each connection.
    hypercorn.protocol.H2Protocol = Http2  # type: ignore[attr-defined, assignment]  # as above
    hypercorn.protocol.h2.StreamBuffer = Buffer  # type: ignore[misc]  # as above
