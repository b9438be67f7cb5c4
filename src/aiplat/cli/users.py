"""``aiplat users``: a gateway's accounts, for its operators."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import account_options, amounts, options, output, tables, typed

if TYPE_CHECKING:
    import msgspec

    from aiplat.control.accounts import UserInvitation

users = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="The accounts of a gateway, for its operators.\n\n\b\nExamples:\n"
    "  aiplat users list\n  aiplat users invite --uses 5\n  aiplat users disable ann",
    add_completion=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="Of the account.")]


class RoleChoice(StrEnum):
    """What an account may be (`aiplat.domain.accounts.UserRole`), as Typer takes a choice."""

    user = "user"
    operator = "operator"


@users.command("list")
def list_users(
    context: typer.Context, gateway: account_options.Gateway = None, json: options.Json = False
) -> None:
    """List all accounts, those first that used most this month.

    \b
    Examples:
      aiplat users list
      aiplat users list --json | jq -r '.users[] | select(.disabled).name'
    """
    from aiplat.cli.account_words import USERS
    from aiplat.cli.at_gateway import at_gateway
    from aiplat.cli.whole import give
    from aiplat.control.accounts import Nothing, UserList

    def say(found: UserList) -> None:
        tables.show(USERS, found.users)
        if found.more:
            output.say(f"({found.more} more are not listed: they used less this month.)")

    give(at_gateway(context, gateway).ask("users.list", Nothing(), UserList), say, json=json)


@users.command()
def invite(
    context: typer.Context,
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="How long it can be used: 12h, 7d, 4w, ….")
    ] = "7d",
    uses: Annotated[str, typer.Option(metavar="N", help="How many may register with it.")] = "1",
    rpm: account_options.Rpm = None,
    tpm: account_options.Tpm = None,
    concurrent: account_options.Concurrent = None,
    per_month: account_options.PerMonth = None,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Make a code with which people may register. It is shown once, alone on stdout.

    With no limit said they get the gateway's defaults; with one, these, and no other.

    \b
    Examples:
      aiplat users invite
      aiplat users invite --uses 20 --expires 2w --rpm 60 --tokens-per-month 5M
    """
    from aiplat.cli.at_gateway import at_gateway
    from aiplat.cli.whole import give
    from aiplat.control.accounts import UserInvitation, UserInvite

    said = (rpm, tpm, concurrent, per_month)
    limits = account_options.limits_of(*said) if any(one is not None for one in said) else None
    seconds = amounts.span(expires, "--expires", "12h, 7d or 4w")
    people = amounts.count(uses, "--uses", "1 or 20")
    wish = UserInvite(expires_seconds=seconds, uses=people, limits=limits)
    give(at_gateway(context, gateway).ask("users.invite", wish, UserInvitation), _hand, json=json)


def _hand(made: UserInvitation) -> None:
    """Show the code alone on stdout; all else is said beside it."""
    from aiplat.cli.account_words import when
    from aiplat.domain.ids import short

    whom = "one person" if made.uses == 1 else f"{made.uses} people"
    output.say(
        f"For {whom}, until {when(made.expires)}, at the gateway "
        f'{output.flat(short(made.gateway))}. There: "aiplat register --gateway '
        f'{output.flat(made.gateway)}", or its web page; both ask for the code. `aiplat users '
        f"uninvite {output.flat(made.id)}` withdraws it."
    )
    if made.is_closed:
        output.say(
            "warning: Nobody can register at that gateway yet. There: `aiplat settings set "
            "accounts.registration invite`."
        )
    output.secret(made.code)


@users.command()
def invitations(
    context: typer.Context, gateway: account_options.Gateway = None, json: options.Json = False
) -> None:
    """List the invitations that hold, the newest first. Their codes are shown to nobody again.

    \b
    Examples:
      aiplat users invitations
      aiplat users invitations --json | jq -r '.invitations[].id'
    """
    from aiplat.cli.account_words import INVITATIONS
    from aiplat.cli.at_gateway import at_gateway
    from aiplat.cli.whole import give
    from aiplat.control.accounts import InvitationList, Nothing

    def say(found: InvitationList) -> None:
        tables.show(INVITATIONS, found.invitations)
        if found.is_cut:
            output.say("(Older ones are not listed.)")

    at = at_gateway(context, gateway)
    give(at.ask("users.invitations", Nothing(), InvitationList), say, json=json)


@users.command()
def uninvite(
    context: typer.Context,
    invitation: Annotated[str, typer.Argument(metavar="ID", help="As `users invitations` tells.")],
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Withdraw an invitation: nobody registers with it any more. Who did stays.

    \b
    Examples:
      aiplat users uninvite xznxwdkk7pgkmevfebrdptpo
    """
    from aiplat.control.accounts import InvitationName

    _do(context, gateway, "users.uninvite", InvitationName(id=invitation), json=json)


@users.command()
def disable(
    context: typer.Context,
    name: Name,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Shut an account out: its keys hold no more, and what it has under way ends.

    \b
    Example:
      aiplat users disable ann
    """
    from aiplat.control.accounts import UserName

    _do(context, gateway, "users.disable", UserName(name=name), json=json)


@users.command()
def enable(
    context: typer.Context,
    name: Name,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Let a disabled account in again.

    \b
    Example:
      aiplat users enable ann
    """
    from aiplat.control.accounts import UserName

    _do(context, gateway, "users.enable", UserName(name=name), json=json)


@users.command()
def limits(
    context: typer.Context,
    name: Name,
    rpm: account_options.Rpm = None,
    tpm: account_options.Tpm = None,
    concurrent: account_options.Concurrent = None,
    per_month: account_options.PerMonth = None,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Change what an account may take, over all its keys; what is not said stays.

    \b
    Examples:
      aiplat users limits ann --rpm 60 --tpm 20k
      aiplat users limits ann --tokens-per-month none
    """
    from aiplat.control.accounts import LimitsWish

    said = (rpm, tpm, concurrent, per_month)
    if all(one is None for one in said):
        raise typer.BadParameter(
            "say at least one, such as 60, 20k or none",
            param_hint="--rpm, --tpm, --concurrent, --tokens-per-month",
        )
    wanted = account_options.limits_of(*said)
    asked = [
        None if text is None else getattr(wanted, field) or 0  # 0 takes a limit away
        for text, field in zip(said, wanted.__struct_fields__, strict=True)
    ]
    wish = LimitsWish(
        name=name, requests_per_minute=asked[0], tokens_per_minute=asked[1], concurrent=asked[2],
        tokens_per_month=asked[3],
    )  # fmt: skip
    _do(context, gateway, "users.limits", wish, json=json)


@users.command()
def role(
    context: typer.Context,
    name: Name,
    to: Annotated[RoleChoice, typer.Argument(metavar="user|operator", help="What it shall be.")],
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Make an account an operator's, or a user's again.

    \b
    Examples:
      aiplat users role ann operator
      aiplat users role ann user
    """
    from aiplat.control.accounts import RoleWish

    wish = RoleWish(name=name, role=to.value)
    _do(context, gateway, "users.role", wish, json=json)


@users.command()
def password(
    context: typer.Context,
    name: Name,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Give an account another password, such as one that was lost; its log-ins end, keys stay.

    It is asked for twice, or is the first line of what is piped in. Your own is changed by
    `aiplat password`.

    \b
    Examples:
      aiplat users password ann
      aiplat users password ann <password.txt
    """
    from aiplat.cli.at_gateway import at_gateway, tell
    from aiplat.control.messages import Done
    from aiplat.control.sessions import PasswordReset

    at = at_gateway(context, gateway)
    wish = PasswordReset(name=name, password=typed.new_password(name))
    tell(at.ask("users.password", wish, Done), json=json)


@users.command()
def delete(
    context: typer.Context,
    name: Name,
    yes: account_options.Yes = False,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Delete an account with its keys; the sums of what it used stay, without its name.

    It asks for the name first; without a terminal --yes is needed.

    \b
    Examples:
      aiplat users delete ann
      aiplat users delete ann --yes
    """
    from aiplat.control.accounts import UserName

    typed.refuse_unasked("delete", yes=yes)
    if not yes:
        output.say(f"This deletes the account {output.flat(name)}, its keys and its sessions.")
        if not typed.confirmed(name, "delete"):
            output.say("Nothing was deleted.")
            raise typer.Exit(1)
    _do(context, gateway, "users.delete", UserName(name=name), json=json)


@users.command()
def audit(
    context: typer.Context,
    most: Annotated[str, typer.Option(metavar="N", help="How many entries.")] = "100",
    user: Annotated[
        str | None, typer.Option(metavar="NAME", help="Those about this account alone.")
    ] = None,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Show who did what to whom, when, and from which peer; the newest first.

    \b
    Examples:
      aiplat users audit --most 20
      aiplat users audit --user ann --json | jq -r '.entries[].action'
    """
    from aiplat.cli.account_words import AUDIT
    from aiplat.cli.at_gateway import at_gateway
    from aiplat.cli.whole import give
    from aiplat.control.accounts import AuditAsk, AuditLog

    asked = AuditAsk(
        most=amounts.count(most, "--most", "20 or 1000"),
        name=account_options.whose(user, everyone=False),
    )

    def say(found: AuditLog) -> None:
        if found.entries:
            tables.show(AUDIT, found.entries)
        else:
            output.say("The log has no such entry.")

    give(at_gateway(context, gateway).ask("users.audit", asked, AuditLog), say, json=json)


def _do(
    context: typer.Context, gateway: str | None, method: str, wish: msgspec.Struct, *, json: bool
) -> None:
    """Do what is answered with a sentence."""
    from aiplat.cli.at_gateway import at_gateway, tell
    from aiplat.control.messages import Done

    tell(at_gateway(context, gateway).ask(method, wish, Done), json=json)
