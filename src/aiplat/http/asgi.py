"""One HTTP request as the doors see it: its head, its body, and the one answer it gets.

Plain ASGI 3 over hypercorn. Knows no route and no JSON.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable, MutableMapping, Sequence
from typing import Any

import trio

from aiplat.domain.errors import RequestTooLarge
from aiplat.http.errors import SlowBody
from aiplat.http.sources import never_left
from aiplat.roles.requests import new_request_id

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]
Headers = tuple[tuple[bytes, bytes], ...]

JSON = b"application/json"
EVENT_STREAM = b"text/event-stream; charset=utf-8"

_LINGER_BYTES = 16 * 1024 * 1024
_LINGER_SECONDS = 3.0


class ClientGone(Exception):
    """The client left before its answer was whole: status 499, in logs alone."""


class Request:
    """A request under way.

    Attributes:
        id: its `RequestId`, also of the submission that it becomes.
        target: the path as it was sent, without what follows its question mark.
        head: the headers as they came, also those that came twice.
        query: what follows the path's question mark, as it was sent.
        scheme: ``http``, or ``https`` when it came through TLS.
        client: the address of who sent it; empty on a Unix socket.
        server: the address of this machine's that it came in on; empty on a Unix socket.
        arrived: when, on trio's clock, in seconds.
        status: of the answer, once it was begun; 0 before.
        finished: the answer is whole.
        cut: whoever writes shall stop, though it may not have heard of its cancellation yet.
        is_known: whether its key was found good.
        credential: the API key of an account that it came with; empty for the local token. Never
            logged.
        models: those that this key may ask; none stands for all.
        more_headers: gives what goes with its answer besides, at the moment that begins; told the
            request, as one that kept it would outlive its answer.
        fixed_headers: what goes with it besides, and is known now.
        preflight: the answer to a browser that asks before a page's request; empty for others.
        route: the path of the route that answers it; empty while none is known.
        sent: bytes of the answer's body, so far.
    """

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.id = new_request_id()
        self.arrived = trio.current_time()
        self.method: str = scope["method"]
        self.path: str = scope["path"]
        self.query: str = scope.get("query_string", b"").decode("latin-1")
        self.scheme: str = scope.get("scheme", "http")
        self.client = _address(scope.get("client"))
        self.server = _address(scope.get("server"))
        self.target: bytes = scope.get("raw_path") or self.path.encode("utf-8", "replace")
        self.head: Sequence[tuple[bytes, bytes]] = scope["headers"]
        self.headers: dict[bytes, bytes] = dict(self.head)
        self.status = 0
        self.finished = False
        self.cut = False
        self.is_known = False
        self.credential = ""
        self.models: tuple[str, ...] = ()
        self.more_headers: Callable[[Request], Headers] = lambda request: ()
        self.fixed_headers: Headers = ()
        self.preflight: Headers = ()
        self.route = ""
        self.sent = 0
        self._scope = scope
        self._receive = receive
        self._send = send
        self._body_left = b"content-length" in self.headers or b"transfer-encoding" in self.headers

    @property
    def is_loopback(self) -> bool:
        """Whether it came from this machine, through its loopback interface (`never_left`)."""
        return never_left(self.client, self.server)

    @property
    def wants_page(self) -> bool:
        """Whether a browser asks for a page to show: each has that first in its `Accept`."""
        accept = self.header(b"accept").lower()
        return self.method in ("GET", "HEAD") and accept.startswith("text/html")

    def header(self, name: bytes) -> str:
        """The value of a header, in Latin-1 as HTTP has it; empty when it is not there."""
        return self.headers.get(name, b"").decode("latin-1").strip()

    # -- what comes --------------------------------------------------------------------------

    async def body(self, limit: int, seconds: float, setting: str) -> bytes:
        """Read the whole body, of at most `limit` bytes, within `seconds`.

        Arguments:
            setting: what bounds it, for the sentence that says so.

        Raises:
            RequestTooLarge: says both sizes.
            SlowBody: it did not come in time.
            ClientGone: nor will it.
        """
        announced = self.header(b"content-length")
        if announced.isdigit() and int(announced[:20]) > limit:
            raise _too_large(int(announced[:20]), limit, setting)
        parts: list[bytes] = []
        size = 0
        with trio.move_on_after(seconds):
            while self._body_left:
                part = await self._next_part()
                size += len(part)
                if size > limit:
                    raise _too_large(size, limit, setting)
                parts.append(part)
            return b"".join(parts)
        raise SlowBody(
            f"The body did not arrive within {seconds:g} seconds ({size} bytes of it did)."
        )

    async def _next_part(self) -> bytes:
        message = await self._receive()
        if message["type"] == "http.disconnect":
            raise ClientGone
        self._body_left = bool(message.get("more_body", False))
        part: bytes = message.get("body", b"")
        return part

    async def gone(self) -> None:
        """Return when the client left; reads away what it still sends."""
        while (await self._receive())["type"] != "http.disconnect":
            pass

    # -- what another application does with it -----------------------------------------------

    async def hand_over(self, app: App) -> None:
        """Have another application (ASGI 3) answer it; its answer gets this request's name.

        The application reads the whole body, and finds that name in the scope, under
        ``aiplat.request``.

        Raises:
            ClientGone: the client left before the answer was begun.
        """

        async def send(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                own = (b"x-request-id", self.id.encode())
                message["headers"] = [*message["headers"], own, *self.fixed_headers]
            else:
                self.sent += len(message.get("body", b""))
                self.finished = self.finished or not message.get("more_body", False)
            await self._send(message)

        async def receive() -> Message:
            message = await self._receive()
            if message["type"] == "http.request":
                self._body_left = bool(message.get("more_body", False))
            return message

        await app({**self._scope, "path": self.path, "aiplat.request": self.id}, receive, send)
        if not self.status:
            raise ClientGone

    # -- what goes ---------------------------------------------------------------------------

    async def begin(self, status: int, content_type: bytes, headers: Headers = ()) -> None:
        """Send the head of an answer whose body comes by `write`."""
        head = [
            *([(b"content-type", content_type)] if content_type else []),
            (b"x-request-id", self.id.encode()),
            (b"x-content-type-options", b"nosniff"),
            *headers,
            *self.fixed_headers,
            *self.more_headers(self),
        ]
        self.status = status
        await self._send({"type": "http.response.start", "status": status, "headers": head})

    async def write(self, data: bytes, *, last: bool = False) -> None:
        """Send a piece of the body; the `last` one ends the answer.

        Raises:
            ClientGone: the answer was cut.
        """
        if self.cut:
            raise ClientGone
        self.finished = self.finished or last
        self.sent += len(data)
        await self._send({"type": "http.response.body", "body": data, "more_body": not last})

    async def reply(
        self, status: int, body: bytes, content_type: bytes = JSON, headers: Headers = ()
    ) -> None:
        """Send a whole answer."""
        size = (b"content-length", str(len(body)).encode())
        if status == 204:  # it has neither (RFC 9110, 8.6)
            await self.begin(status, b"", headers)
            await self.write(b"", last=True)
            return
        if not self._body_left:
            await self.begin(status, content_type, (size, *headers))
            await self.write(body, last=True)
            return
        # The connection cannot be used again. Read on for a while before it is closed: closing
        # on unread bytes resets it, and the client would never see this answer.
        await self.begin(status, content_type, (size, (b"connection", b"close"), *headers))
        await self.write(body)
        await self._linger()

    async def _linger(self) -> None:
        """Read the rest of the body away, then end the answer.

        hypercorn hands the body on through a queue of ten and waits when it is full: an
        application that stopped reading would hold its connection for ever.
        """
        taken = 0
        try:
            with trio.move_on_after(_LINGER_SECONDS):
                while self._body_left and taken < _LINGER_BYTES:
                    taken += len(await self._next_part())
        except ClientGone:
            self.finished = True
            return
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self.gone)
            await self.write(b"", last=True)
            nursery.cancel_scope.deadline = trio.current_time() + 1.0


def _too_large(size: int, limit: int, setting: str) -> RequestTooLarge:
    return RequestTooLarge(
        f"The body has {size} bytes or more, but at most {limit} are taken. Send a shorter "
        f"conversation, or raise {setting}."
    )


def _address(pair: Sequence[Any] | None) -> str:
    """The address of ASGI's pair of address and port, which a Unix socket has not."""
    return str(pair[0]) if pair else ""


async def race(
    request: Request,
    work: Callable[[], Awaitable[None]],
    *,
    seconds: float = math.inf,
    on_lost: Callable[[], None] = lambda: None,
) -> bool:
    """Run `work` until it ends, the client leaves, or its time is up.

    No server ends a handler when its client leaves; this does. `on_lost` is called then, from
    another task, as `work` may sit in a `send` that nothing can cancel.

    Returns:
        True when `work` ended by itself, False when its time was up.

    Raises:
        ClientGone: the client left first.
        Exception: what `work` raised by itself, not in a group.
    """
    error: Exception | None = None
    fate = ""

    async def watch() -> None:
        nonlocal fate
        with trio.move_on_after(seconds) as limit:
            await request.gone()
        if not request.finished:
            fate = "late" if limit.cancelled_caught else "left"
            request.cut = True
            nursery.cancel_scope.cancel()
            on_lost()

    async with trio.open_nursery() as nursery:
        nursery.start_soon(watch)
        try:
            await work()
        except Exception as raised:  # noqa: BLE001  # raised again below, out of the nursery
            error = raised
        nursery.cancel_scope.cancel()
    request.cut = False
    try:
        if fate == "left" and not request.finished:
            raise ClientGone
        if fate == "late" and not request.finished:
            return False
        if error is not None:
            raise error
        return True
    finally:
        del error  # it holds this frame, which would hold it until a garbage collection
