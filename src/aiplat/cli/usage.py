"""``aiplat usage``: what was asked, in tokens, as a table with a chart, JSON or CSV."""

from __future__ import annotations

import sys
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import account_options, amounts, options, output

if TYPE_CHECKING:
    from aiplat.control.accounts import UsageReply


class ByName(StrEnum):
    """What usage is summed by (`aiplat.control.accounts.UsageBy`), as Typer takes a choice."""

    model = "model"
    key = "key"
    day = "day"
    peer = "peer"


def usage(
    context: typer.Context,
    since: Annotated[
        str, typer.Option(metavar="TIME", help="How far back: 12h, 7d, 4w, …; at most 366d.")
    ] = "7d",
    by: Annotated[
        ByName, typer.Option(help="Sum by model, key, day (UTC), or the peer that answered.")
    ] = ByName.day,
    user: account_options.User = None,
    everyone: account_options.Everyone = False,
    csv: Annotated[
        bool, typer.Option("--csv", help="Print CSV (RFC 4180), with a header and no total.")
    ] = False,
    gateway: account_options.Gateway = None,
    json: options.Json = False,
) -> None:
    """Show what you used: requests and tokens, with a small chart.

    Up to two days it begins at a full hour, beyond that at a day's beginning. The chart has a bar
    for each day; beyond two months, for each week. In CSV a name that a spreadsheet would take
    for a formula (it begins with = + - or @) has a ' before it.

    \b
    Examples:
      aiplat usage
      aiplat usage --since 30d --by model
      aiplat usage --csv --by key >usage.csv
      aiplat usage --json | jq .total.total_tokens
    """
    from aiplat.cli.at_gateway import at_gateway
    from aiplat.cli.usage_csv import csv_text
    from aiplat.cli.whole import whole
    from aiplat.control.accounts import UsageAsk, UsageReply

    if csv and json:
        raise typer.BadParameter("leave one of the two out", param_hint="--csv, --json")
    asked = UsageAsk(
        since_seconds=amounts.span(since, "--since", "12h, 7d or 4w"), by=by.value,
        user=account_options.whose(user, everyone=everyone), everyone=everyone,
    )  # fmt: skip
    found = at_gateway(context, gateway).ask("usage", asked, UsageReply)
    if json:
        output.print_json(whole(found))
    elif csv:
        output.data(csv_text(found))
    else:
        _print(found)
    if found.left_out and not json:
        output.say(f"({found.left_out} more rows are left out; the total has all.)")


def _print(found: UsageReply) -> None:
    from aiplat.cli.account_words import when
    from aiplat.cli.usage_chart import chart
    from aiplat.cli.usage_table import hidden, table

    span = f"from {when(found.since)} to {when(found.until)}"
    if not found.rows:
        output.say(f"Nothing was asked {span}.")
        return
    output.say(f"Usage {span}:")
    room = output.width(sys.stdout)
    drawn = "\n".join([*table(found, room), "", *chart(found, room)]).rstrip()
    output.data(output.drawable(drawn, sys.stdout) + "\n")
    if names := hidden(found, room):
        output.say(names)
