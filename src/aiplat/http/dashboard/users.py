"""Accounts, as their operators see them: who there is, and what is done with one."""

from __future__ import annotations

from urllib.parse import quote

from starlette.responses import Response

from aiplat.control.accounts import (
    KeyList,
    KeysAsk,
    LimitsWish,
    Nothing,
    RoleWish,
    UserList,
    UserName,
    UserStatus,
)
from aiplat.control.messages import Done
from aiplat.control.sessions import PasswordReset, SessionEnd, SessionList, SessionsAsk
from aiplat.domain.accounts import UserRole
from aiplat.domain.errors import InvalidRequest, clip
from aiplat.http.dashboard.forms import Problem
from aiplat.http.dashboard.pages import Page
from aiplat.http.dashboard.rendering import render
from aiplat.http.dashboard.visit import PASSWORD_SECONDS, Visit


def users_page() -> Page:
    """All accounts."""
    return Page("/users", "operator", _show_all)


def user_page() -> Page:
    """One of them."""
    acts = {
        "/users/enable": _enable,
        "/users/disable": _disable,
        "/users/role": _role,
        "/users/limits": _limits,
        "/users/password": _password,
        "/users/sessions": _end_sessions,
        "/users/delete": _delete,
    }
    return Page("/users/one", "operator", _show_one, acts)


async def _show_all(visit: Visit, problem: Problem) -> Response:
    listed = await visit.ask("users.list", Nothing(), UserList)
    wanted = visit.query.line("name").lower()
    users = [user for user in listed.users if wanted in user.name]
    return render(visit, "users.html", problem, users=users, more=listed.more, wanted=wanted)


async def _show_one(visit: Visit, problem: Problem) -> Response:
    name = (visit.form if visit.request.method == "POST" else visit.query).line("name")
    user = await _user(visit, name)
    sessions = await visit.ask("sessions.list", SessionsAsk(user=user.name), SessionList)
    keys = await visit.ask("keys.list", KeysAsk(user=user.name), KeyList)
    return render(
        visit, "user.html", problem, user=user, sessions=sessions.sessions, keys=keys.keys
    )


async def _user(visit: Visit, name: str) -> UserStatus:
    listed = await visit.ask("users.list", Nothing(), UserList)
    for user in listed.users:
        if user.name == name.lower():
            return user
    raise InvalidRequest(f"There is no account {clip(name)!r} here.", param="name")


def _named(visit: Visit) -> str:
    name = visit.form.line("name")
    if not name:
        raise InvalidRequest("The form names no account.", param="name")
    return name


def _back(visit: Visit, done: Done) -> Response:
    return visit.go(f"/users/one?name={quote(_named(visit), safe='')}", done.message)


async def _enable(visit: Visit) -> Response:
    return _back(visit, await visit.ask("users.enable", UserName(name=_named(visit)), Done))


async def _disable(visit: Visit) -> Response:
    return _back(visit, await visit.ask("users.disable", UserName(name=_named(visit)), Done))


async def _role(visit: Visit) -> Response:
    role: UserRole = "operator" if visit.form.text("role") == "operator" else "user"
    return _back(
        visit, await visit.ask("users.role", RoleWish(name=_named(visit), role=role), Done)
    )


async def _limits(visit: Visit) -> Response:
    given = visit.form.limits()
    wish = LimitsWish(
        name=_named(visit),
        requests_per_minute=given.requests_per_minute or 0,
        tokens_per_minute=given.tokens_per_minute or 0,
        concurrent=given.concurrent or 0,
        tokens_per_month=given.tokens_per_month or 0,
    )
    return _back(visit, await visit.ask("users.limits", wish, Done))


async def _password(visit: Visit) -> Response:
    wish = PasswordReset(name=_named(visit), password=visit.form.text("password"))
    done = await visit.ask("users.password", wish, Done, seconds=PASSWORD_SECONDS)
    return _back(visit, done)


async def _end_sessions(visit: Visit) -> Response:
    one = visit.form.line("id")
    if not one:
        raise InvalidRequest("The form names no log-in.", param="id")
    wish = SessionEnd(id=one, user=_named(visit))
    return _back(visit, await visit.ask("sessions.end", wish, Done))


async def _delete(visit: Visit) -> Response:
    name = _named(visit)
    if visit.form.line("sure").lower() != name.lower():
        raise InvalidRequest(
            f"Type {name} into the field to delete that account, and nothing else.", param="sure"
        )
    done = await visit.ask("users.delete", UserName(name=name), Done)
    return visit.go("/users", done.message)
