"""From a path to what answers it, with the same care around every answer.

Every error leaves in one shape, an unforeseen one as a 500 without its words, and the end of
every request is logged once, with its name and never with what it says.
"""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import trio

from aiplat.domain.errors import AiplatError, RequestTooLarge, clip
from aiplat.http.asgi import JSON, ClientGone, Message, Receive, Request, Scope, Send
from aiplat.http.errors import NoSuchRoute, Problem, WrongMethod, problem_of
from aiplat.telemetry.metrics import Metrics

log = logging.getLogger("aiplat.http")
access_log = logging.getLogger("aiplat.http.access")

Handler = Callable[[Request], Awaitable[None]]
Words = Callable[[Exception, Problem], bytes]


@dataclass
class Route:
    """What answers one path. A path that ends in ``/`` stands for all that begin with it."""

    path: str
    handlers: dict[str, Handler]
    checks: tuple[Callable[[Request], None], ...] = ()
    allowed: str = field(init=False)

    def __post_init__(self) -> None:
        """Answer HEAD where GET is answered, and OPTIONS everywhere."""
        if "GET" in self.handlers:
            self.handlers.setdefault("HEAD", self.handlers["GET"])
        self.handlers.setdefault("OPTIONS", self._options)
        self.allowed = ", ".join(sorted(self.handlers))

    async def _options(self, request: Request) -> None:
        await request.reply(204, b"", headers=((b"allow", self.allowed.encode()),))


class Router:
    """An ASGI application of routes.

    Arguments:
        routes: those that are.
        checks: what is checked for every request, before its route is looked up.
        metrics: where bodies over their bound are counted, if they are.
        refuse: makes the JSON of an error.
        last_event: makes the event that ends a stream which was begun and then went wrong.
    """

    def __init__(
        self,
        routes: list[Route],
        *,
        checks: tuple[Callable[[Request], None], ...] = (),
        metrics: Metrics | None = None,
        refuse: Words = lambda error, problem: problem.body(),
        last_event: Words = lambda error, problem: b"data: " + problem.body() + b"\n\n",
    ) -> None:
        self._exact = {route.path: route for route in routes if not route.path.endswith("/")}
        self._below = [route for route in routes if route.path.endswith("/")]
        self._checks = checks
        self._metrics = metrics
        self._refuse = refuse
        self._last_event = last_event

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
            _log_end(request)

    async def _answer(self, request: Request) -> None:
        for check in self._checks:
            check(request)
        route = self._find(request.path)
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

    def _find(self, path: str) -> Route:
        found = self._exact.get(path)
        if found is not None:
            return found
        for route in self._below:
            if path.startswith(route.path):
                return route
        known = ", ".join(sorted(self._exact))
        raise NoSuchRoute(f"There is nothing at {clip(path)}. There is: {known}.")

    async def _fail(self, request: Request, error: Exception) -> None:
        """Say what went wrong: as the answer, or as its last event when it was begun already."""
        if isinstance(error, RequestTooLarge) and self._metrics is not None:
            self._metrics.bound_hits.labels("http_body").inc()
        problem = problem_of(error)
        try:
            if not request.status:
                body = self._refuse(error, problem)
                await request.reply(problem.status, body, JSON, problem.headers)
            elif not request.finished:
                await request.write(self._last_event(error, problem), last=True)
        except ClientGone:
            request.status = 499
        except Exception:
            log.exception("an error could not be sent", extra={"request": request.id})


def _log_end(request: Request) -> None:
    level = logging.WARNING if request.status >= 500 else logging.DEBUG
    access_log.log(
        level, "%s %s %d", request.method, clip(request.path), request.status,
        extra={
            "request": request.id,
            "status": request.status,
            "ms": round((trio.current_time() - request.arrived) * 1000, 1),
        },
    )  # fmt: skip


async def _live(receive: Receive, send: Send) -> None:
    """Nothing to start or stop: the node owns its parts (ASGI's lifespan protocol)."""
    while True:
        message: Message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return
