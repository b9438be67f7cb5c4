"""One request of a page: who asks, what was typed, and how the node's accounts are asked for it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import trio
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from aiplat.control.accounts import WhoAmI
from aiplat.domain.errors import DeadlineExceeded
from aiplat.http.dashboard.cookies import Cookies, sealed
from aiplat.http.dashboard.forms import NOTHING, Form
from aiplat.http.dashboard.headers import PAGE
from aiplat.http.dashboard.surroundings import Surroundings

Reply = TypeVar("Reply", bound=msgspec.Struct)

PASSWORD_SECONDS = 60.0
"""For what hashes a password: it may wait its turn behind others'."""


@dataclass
class Visit:
    """A request under way.

    Attributes:
        request: its head.
        around: the node, and the door.
        cookies: of this node and scheme.
        session: the token of the log-in, as the cookie has it; empty without one. Never logged.
        key: what forms and notes of this visitor are sealed with.
        csrf: the token of its forms.
        nonce: a new one that is to be set as a cookie; empty where there is one, or a session.
        form: what was typed.
        query: what the path's query holds, read as a form.
        known: who it is; None for nobody.
        note: what the page before left to be said.
    """

    request: Request
    around: Surroundings
    cookies: Cookies
    session: str
    key: bytes
    csrf: str
    nonce: str = ""
    form: Form = NOTHING
    query: Form = NOTHING
    known: WhoAmI | None = None
    note: str = ""
    about: dict[str, object] = field(default_factory=dict)

    @property
    def me(self) -> WhoAmI:
        """Who asks, on pages that nobody unknown sees."""
        if self.known is None:
            raise RuntimeError("a page that needs a log-in was given to nobody")
        return self.known

    @property
    def path(self) -> str:
        """Of the request."""
        return str(self.request.scope["path"])

    @property
    def source(self) -> str:
        """The address that it comes from."""
        client = self.request.client
        return client.host if client is not None else ""

    async def ask(
        self,
        method: str,
        wish: msgspec.Struct,
        reply: type[Reply],
        *,
        session: str | None = None,
        seconds: float = 0.0,
    ) -> Reply:
        """Ask the accounts of this node's gateway, as whoever is logged in.

        Arguments:
            session: another token than the visit's; empty for none.
            seconds: that it may take; 0 for the door's own.

        Raises:
            AiplatError: what it says instead.
        """
        limit = seconds or self.around.call_seconds
        token = self.session if session is None else session
        with trio.move_on_after(limit):
            return await self.around.operations.accounts_here(
                method, wish, reply, token, self.source
            )
        raise DeadlineExceeded(f"The gateway did not answer within {limit:g} seconds: try again.")

    def go(self, path: str, note: str = "") -> Response:
        """Send the browser to another page, with something to say there."""
        if self.request.headers.get("hx-request"):
            return Response(status_code=204, headers={**PAGE, "hx-redirect": path})
        response = RedirectResponse(path, 303, headers=PAGE)
        if note:
            self.cookies.set(response, sealed(note, self.key), "note", seconds=60)
        return response
