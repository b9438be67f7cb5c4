"""What an operator does with a gateway's accounts and invitations, step by step.

Each is called within a worker of Textual's, tells how it went, and raises nothing.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiplat.control import calls
from aiplat.control.accounts import (
    Invitation,
    InvitationName,
    LimitsWish,
    RoleWish,
    UserInvitation,
    UserName,
    UserStatus,
)
from aiplat.control.messages import Done
from aiplat.tui.dialogs import Confirm, Field
from aiplat.tui.keys import wishes
from aiplat.tui.keys.actions import limit_fields, told
from aiplat.tui.keys.form import SendForm, ShowOnce
from aiplat.tui.keys.words import invitation_words, name, when
from aiplat.tui.text import flat

if TYPE_CHECKING:
    from aiplat.tui.frame import Frame


async def let_in_or_out(app: Frame, user: UserStatus, gateway: str = "") -> bool:
    """Shut an account out, or let it in again; tells whether it was done."""
    if user.disabled:
        return await _do(app, "users.enable", user, gateway)
    text = (
        f"The keys of {flat(user.name)} hold no more, and what it has under way ends. It can be "
        "let in again."
    )
    asked = Confirm("Disable the account?", text, yes="Disable")
    if not await app.push_screen_wait(asked):
        return False
    return await _do(app, "users.disable", user, gateway)


async def delete(app: Frame, user: UserStatus, gateway: str = "") -> bool:
    """Delete an account, once its name was typed; tells whether it was done."""
    text = (
        f"The account {flat(user.name)}, its keys ({user.keys}) and its sessions are gone for "
        "good. The sums of what it used stay, without its name."
    )
    asked = Confirm("Delete the account?", text, yes="Delete", typed=flat(user.name))
    if not await app.push_screen_wait(asked):
        return False
    return await _do(app, "users.delete", user, gateway)


async def _do(app: Frame, method: str, user: UserStatus, gateway: str) -> bool:
    call = calls.accounts(method, UserName(name=user.name), Done, gateway=gateway)
    return await told(app, call) is not None


async def change_role(app: Frame, user: UserStatus, gateway: str = "") -> bool:
    """Make an account an operator's, or a user's again; tells whether it was done."""
    if user.role == "operator":
        wish, yes = RoleWish(name=user.name, role="user"), "Make it a user"
        text = f"{flat(user.name)} sees its own keys and usage alone from then on."
    else:
        wish, yes = RoleWish(name=user.name, role="operator"), "Make it an operator"
        text = (
            f"{flat(user.name)} may then see and change all accounts, keys and limits of this "
            "gateway, yours too."
        )
    if not await app.push_screen_wait(Confirm(f"The role of {name(user.name)}", text, yes=yes)):
        return False
    return await told(app, calls.accounts("users.role", wish, Done, gateway=gateway)) is not None


async def set_limits(app: Frame, user: UserStatus, gateway: str = "") -> bool:
    """Change what an account may take over all its keys; tells whether it was done."""

    async def send(values: dict[str, str]) -> Done:
        wish: LimitsWish = wishes.changed_limits(user.name, user.limits, values)
        return await app.link.call(calls.accounts("users.limits", wish, Done, gateway=gateway))

    fields = [
        Field(field.name, field.label, hint=field.hint,
              value=wishes.written(getattr(user.limits, field.name)))
        for field in limit_fields()
    ]  # fmt: skip
    form = SendForm(
        f"The limits of {name(user.name)}", fields, send, done="Set",
        text="Over all its keys. Counts such as 60, 20k or 1.5M; empty is no limit.",
    )  # fmt: skip
    await app.push_screen_wait(form)
    if form.got is not None:
        app.tell(form.got.message)
    return form.got is not None


async def invite(app: Frame, gateway: str = "") -> bool:
    """Make a code with which people may register, and show it this once."""

    async def send(values: dict[str, str]) -> UserInvitation:
        wish = wishes.invitation(values)
        return await app.link.call(
            calls.accounts("users.invite", wish, UserInvitation, gateway=gateway)
        )

    form = SendForm(
        "Invite people",
        [
            Field("expires", "Can be used for", value="7d", hint="12h, 7d, 4w"),
            Field("uses", "By how many", value="1", hint="1 or 20"),
            *limit_fields("the gateway's own"),
        ],
        send,
        text="A code with which people register here.",
        done="Make it",
        parts={"requests_per_minute": "Limits of who comes; with one, these and no other"},
    )
    await app.push_screen_wait(form)
    if form.got is None:
        return False
    words = invitation_words(form.got, app.clock)
    await app.push_screen_wait(ShowOnce("An invitation", words, form.got.code, is_kept=False))
    return True


async def uninvite(app: Frame, invitation: Invitation, gateway: str = "") -> bool:
    """Withdraw an invitation; tells whether it was done."""
    text = (
        f"Nobody registers with the invitation {flat(invitation.id)} any more, made "
        f"{when(invitation.created, app.clock)}. Who did stays."
    )
    if not await app.push_screen_wait(Confirm("Withdraw it?", text, yes="Withdraw")):
        return False
    call = calls.accounts("users.uninvite", InvitationName(id=invitation.id), Done, gateway=gateway)
    return await told(app, call) is not None
