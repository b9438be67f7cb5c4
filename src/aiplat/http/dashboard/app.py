"""The pages put together: an ASGI application that is mounted at the door.

It sees the node through the control API alone, and gives no more than who is logged in may have.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from urllib.parse import quote

import trio
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import Response

from aiplat.control.accounts import Nothing, WhoAmI
from aiplat.domain.errors import (
    AiplatError,
    DeadlineExceeded,
    InvalidApiKey,
    PermissionDenied,
    RequestTooLarge,
    UserDisabled,
    clip,
)
from aiplat.http.dashboard import static_files
from aiplat.http.dashboard.account import account_page, look_page
from aiplat.http.dashboard.cookies import Cookies, opened
from aiplat.http.dashboard.csrf import FIELD, StaleForm, Tokens, new_nonce
from aiplat.http.dashboard.entering import Entering
from aiplat.http.dashboard.forms import FINE, Form, Problem, read_form
from aiplat.http.dashboard.home import home_page
from aiplat.http.dashboard.keys import keys_page
from aiplat.http.dashboard.network import network_page, network_part
from aiplat.http.dashboard.operators import operator_pages
from aiplat.http.dashboard.pages import Page
from aiplat.http.dashboard.playground import Playground
from aiplat.http.dashboard.rendering import render
from aiplat.http.dashboard.surroundings import Surroundings
from aiplat.http.dashboard.usage import usage_page
from aiplat.http.dashboard.visit import Visit

log = logging.getLogger("aiplat.http.dashboard")

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

STALE = (
    "This form was too old, or did not come from this page. Nothing was done: look it over, and "
    "send it again."
)


_SMALL = 32_768
"""Bytes of a form that holds no conversation. Who is not known can have the node keep no more."""


class _Gone(Exception):
    """Whoever asked left before the form was whole."""


class Dashboard:
    """The pages.

    Arguments:
        around: the node, and the door that they are in.
    """

    def __init__(self, around: Surroundings) -> None:
        self._around = around
        self._tokens = Tokens()
        self._peer_id = ""
        self._playground = Playground(around)
        pages = [
            home_page(), keys_page(), usage_page(), self._playground.page(), network_page(),
            network_part(), account_page(), look_page(), *operator_pages(),
        ]  # fmt: skip
        entering = Entering(frozenset(page.path for page in pages))
        pages += entering.pages()
        self._pages = {page.path: page for page in pages}
        self._acts = {path: page for page in pages for path in page.acts}

    @property
    def paths(self) -> dict[str, tuple[str, ...]]:
        """The paths of all pages and forms, with their methods; ``/static/`` for all below it."""
        found: dict[str, tuple[str, ...]] = {
            static_files.PREFIX: ("GET",),
            self._playground.STREAM: ("POST",),
        }
        for path in {**self._pages, **self._acts}:
            methods = [("GET", path in self._pages), ("POST", path in self._acts)]
            found[path] = tuple(method for method, there in methods if there)
        return found

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request (ASGI 3): by a method of one of `paths`, or by GET of any other."""
        request = Request(scope, receive)
        try:
            response = await self._answer(request, receive)
        except _Gone:
            return
        await response(scope, receive, send)

    async def _answer(self, request: Request, receive: Receive) -> Response:
        path = request.scope["path"]
        visit = self._visit(request)
        body = await self._body(request, receive, await self._most(visit))
        if path.startswith(static_files.PREFIX):
            found = static_files.answer(path)
            return found if found is not None else Response("There is no such file.", 404)
        try:
            if path == self._playground.STREAM:
                return await self._stream(visit, body)
            if request.method == "POST":
                return await self._act(visit, self._acts[path], body)
            if path not in self._pages:
                return await self._nothing(visit)
            return await self._show(visit, self._pages[path])
        except AiplatError as error:
            return self._failed(visit, error)
        except Exception:
            log.exception("a page failed", extra={"request": request.scope.get("aiplat.request")})
            message = "Something went wrong inside the node. Its log says more."
            return render(visit, "error.html", Problem("", message, status=500))

    async def _most(self, visit: Visit) -> int:
        """How many bytes its form may have: a whole conversation from those alone who may ask."""
        most, page = self._around.max_form_bytes, self._playground.page()
        if visit.path in (*page.acts, self._playground.STREAM):
            with contextlib.suppress(AiplatError):
                await self._know(visit, page)
                return most
        return min(most, _SMALL)

    async def _body(self, request: Request, receive: Receive, most: int) -> bytes:
        """Read all that comes, within bounds, whatever becomes of it: what is not read blocks the
        connection.

        Arguments:
            most: bytes that it may have.

        Raises:
            RequestTooLarge: it is too much. The door says so, and reads on for a while.
            DeadlineExceeded: it did not come in time.
        """
        around, data = self._around, bytearray()
        announced = request.headers.get("content-length", "0")
        with trio.move_on_after(around.form_seconds):
            while not announced.isdigit() or int(announced[:20]) <= most:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise _Gone
                data += message.get("body", b"")
                if len(data) > most:
                    break
                if not message.get("more_body", False):
                    return bytes(data)
            raise RequestTooLarge(
                f"This form may have {most} bytes, but has more: send less, and log in for what "
                "is long."
            )
        raise DeadlineExceeded(f"The form did not arrive within {around.form_seconds:g} seconds.")

    # -- who comes -----------------------------------------------------------------------------

    def _visit(self, request: Request) -> Visit:
        self._peer_id = self._peer_id or self._around.operations.status().peer_id
        cookies = Cookies(self._peer_id, request.url.scheme == "https")
        session, nonce = cookies.get(request), cookies.get(request, "form")
        new = "" if nonce or session else new_nonce()
        key = self._tokens.key(session, nonce or new)
        query = QueryParams(request.scope.get("query_string", b""))
        return Visit(
            request, self._around, cookies, session, key, self._tokens.token(key), new,
            query=Form({name: query.getlist(name) for name in query}),
            note=opened(cookies.get(request, "note"), key),
        )  # fmt: skip

    async def _know(self, visit: Visit, page: Page) -> None:
        """See who it is.

        Raises:
            InvalidApiKey, UserDisabled: nobody, where somebody is needed.
            PermissionDenied: no operator, where one is.
        """
        if visit.session:
            try:
                visit.known = await visit.ask("whoami", Nothing(), WhoAmI)
            except (InvalidApiKey, UserDisabled):
                if page.need != "nobody":
                    raise
        if page.need == "nobody":
            return
        if visit.known is None:
            raise InvalidApiKey("Log in to see this page.")
        if page.need == "operator" and visit.known.user.role != "operator":
            raise PermissionDenied(
                f"This page is for operators, and {visit.known.user.name} is none."
            )

    # -- what is done --------------------------------------------------------------------------

    async def _show(self, visit: Visit, page: Page) -> Response:
        try:
            await self._know(visit, page)
            return await page.show(visit, FINE)
        except (InvalidApiKey, UserDisabled) as error:
            return self._to_login(visit, page, error)

    async def _act(self, visit: Visit, page: Page, body: bytes) -> Response:
        try:
            await self._know(visit, page)
        except (InvalidApiKey, UserDisabled) as error:
            return self._to_login(visit, page, error)
        try:
            visit.form = read_form(visit.request, body)
            self._tokens.check(visit.key, visit.form.text(FIELD))
            return await page.acts[visit.path](visit)
        except StaleForm:
            self._around.refused("csrf")
            problem = Problem(visit.path, STALE, status=403)
        except AiplatError as error:
            if visit.known is not None and isinstance(error, UserDisabled):
                return self._to_login(visit, page, error)
            problem = self._problem(visit, error)
        return await page.show(visit, problem)

    async def _stream(self, visit: Visit, body: bytes) -> Response:
        try:
            await self._know(visit, self._playground.page())
            visit.form = read_form(visit.request, body)
            self._tokens.check(visit.key, visit.form.text(FIELD))
            return await self._playground.stream(visit)
        except StaleForm:
            self._around.refused("csrf")
            return self._playground.refused(STALE, 403)
        except AiplatError as error:
            return self._playground.refused(str(error), self._around.status_of(error))

    # -- what goes wrong -------------------------------------------------------------------------

    def _problem(self, visit: Visit, error: AiplatError) -> Problem:
        headers = {}
        if error.retry_after is not None:
            headers["retry-after"] = str(max(1, min(2_678_400, round(error.retry_after))))
        status = self._around.status_of(error)
        return Problem(visit.path, str(error), error.param or "", status, headers)

    async def _nothing(self, visit: Visit) -> Response:
        with contextlib.suppress(AiplatError):
            await self._know(visit, self._pages["/login"])  # who is logged in has their way on
        message = f"There is no page at {clip(visit.path)}. Look at how it is written."
        return render(visit, "error.html", Problem("", message, status=404))

    def _failed(self, visit: Visit, error: AiplatError) -> Response:
        return render(visit, "error.html", self._problem(visit, error))

    def _to_login(self, visit: Visit, page: Page, error: AiplatError) -> Response:
        """Ask for a log-in, with the way back; a session that is over is forgotten."""
        back = page.path if page.path != "/network/live" else "/network"
        if visit.request.method != "POST" and visit.request.url.query:
            back += f"?{visit.request.url.query}"
        if isinstance(error, UserDisabled):
            why = "&why=disabled"
        else:
            why = "&why=over" if visit.session else ""
        to = f"/login?next={quote(back, safe='/')}{why}"
        response = visit.go(to if back != "/" or why else "/login")
        if visit.session:
            visit.cookies.drop(response)
        return response
