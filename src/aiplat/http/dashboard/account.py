"""One's own account: log-ins, password, and how the pages look."""

from __future__ import annotations

from starlette.responses import Response

from aiplat.control.accounts import Nothing
from aiplat.control.messages import Done
from aiplat.control.sessions import PasswordChange, Policy, SessionEnd, SessionList, SessionsAsk
from aiplat.domain.errors import InvalidRequest
from aiplat.http.dashboard.cookies import LOOKS
from aiplat.http.dashboard.forms import Problem
from aiplat.http.dashboard.pages import Page, next_path
from aiplat.http.dashboard.rendering import render
from aiplat.http.dashboard.visit import PASSWORD_SECONDS, Visit

_PATHS = frozenset({
    "/", "/keys", "/usage", "/playground", "/network", "/account", "/users", "/users/one",
    "/invites", "/audit", "/settings", "/login", "/register", "/open", "/logout",
})  # fmt: skip
"""Where the switch of the look leads back to."""


def account_page() -> Page:
    """The page."""
    acts = {"/account/sessions": _end_session, "/account/password": _change_password}
    return Page("/account", "user", _show, acts)


def look_page() -> Page:
    """What the switch in every page's foot asks for."""
    return Page("/look", "nobody", _go_back, {"/look": _change_look})


async def _show(visit: Visit, problem: Problem) -> Response:
    sessions = await visit.ask("sessions.list", SessionsAsk(), SessionList)
    policy = await visit.ask("policy", Nothing(), Policy, session="")
    return render(visit, "account.html", problem, sessions=sessions.sessions, policy=policy)


async def _end_session(visit: Visit) -> Response:
    if visit.form.is_set("others"):
        wish = SessionEnd(others=True)
    elif visit.form.line("id"):
        wish = SessionEnd(id=visit.form.line("id"))
    else:
        raise InvalidRequest("The form names no log-in.", param="id")
    done = await visit.ask("sessions.end", wish, Done)
    return visit.go("/account", done.message)


async def _change_password(visit: Visit) -> Response:
    form = visit.form
    if form.text("new") != form.text("again"):
        raise InvalidRequest("The two new passwords are not the same.", param="again")
    wish = PasswordChange(old=form.text("old"), new=form.text("new"))
    done = await visit.ask("password.change", wish, Done, seconds=PASSWORD_SECONDS)
    return visit.go("/account", done.message)


async def _go_back(visit: Visit, problem: Problem) -> Response:
    if problem.message:
        return render(visit, "error.html", problem)
    return visit.go("/")


async def _change_look(visit: Visit) -> Response:
    look = next((look for look in LOOKS if look == visit.form.text("look")), None)
    if look is None:
        raise InvalidRequest(f"The pages look {', '.join(LOOKS)}, and no other way.", param="look")
    response = visit.go(next_path(visit.form.text("next"), _PATHS))
    visit.cookies.set_look(response, look)
    return response
