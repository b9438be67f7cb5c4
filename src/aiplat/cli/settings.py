"""``aiplat settings``: what a gateway's operators change while it runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import account_options, options, output, tables

if TYPE_CHECKING:
    import msgspec

settings = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="A gateway's settings, and changing them while it runs.\n\n\b\nExamples:\n"
    "  aiplat settings list\n  aiplat settings set accounts.registration invite",
    add_completion=False,
)

Name = Annotated[str, typer.Argument(metavar="NAME", help="With its section: accounts.max_users.")]


@settings.command("list")
def list_settings(
    context: typer.Context,
    everything: Annotated[
        bool, typer.Option("--all", help="Those too that are read when a node starts.")
    ] = False,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """List the settings that can be changed now, with what holds and where that comes from.

    \b
    Examples:
      aiplat settings list
      aiplat settings list --all --json | jq -r '.settings[] | select(.source != "default").name'
    """
    from aiplat.cli.at_gateway import at_gateway
    from aiplat.cli.setting_words import SETTINGS
    from aiplat.cli.whole import give
    from aiplat.control.running import SettingList, SettingsAsk

    wish = SettingsAsk(changing=not everything)
    found = at_gateway(context, gateway).ask("settings.list", wish, SettingList)
    give(found, lambda found: tables.show(SETTINGS, found.settings), json=json)


@settings.command("set")
def set_value(
    context: typer.Context,
    name: Name,
    value: Annotated[
        str, typer.Argument(metavar="VALUE", help="A text without quotes; a list with commas.")
    ],
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Change a setting now, and for all later starts.

    It comes before config.toml; the environment and the command line of the node come before it.

    \b
    Examples:
      aiplat settings set accounts.registration invite
      aiplat settings set gateway.max_waiting 100
    """
    from aiplat.control.running import SettingWish

    _do(context, gateway, "settings.set", SettingWish(name=name, value=value), json=json)


@settings.command()
def reset(
    context: typer.Context,
    name: Name,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Take a change back: what config.toml says, or the default, holds again.

    \b
    Example:
      aiplat settings reset accounts.registration
    """
    from aiplat.control.running import SettingName

    _do(context, gateway, "settings.reset", SettingName(name=name), json=json)


def _do(
    context: typer.Context, gateway: str | None, method: str, wish: msgspec.Struct, *, json: bool
) -> None:
    from aiplat.cli.at_gateway import at_gateway
    from aiplat.cli.setting_words import held_by
    from aiplat.cli.whole import give
    from aiplat.control.running import SettingStatus

    def say(now: SettingStatus) -> None:
        output.say(output.flat(f"{now.name} is {now.value} now ({held_by(now)})."), "done")

    give(at_gateway(context, gateway).ask(method, wish, SettingStatus), say, json=json)
