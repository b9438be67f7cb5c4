"""From a path to what answers it, with the same care around every answer.

Every error leaves in one shape, an unforeseen one as a 500 without its words, and the end of
every request is logged once, with its name and never with what it says.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Protocol

from aiplat.domain.errors import AiplatError, RequestTooLarge, clip
from aiplat.http.access_log import AccessLog
from aiplat.http.asgi import JSON, ClientGone, Message, Receive, Request, Scope, Send
from aiplat.http.errors import NoSuchRoute, Problem, WrongMethod, problem_of
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.http")

Handler = Callable[[Request], Awaitable[None]]
Words = Callable[[Exception, Problem], bytes]


class Wording(Protocol):
    """How an API tells of errors, where that is not the way of its router's others."""

    def refuse(self, request: Request, error: Exception, problem: Problem) -> tuple[int, bytes]:
        """The status and the JSON of an answer that is an error."""

    def last_event(self, request: Request, error: Exception, problem: Problem) -> bytes:
        """What ends a stream which was begun and then went wrong."""


class _SameForAll:
    """The wording of a router whose words depend on the error alone."""

    def __init__(self, refuse: Words, last_event: Words) -> None:
        self._refuse = refuse
        self._last_event = last_event

    def refuse(self, request: Request, error: Exception, problem: Problem) -> tuple[int, bytes]:
        """`Wording.refuse`."""
        return problem.status, self._refuse(error, problem)

    def last_event(self, request: Request, error: Exception, problem: Problem) -> bytes:
        """`Wording.last_event`."""
        return self._last_event(error, problem)


@dataclass
class Route:
    """What answers one path. One that ends in ``/`` stands for all that begin with it, but for the
    path ``/`` itself.

    `wording` tells of errors there, also of those that are found before it is asked.
    """

    path: str
    handlers: dict[str, Handler]
    checks: tuple[Callable[[Request], None], ...] = ()
    wording: Wording | None = None
    allowed: str = field(init=False)

    def __post_init__(self) -> None:
        """Answer HEAD where GET is answered, and OPTIONS everywhere."""
        if "GET" in self.handlers:
            self.handlers.setdefault("HEAD", self.handlers["GET"])
        self.handlers.setdefault("OPTIONS", self._options)
        self.allowed = ", ".join(sorted(self.handlers))

    async def _options(self, request: Request) -> None:
        await request.reply(204, b"", b"", ((b"allow", self.allowed.encode()),))


class Router:
    """An ASGI application of routes. `routes` are all that it has.

    Arguments:
        routes: those that are.
        checks: what is checked for every request, before its route is looked up.
        metrics: where bodies over their bound are counted, if they are.
        access: tells of each request's end.
        lost: shows a person that there is nothing where their browser looks; None says it in JSON.
        refuse: makes the JSON of an error.
        last_event: makes the event that ends a stream which was begun and then went wrong.
    """

    def __init__(
        self,
        routes: list[Route],
        *,
        checks: tuple[Callable[[Request], None], ...] = (),
        metrics: Metrics | None = None,
        access: AccessLog | None = None,
        lost: Handler | None = None,
        refuse: Words = lambda error, problem: problem.body(),
        last_event: Words = lambda error, problem: b"data: " + problem.body() + b"\n\n",
    ) -> None:
        self.routes = tuple(routes)
        self._below = [route for route in routes if route.path.endswith("/") and route.path != "/"]
        self._exact = {route.path: route for route in routes if route not in self._below}
        self._checks = checks
        self._metrics = metrics
        self._access = access or AccessLog()
        self._lost = lost
        self._wording: Wording = _SameForAll(refuse, last_event)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request (ASGI 3)."""
        if scope["type"] == "http":
            await self._serve(Request(scope, receive, send))
        elif scope["type"] == "lifespan":
            await _live(receive, send)
        else:
            await send({"type": "websocket.close", "code": 1000})

    async def _serve(self, request: Request) -> None:
        try:
            await self._answer(request)
        except ClientGone:
            request.status = 499
        except Exception as error:
            if not isinstance(error, AiplatError):
                log.exception("a request failed", extra={"request": request.id})
            await self._fail(request, error)
        finally:
            self._access.tell(request)

    async def _answer(self, request: Request) -> None:
        for check in self._checks:
            check(request)
        if request.preflight:
            await request.reply(204, b"", b"", request.preflight)
            return
        route = self._at(request.path)
        if route is None:
            await self._nothing(request)
            return
        request.route = route.path
        for check in route.checks:
            check(request)
        handler = route.handlers.get(request.method)
        if handler is None:
            raise WrongMethod(
                f"{clip(request.method)} does not work on {clip(request.path)}, but "
                f"{route.allowed} does.",
                route.allowed,
            )
        await handler(request)

    async def _nothing(self, request: Request) -> None:
        if self._lost is not None and request.wants_page:
            await self._lost(request)
            return
        known = ", ".join(sorted(self._exact))
        raise NoSuchRoute(f"There is nothing at {clip(request.path)}. There is: {known}.")

    def _at(self, path: str) -> Route | None:
        found = self._exact.get(path)
        if found is not None:
            return found
        return next((route for route in self._below if path.startswith(route.path)), None)

    async def _fail(self, request: Request, error: Exception) -> None:
        """Say what went wrong: as the answer, or as its last event when it was begun already."""
        if isinstance(error, RequestTooLarge) and self._metrics is not None:
            self._metrics.bound_hits.labels("http_body").inc()
        problem = problem_of(error)
        route = self._at(request.path)
        wording = (route and route.wording) or self._wording
        try:
            if not request.status:
                status, body = wording.refuse(request, error, problem)
                await request.reply(status, body, JSON, problem.headers)
            elif not request.finished:
                await request.write(wording.last_event(request, error, problem), last=True)
        except ClientGone:
            request.status = 499
        except Exception:
            log.exception("an error could not be sent", extra={"request": request.id})


async def _live(receive: Receive, send: Send) -> None:
    """Nothing to start or stop: the node owns its parts (ASGI's lifespan protocol)."""
    while True:
        message: Message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
