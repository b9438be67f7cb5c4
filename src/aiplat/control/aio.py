"""The client of the faces for asyncio: the same questions over the same socket, or port.

h11 keeps the rules of HTTP/1.1; each call has a connection of its own, as the blocking client's.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Awaitable
from contextlib import aclosing
from pathlib import Path
from typing import TypeVar

import h11
import msgspec

from aiplat.control.calls import Call, Reply
from aiplat.control.client import MAX_REPLY, SILENCE, SLACK, STREAM_SILENCE
from aiplat.control.events import Event, EventReader
from aiplat.control.faults import Faults
from aiplat.control.messages import Ask, RequestName
from aiplat.control.ways import LOOPBACK, told_port
from aiplat.domain.answers import MAX_DEADLINE_MS, Failed, Finished
from aiplat.domain.errors import DeadlineExceeded

Value = TypeVar("Value")

_READ = 64 * 1024


class AsyncControlClient:
    """Asks the node at one socket. Holds nothing open between calls.

    Arguments: as of `aiplat.control.client.ControlClient`.
    """

    def __init__(
        self,
        path: Path,
        *,
        timeout: float = SILENCE,
        silence: float = STREAM_SILENCE,
        log: Path | None = None,
        credential: str = "",
    ) -> None:
        self.path = path
        self._credential = credential
        self._faults = Faults(path, log)
        self._timeout = timeout
        self._silence = silence

    async def call(self, call: Call[Reply]) -> Reply:
        """Put one question.

        Raises:
            NoNode: there is none.
            NodeLost: it does not answer.
            AiplatError: what it answers instead.
        """
        seconds = max(self._timeout, call.seconds)
        try:
            async with asyncio.timeout(seconds):
                exchange = await self._open()
                try:
                    status = await exchange.send(call.method, call.path, call.body)
                    data = await exchange.whole()
                finally:
                    exchange.close()
        except TimeoutError:
            raise self._faults.silent(seconds) from None
        if status != 200:
            raise self._faults.refused(data, status)
        try:
            return msgspec.json.decode(data, type=call.reply)
        except msgspec.MsgspecError as error:
            raise self._faults.strange(str(error)) from None

    def ask(self, ask: Ask) -> AsyncGenerator[Event, None]:
        """Ask a prompt; gives `Accepted`, then events up to `Finished`.

        Closing the iterator early cancels the answer, unless the node keeps it.

        Raises:
            AiplatError: the leaf that a refusal or a `Failed` tells of.
            DeadlineExceeded: the deadline passed, also when the node does not say so.
        """
        body = msgspec.json.encode(ask)
        return self._stream("/control/ask", body, ask.deadline_ms / 1000)

    def follow(self, request: str) -> AsyncGenerator[Event, None]:
        """Hear an answer that the node keeps: what has come until now, joined, and what comes.

        Raises:
            InvalidRequest: no such answer is under way.
            AiplatError: as `ask`.
        """
        body = msgspec.json.encode(RequestName(request=request))
        return self._stream("/control/answers/follow", body, MAX_DEADLINE_MS / 1000)

    async def _stream(self, path: str, body: bytes, seconds: float) -> AsyncGenerator[Event, None]:
        end = asyncio.get_running_loop().time() + seconds + SLACK
        exchange = await self._open()
        try:
            status = await self._heard(exchange.send("POST", path, body))
            if status != 200:
                raise self._faults.refused(await self._heard(exchange.whole()), status)
            async with aclosing(self._events(exchange, end)) as events:
                async for event in events:
                    yield event
        except TimeoutError:
            raise DeadlineExceeded(f"The answer did not end within {seconds:g} seconds.") from None
        finally:
            exchange.close()

    async def _events(self, exchange: _Exchange, end: float) -> AsyncGenerator[Event, None]:
        """Give the events.

        Raises:
            TimeoutError: the clock of the loop said `end`, also where only comments come.
        """
        reader = EventReader()
        while data := await self._heard(exchange.some()):
            if asyncio.get_running_loop().time() > end:
                raise TimeoutError
            try:
                events = list(reader.feed(data))
            except ValueError as error:
                raise self._faults.strange(str(error)) from None
            for event in events:
                if isinstance(event, Failed):
                    raise event.error()
                yield event
                if isinstance(event, Finished):
                    return
        raise self._faults.ended()

    async def _heard(self, wait: Awaitable[Value]) -> Value:
        """Wait for the node's next word, as long as it may be silent."""
        try:
            async with asyncio.timeout(self._silence):
                return await wait
        except TimeoutError:
            raise self._faults.silent(self._silence) from None

    async def _open(self) -> _Exchange:
        try:
            told = told_port(self.path)
            if told is None:
                reader, writer = await asyncio.open_unix_connection(os.fspath(self.path))
            else:
                reader, writer = await asyncio.open_connection(LOOPBACK, told.port)
        except (FileNotFoundError, ConnectionRefusedError):
            raise self._faults.absent() from None
        except OSError as error:
            raise self._faults.unusable(error) from None
        headers = {} if told is None else told.headers
        if self._credential:
            headers["authorization"] = f"Bearer {self._credential}"
        return _Exchange(reader, writer, self._faults, headers)


class _Exchange:
    """One request and its response, on a connection of its own."""

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        faults: Faults,
        headers: dict[str, str],
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._faults = faults
        self._headers = headers
        self._http = h11.Connection(h11.CLIENT)

    async def send(self, method: str, path: str, body: bytes | None) -> int:
        """Send the request, and give the status of the response."""
        headers = [("host", "localhost"), ("content-length", str(len(body or b"")))]
        if body is not None:
            headers.append(("content-type", "application/json"))
        headers += self._headers.items()
        head = h11.Request(method=method, target=path, headers=headers)
        data = self._http.send(head) or b""
        if body:
            data += self._http.send(h11.Data(data=body)) or b""
        data += self._http.send(h11.EndOfMessage()) or b""
        try:
            self._writer.write(data)
            await self._writer.drain()
        except OSError:
            raise self._faults.ended() from None
        while True:
            event = await self._next()
            if isinstance(event, h11.Response):
                return event.status_code

    async def some(self) -> bytes:
        """The next bytes of the body; none at its end."""
        event = await self._next()
        return bytes(event.data) if isinstance(event, h11.Data) else b""

    async def whole(self) -> bytes:
        """All of the body."""
        data = bytearray()
        while some := await self.some():
            data += some
            if len(data) > MAX_REPLY:
                raise self._faults.strange(f"more than {MAX_REPLY} bytes")
        return bytes(data)

    async def _next(self) -> h11.Event:
        try:
            event = self._http.next_event()
            while event is h11.NEED_DATA:
                self._http.receive_data(await self._reader.read(_READ))
                event = self._http.next_event()
        except (OSError, h11.RemoteProtocolError):
            raise self._faults.ended() from None
        if not isinstance(event, h11.Event) or isinstance(event, h11.ConnectionClosed):
            raise self._faults.ended()
        return event

    def close(self) -> None:
        """Let go of the connection, at once."""
        self._writer.transport.abort()
