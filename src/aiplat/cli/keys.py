"""``aiplat keys``: the keys with which programs, and one's own nodes, ask a gateway."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import account_options, amounts, options, output, typed
from aiplat.cli.keys_doctor import doctor
from aiplat.cli.new_key import tell_new

if TYPE_CHECKING:
    from aiplat.control.accounts import KeyList

keys = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="Make keys, see them, and take them away.\n\n\b\nExamples:\n"
    "  aiplat keys create --name laptop --expires 90d\n  aiplat keys list\n"
    "  aiplat keys revoke laptop",
    add_completion=False,
)
keys.command()(doctor)


class ScopeName(StrEnum):
    """What a key may do (`aiplat.domain.accounts.SCOPES`), as Typer takes a choice."""

    inference = "inference"
    usage = "usage"
    admin = "admin"


Key = Annotated[str, typer.Argument(metavar="KEY", help="Its name, or its id.")]
Store = Annotated[
    bool, typer.Option("--no-store", help="Print the key and keep it nowhere; needs no keyring.")
]


@keys.command()
def create(
    context: typer.Context,
    name: Annotated[str, typer.Option(metavar="NAME", help="Your own name for it.")],
    scope: Annotated[
        list[ScopeName] | None,
        typer.Option(
            help="What it may: ask, see your usage, or do all that you may with accounts; "
            "repeatable. inference without it."
        ),
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="A model it may ask; repeatable. All without it."),
    ] = None,
    expires: Annotated[
        str, typer.Option(metavar="TIME", help="How long it holds: 12h, 90d, …; or never.")
    ] = "never",
    rpm: account_options.Rpm = None,
    tpm: account_options.Tpm = None,
    concurrent: account_options.Concurrent = None,
    per_month: account_options.PerMonth = None,
    user: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="Make it for another account, for operators: it is "
            "printed, and kept nowhere here.",
        ),
    ] = None,
    no_store: Store = False,
    insecure: account_options.Insecure = False,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Make a key. It is shown once, alone on stdout.

    This home's node keeps it in the OS keyring, and asks with it. With --no-store or --json it is
    kept nowhere: it is for another program or machine.

    \b
    Examples:
      aiplat keys create --name laptop
      aiplat keys create --name ci --expires 90d --rpm 60 --tokens-per-month 5M --json
      KEY=$(aiplat keys create --name web --model smollm2-135m --no-store)
    """
    from aiplat.cli.at_gateway import at_gateway
    from aiplat.control.accounts import KeyWish, NewKey

    whose = account_options.whose(user, everyone=False)
    store = not (no_store or json or whose)
    chosen: list[ScopeName] = scope or [ScopeName.inference]
    wish = KeyWish(
        name=name, scopes=tuple(dict.fromkeys(one.value for one in chosen)),
        models=tuple(dict.fromkeys(model or ())),
        expires_seconds=amounts.span_or_never(expires, "--expires"),
        limits=account_options.limits_of(rpm, tpm, concurrent, per_month), user=whose,
        store=store, insecure=store and insecure,
    )  # fmt: skip
    made = at_gateway(context, gateway).ask("keys.create", wish, NewKey, insecure=wish.insecure)
    tell_new(made, json=json)


@keys.command("list")
def list_keys(
    context: typer.Context,
    ended: Annotated[
        bool, typer.Option("--all", help="Those too that are revoked, or have expired.")
    ] = False,
    user: account_options.User = None,
    everyone: account_options.Everyone = False,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """List your keys, the newest first; never their secrets.

    \b
    Examples:
      aiplat keys list
      aiplat keys list --all --json | jq -r '.keys[] | select(.state == "expired").name'
    """
    from aiplat.cli.at_gateway import at_gateway
    from aiplat.cli.whole import give
    from aiplat.control.accounts import KeyList, KeysAsk

    whose = account_options.whose(user, everyone=everyone)
    asked = KeysAsk(user=whose, everyone=everyone, ended=ended)
    found = at_gateway(context, gateway).ask("keys.list", asked, KeyList)
    give(found, lambda found: _print(found, of_all=everyone), json=json)


@keys.command()
def show(
    context: typer.Context,
    key: Key,
    user: account_options.User = None,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Show a key: what it may, until when, and when it was used last.

    \b
    Example:
      aiplat keys show laptop
    """
    from aiplat.cli.account_words import key_lines
    from aiplat.cli.at_gateway import at_gateway
    from aiplat.cli.whole import give
    from aiplat.control.accounts import KeyName, KeyStatus

    asked = KeyName(key=key, user=account_options.whose(user, everyone=False))

    def say(found: KeyStatus) -> None:
        output.data("\n".join(key_lines(found, output.width(sys.stdout))) + "\n")

    give(at_gateway(context, gateway).ask("keys.show", asked, KeyStatus), say, json=json)


@keys.command()
def rotate(
    context: typer.Context,
    key: Key,
    overlap: Annotated[
        str, typer.Option(metavar="TIME", help="How long the old one holds beside it: 0s, 1h, 7d.")
    ] = "24h",
    user: account_options.User = None,
    no_store: Store = False,
    insecure: account_options.Insecure = False,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Put a new secret in a key's place. It is shown once, alone on stdout.

    The new one has the same name, rights and limits, and is kept as `keys create` would keep it.

    \b
    Examples:
      aiplat keys rotate laptop
      aiplat keys rotate ci --overlap 1h --json
    """
    from aiplat.cli.at_gateway import at_gateway
    from aiplat.control.accounts import KeyRotate, NewKey

    whose = account_options.whose(user, everyone=False)
    store = not (no_store or json or whose)
    wish = KeyRotate(
        key=key, user=whose, overlap_seconds=amounts.span(overlap, "--overlap", "1h or 7d"),
        store=store, insecure=store and insecure,
    )  # fmt: skip
    made = at_gateway(context, gateway).ask("keys.rotate", wish, NewKey, insecure=wish.insecure)
    if not json:
        held = f"for {overlap} more" if wish.overlap_seconds else "no more"
        output.say(f"The old secret holds {held}; `aiplat keys revoke` with its id ends it.")
    tell_new(made, json=json)


@keys.command()
def revoke(
    context: typer.Context,
    key: Key,
    user: account_options.User = None,
    yes: account_options.Yes = False,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Take a key away, at once and for good; what is asked with it ends.

    It asks for the key's name first; without a terminal --yes is needed.

    \b
    Examples:
      aiplat keys revoke laptop
      aiplat keys revoke ci --yes
    """
    from aiplat.cli.account_words import key_lines
    from aiplat.cli.at_gateway import at_gateway, tell
    from aiplat.control.accounts import KeyName, KeyStatus
    from aiplat.control.messages import Done

    typed.refuse_unasked("revoke", yes=yes)
    asked = KeyName(key=key, user=account_options.whose(user, everyone=False))
    at = at_gateway(context, gateway)
    if not yes:
        found = at.ask("keys.show", asked, KeyStatus)
        output.say("\n".join(key_lines(found, output.width(sys.stderr))))
        if not typed.confirmed(found.name, "revoke"):
            output.say("Nothing was revoked.")
            raise typer.Exit(1)
        asked = KeyName(key=found.id, user=asked.user)  # what was shown, whatever has its name now
    tell(at.ask("keys.revoke", asked, Done), json=json)


def _print(found: KeyList, *, of_all: bool) -> None:
    from aiplat.cli import tables
    from aiplat.cli.account_words import KEYS, KEYS_OF_ALL

    if not found.keys:
        output.say("No key holds. `aiplat keys create --name laptop` makes one.")
        return
    tables.show(KEYS_OF_ALL if of_all else KEYS, found.keys)
    if found.more:
        output.say(f"({found.more} more are not listed.)")
