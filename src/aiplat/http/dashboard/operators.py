"""What operators see besides: accounts, invitations, the audit log, settings."""

from __future__ import annotations

from starlette.responses import Response

from aiplat.control.accounts import (
    AuditAsk,
    AuditLog,
    InvitationList,
    InvitationName,
    Nothing,
    UserInvitation,
    UserInvite,
)
from aiplat.control.messages import Done
from aiplat.control.running import SettingList, SettingName, SettingsAsk, SettingStatus, SettingWish
from aiplat.domain.accounts import UNLIMITED
from aiplat.http.dashboard.forms import FINE, Form, Problem
from aiplat.http.dashboard.pages import Page
from aiplat.http.dashboard.rendering import render
from aiplat.http.dashboard.users import user_page, users_page
from aiplat.http.dashboard.visit import Visit

_DAY = 86_400
INVITE_EXPIRIES = ((1, "a day"), (7, "a week"), (30, "30 days"))
AUDIT_STEPS = (100, 300, 1000)


def operator_pages() -> list[Page]:
    """All of them."""
    return [
        users_page(),
        user_page(),
        Page("/invites", "operator", _show_invites,
             {"/invites": _invite, "/invites/withdraw": _withdraw}),
        Page("/audit", "operator", _show_audit),
        Page("/settings", "operator", _show_settings,
             {"/settings": _set, "/settings/reset": _reset}),
    ]  # fmt: skip


# -- invitations ---------------------------------------------------------------------------------


async def _show_invites(visit: Visit, problem: Problem) -> Response:
    listed = await visit.ask("users.invitations", Nothing(), InvitationList)
    return render(visit, "invites.html", problem, listed=listed, expiries=INVITE_EXPIRIES)


async def _invite(visit: Visit) -> Response:
    form = visit.form
    limits = form.limits()
    wish = UserInvite(
        expires_seconds=form.whole("expires", 1, 365, "The days that it holds") * _DAY,
        uses=form.whole("uses", 1, 1_000_000, "How many may use it"),
        limits=None if limits == UNLIMITED else limits,
    )
    made = await visit.ask("users.invite", wish, UserInvitation)
    visit.form = Form({})
    url = visit.request.url
    return render(
        visit, "invite_made.html", FINE, made=made,
        register_url=f"{url.scheme}://{url.netloc}/register",
    )  # fmt: skip


async def _withdraw(visit: Visit) -> Response:
    done = await visit.ask("users.uninvite", InvitationName(id=visit.form.line("id")), Done)
    return visit.go("/invites", done.message)


# -- audit log -----------------------------------------------------------------------------------


async def _show_audit(visit: Visit, problem: Problem) -> Response:
    most = visit.query.whole("most", 1, 1000, "most") if visit.query.line("most") else 100
    name = visit.query.line("name")
    shown = await visit.ask("users.audit", AuditAsk(most=most, name=name), AuditLog)
    return render(
        visit, "audit.html", problem, entries=shown.entries, most=most, name=name,
        steps=AUDIT_STEPS,
    )  # fmt: skip


# -- settings ------------------------------------------------------------------------------------


async def _show_settings(visit: Visit, problem: Problem) -> Response:
    everything = visit.query.is_set("all")
    shown = await visit.ask("settings.list", SettingsAsk(changing=not everything), SettingList)
    return render(
        visit, "settings.html", problem, settings=shown.settings, everything=everything,
        plain=plain,
    )  # fmt: skip


def plain(value: str) -> str:
    """A value as it is typed: a text without the quotes that it has in `config.toml`."""
    quoted = len(value) >= 2 and value[0] == value[-1] == '"'
    return value[1:-1].replace('\\"', '"').replace("\\\\", "\\") if quoted else value


async def _set(visit: Visit) -> Response:
    wish = SettingWish(name=visit.form.line("name"), value=visit.form.line("value"))
    now = await visit.ask("settings.set", wish, SettingStatus)
    return visit.go("/settings", f"{now.name} is {now.value} now.")


async def _reset(visit: Visit) -> Response:
    now = await visit.ask(
        "settings.reset", SettingName(name=visit.form.line("name")), SettingStatus
    )
    return visit.go("/settings", f"{now.name} is {now.value} again.")
