"""A connection's bytes under guards, plain and through TLS, as hypercorn's `TCPServer` uses them.

Why they are needed is in docs/decisions/0003. Knows no HTTP.
"""

from __future__ import annotations

import contextlib
import logging
import ssl
from collections.abc import Callable

import trio

log = logging.getLogger("aiplat.http.tls")

_AFTER_END = 1.0
_GOODBYE = 1.0
"""Seconds that TLS's last word may take; who reads nothing does without it."""

Stream = trio.SocketStream | trio.SSLStream[trio.SocketStream]


class GuardedStream:
    """A plain connection with two guards.

    hypercorn shields its sends from cancellation, so a reader that takes nothing would hold an
    answer, and the end of the node, for ever; here a send has a deadline. And when the peer has
    gone, or a send failed, the connection ends soon after, whatever hypercorn still waits for:
    the room for a next request, or for its HTTP/2 buffers to drain.

    Arguments:
        stream: the connection.
        stalled: seconds that a send may take.
        scope: what the connection is served in.
        count: told the name of each bound that was hit.
    """

    def __init__(
        self,
        stream: trio.SocketStream,
        stalled: float,
        scope: trio.CancelScope,
        count: Callable[[str], None],
    ) -> None:
        self.socket = stream.socket
        self._stream: Stream = stream
        self._count = count
        self._stalled = stalled
        self._scope = scope
        self._ahead = bytearray()

    @property
    def is_begun(self) -> bool:
        """Whether it can carry a request already."""
        return True

    async def send_all(self, data: bytes) -> None:
        """Send all of `data`, or fail as a broken connection."""
        sent = False
        try:
            with trio.move_on_after(self._stalled):
                await self._stream.send_all(data)
                sent = True
        finally:
            if not sent:
                self._end_soon()
        if not sent:
            self._count("http_stalled")
            self.close()
            raise trio.BrokenResourceError(f"The reader took nothing for {self._stalled:g} s.")

    async def receive_some(self, max_bytes: int | None = None) -> bytes | bytearray:
        """Receive some bytes, first those that were read ahead; none at the end."""
        if self._ahead:
            ahead = bytes(self._ahead)
            self._ahead.clear()
            return ahead
        return await self._receive(max_bytes)

    async def read_ahead(self, room: int) -> bool:
        """Read more and keep it for `receive_some`, of at most `room` bytes in all.

        Waits for ever without room. Returns False at the end.
        """
        left = room - len(self._ahead)
        if left <= 0:
            await trio.sleep_forever()
        data = await self._receive(left)
        self._ahead += data
        return bool(data)

    async def _receive(self, max_bytes: int | None) -> bytes | bytearray:
        data: bytes | bytearray = b""
        given_up = False
        try:
            data = await self._stream.receive_some(max_bytes)
        except trio.Cancelled:
            given_up = True  # by `read_ahead`'s caller, whose turn came: the peer is there
            raise
        finally:
            if not data and not given_up:
                self._end_soon()
        return data

    def _end_soon(self) -> None:
        """Nobody reads any more: what hypercorn knows as a disconnect, even of one direction."""
        self._scope.deadline = min(self._scope.deadline, trio.current_time() + _AFTER_END)

    async def send_eof(self) -> None:
        """Say that nothing more will be sent."""
        if isinstance(self._stream, trio.SocketStream):
            await self._stream.send_eof()

    async def aclose(self) -> None:
        """Close both ways."""
        await self._stream.aclose()

    def close(self) -> None:
        """Close at once; wakes whoever sends or receives."""
        self.socket.close()


class GuardedTls(GuardedStream):
    """The same through TLS. `TCPServer` tells it from a plain one by `do_handshake`.

    The guards are outside of TLS, where both an end of the peer's TLS and one of its TCP are seen.

    Arguments:
        stream: the connection.
        context: the certificate, and what of TLS is spoken.
        handshake: seconds that the handshake may take, all of it.
        stalled, scope, count: as above.
    """

    def __init__(
        self,
        stream: trio.SocketStream,
        context: ssl.SSLContext,
        handshake: float,
        stalled: float,
        scope: trio.CancelScope,
        count: Callable[[str], None],
    ) -> None:
        super().__init__(stream, stalled, scope, count)
        self.transport_stream = stream
        self._tls = trio.SSLStream(stream, context, server_side=True)
        self._stream = self._tls
        self._handshake = handshake
        self._begun = False

    @property
    def is_begun(self) -> bool:
        """Whether its handshake is done."""
        return self._begun

    async def do_handshake(self) -> None:
        """Shake hands, or fail as a broken connection: that of a stranger is nothing to tell of."""
        with trio.move_on_after(self._handshake) as limit:
            try:
                await self._tls.do_handshake()
                self._begun = True
            except (trio.BrokenResourceError, trio.ClosedResourceError) as error:
                log.debug("a TLS handshake failed", extra={"reason": _reason(error)})
        if not self._begun:
            if limit.cancelled_caught:
                self._count("http_handshake")
            raise trio.BrokenResourceError("The TLS handshake failed.")

    def selected_alpn_protocol(self) -> str | None:
        """The protocol that both ends chose: ``h2``, ``http/1.1``, or none was named."""
        chosen: str | None = self._tls.selected_alpn_protocol()
        return chosen

    async def send_eof(self) -> None:
        """Nothing: TLS says with its last word, in `aclose`, that the answer was not cut."""

    async def aclose(self) -> None:
        """Say the last word, and close both ways."""
        with (
            trio.move_on_after(_GOODBYE),
            contextlib.suppress(trio.BrokenResourceError, trio.ClosedResourceError),
        ):
            await self._tls.aclose()
        self.close()


def _reason(error: BaseException) -> str:
    """Why, in OpenSSL's word, which is from a closed set: nothing of what the stranger sent."""
    cause = error.__cause__
    return (isinstance(cause, ssl.SSLError) and cause.reason) or "the connection ended"
