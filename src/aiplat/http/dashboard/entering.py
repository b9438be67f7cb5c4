"""Coming in: registering, logging in, the owner's one-time link; and logging out."""

from __future__ import annotations

import re

from starlette.responses import Response

from aiplat.control.accounts import Login, Nothing, Register, Session
from aiplat.control.messages import Done
from aiplat.control.sessions import OpenRedeem, Policy
from aiplat.domain.errors import InvalidApiKey, InvalidRequest
from aiplat.http.dashboard.forms import Problem
from aiplat.http.dashboard.pages import Page, next_path
from aiplat.http.dashboard.rendering import render
from aiplat.http.dashboard.visit import PASSWORD_SECONDS, Visit

_WHY = {
    "over": "Your log-in is over: log in again to go on.",
    "disabled": "This account is disabled. Ask the operator of this gateway.",
    "out": "You are logged out.",
}
_BROWSERS = (
    ("Edge", re.compile(r"Edg")),
    ("Opera", re.compile(r"OPR/")),
    ("Firefox", re.compile(r"Firefox/|FxiOS/")),
    ("Chrome", re.compile(r"Chrome/|Chromium/|CriOS/")),
    ("Safari", re.compile(r"Safari/")),
)
_SYSTEMS = (
    ("Android", re.compile(r"Android")),
    ("iOS", re.compile(r"iPhone|iPad")),
    ("Windows", re.compile(r"Windows")),
    ("macOS", re.compile(r"Mac OS X")),
    ("Linux", re.compile(r"Linux|X11")),
)


def label_of(agent: str) -> str:
    """A browser by its family, for the list of log-ins: of what it says no more is kept."""
    agent = agent[:1000]
    browser = next((name for name, mark in _BROWSERS if mark.search(agent)), "a browser")
    system = next((name for name, mark in _SYSTEMS if mark.search(agent)), "")
    return f"{browser} on {system}" if system else browser


class Entering:
    """The pages for who is not known yet.

    Arguments:
        known: the paths that a log-in may lead back to.
    """

    def __init__(self, known: frozenset[str]) -> None:
        self._known = known

    def pages(self) -> list[Page]:
        """All of them."""
        return [
            Page("/login", "nobody", self._show_login, {"/login": self._log_in}),
            Page("/register", "nobody", self._show_register, {"/register": self._register}),
            Page("/open", "nobody", self._show_open, {"/open": self._open}),
            Page("/logout", "nobody", self._show_logout, {"/logout": self._log_out}),
        ]

    # -- log in ----------------------------------------------------------------------------------

    async def _show_login(self, visit: Visit, problem: Problem) -> Response:
        asked = visit.form if visit.request.method == "POST" else visit.query
        back = next_path(asked.text("next"), self._known)
        if visit.known is not None and not problem.message:
            return visit.go(back)
        policy = await visit.ask("policy", Nothing(), Policy, session="")
        return render(
            visit, "login.html", problem, policy=policy, next=back,
            why=_WHY.get(visit.query.text("why"), ""),
        )  # fmt: skip

    async def _log_in(self, visit: Visit) -> Response:
        form = visit.form
        if not form.line("name") or not form.text("password"):
            raise InvalidRequest(
                "Type both a name and a password.",
                param="password" if form.line("name") else "name",
            )
        wish = Login(
            name=form.line("name"), password=form.text("password"), label=self._label(visit)
        )
        try:
            begun = await visit.ask("login", wish, Session, session="", seconds=PASSWORD_SECONDS)
        except InvalidApiKey:
            raise InvalidApiKey("The name or the password is wrong.") from None
        return self._enter(visit, begun, next_path(form.text("next"), self._known))

    def _label(self, visit: Visit) -> str:
        return label_of(visit.request.headers.get("user-agent", ""))

    def _enter(self, visit: Visit, begun: Session, path: str) -> Response:
        response = visit.go(path)
        left = max(1, round(begun.expires - visit.around.wall()))
        visit.cookies.set(response, begun.token, seconds=left)
        visit.cookies.drop(response, "form")
        return response

    # -- register --------------------------------------------------------------------------------

    async def _show_register(self, visit: Visit, problem: Problem) -> Response:
        policy = await visit.ask("policy", Nothing(), Policy, session="")
        return render(visit, "register.html", problem, policy=policy)

    async def _register(self, visit: Visit) -> Response:
        form = visit.form
        if form.text("password") != form.text("again"):
            raise InvalidRequest("The two passwords are not the same.", param="again")
        wish = Register(
            name=form.line("name"), password=form.text("password"),
            invitation=form.line("invitation"), label=self._label(visit),
        )  # fmt: skip
        begun = await visit.ask("register", wish, Session, session="", seconds=PASSWORD_SECONDS)
        return self._enter(visit, begun, "/")

    # -- the owner's link ------------------------------------------------------------------------

    async def _show_open(self, visit: Visit, problem: Problem) -> Response:
        return render(visit, "open.html", problem)

    async def _open(self, visit: Visit) -> Response:
        code = visit.form.line("code")
        if not code:
            raise InvalidRequest(
                "The link holds no code: `aiplat open` on the gateway's machine makes a new one.",
                param="code",
            )
        wish = OpenRedeem(code=code, label=self._label(visit))
        begun = await visit.ask("open.redeem", wish, Session, session="")
        return self._enter(visit, begun, "/")

    # -- log out ---------------------------------------------------------------------------------

    async def _show_logout(self, visit: Visit, problem: Problem) -> Response:
        if visit.known is None:
            return visit.go("/login")
        return render(visit, "logout.html", problem)

    async def _log_out(self, visit: Visit) -> Response:
        if visit.known is not None:
            await visit.ask("logout", Nothing(), Done)
        response = visit.go("/login?why=out")
        visit.cookies.drop(response)
        return response
