"""``aiplat sessions``: where one is logged in at a gateway."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import account_options, options, output, tables

if TYPE_CHECKING:
    from aiplat.control.sessions import SessionList

sessions = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Log-ins at a gateway: listed, and ended.\n\n\b\nExamples:\n"
    "  aiplat sessions list\n  aiplat sessions end --others",
    add_completion=False,
)


@sessions.command("list")
def list_sessions(
    context: typer.Context,
    user: account_options.User = None,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """List the log-ins that hold, the newest first: by what, from where, and when used last.

    \b
    Examples:
      aiplat sessions list
      aiplat sessions list --user ann
    """
    from aiplat.cli.at_gateway import at_gateway
    from aiplat.cli.whole import give
    from aiplat.control.sessions import SessionList, SessionsAsk

    wish = SessionsAsk(user=account_options.whose(user, everyone=False))
    give(at_gateway(context, gateway).ask("sessions.list", wish, SessionList), _print, json=json)


@sessions.command()
def end(
    context: typer.Context,
    session: Annotated[
        str | None, typer.Argument(metavar="ID", help="As `sessions list` tells.")
    ] = None,
    others: Annotated[
        bool, typer.Option("--others", help="All but the one that this command is asked by.")
    ] = False,
    user: account_options.User = None,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """End a log-in, or all others; what it has under way ends too. Keys stay.

    \b
    Examples:
      aiplat sessions end xznxwdkk7pgkmevfebrdptpo
      aiplat sessions end --others
      aiplat sessions end --others --user ann
    """
    from aiplat.cli.at_gateway import at_gateway, tell
    from aiplat.control.messages import Done
    from aiplat.control.sessions import SessionEnd

    if bool(session) == others:
        raise typer.BadParameter("say one log-in by its id, or --others", param_hint="ID")
    name = account_options.whose(user, everyone=False)
    wish = SessionEnd(id=session or "", others=others, user=name)
    tell(at_gateway(context, gateway).ask("sessions.end", wish, Done), json=json)


def _print(found: SessionList) -> None:
    from aiplat.cli.account_words import SESSIONS

    if found.sessions:
        tables.show(SESSIONS, found.sessions)
    else:
        output.say(output.flat(f"The account {found.user} is logged in nowhere."))
