"""Options of the commands about accounts, written once, and what their amounts come to."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import amounts

if TYPE_CHECKING:
    from aiplat.domain.accounts import Limits

Gateway = Annotated[
    str | None,
    typer.Option(
        metavar="PEER",
        help="A gateway's peer id, the end of it, or its multiaddr. Without it: the one that you "
        "are known at, or this node's own.",
    ),
]
Insecure = Annotated[
    bool,
    typer.Option(
        "--insecure-storage",
        help="Where there is no keyring, keep it in a file, in the clear, for your account alone.",
    ),
]
User = Annotated[str | None, typer.Option(metavar="NAME", help="Another's; for operators.")]
Everyone = Annotated[bool, typer.Option("--everyone", help="Of all accounts; for operators.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]

Rpm = Annotated[
    str | None, typer.Option("--rpm", metavar="N", help="Requests a minute; none for no limit.")
]
Tpm = Annotated[
    str | None,
    typer.Option("--tpm", metavar="N", help="Tokens a minute: 20000, 20k, …; or none. A request "
                 "without max_tokens holds back the gateway's accounts.reserved_tokens (1024)."),
]  # fmt: skip
Concurrent = Annotated[
    str | None, typer.Option("--concurrent", metavar="N", help="Requests at once; or none.")
]
PerMonth = Annotated[
    str | None,
    typer.Option("--tokens-per-month", metavar="N", help="Tokens a calendar month (UTC): 5M, …; "
                 "or none."),
]  # fmt: skip


def limits_of(
    rpm: str | None, tpm: str | None, concurrent: str | None, per_month: str | None
) -> Limits:
    """Read the four options; what was not given is no limit.

    Raises:
        BadParameter: one of them is no count.
    """
    from aiplat.domain.accounts import Limits

    def read(text: str | None, option: str) -> int | None:
        return None if text is None else amounts.count_or_none(text, option)

    return Limits(
        requests_per_minute=read(rpm, "--rpm"),
        tokens_per_minute=read(tpm, "--tpm"),
        concurrent=read(concurrent, "--concurrent"),
        tokens_per_month=read(per_month, "--tokens-per-month"),
    )


def whose(user: str | None, *, everyone: bool) -> str:
    """Give whose things are asked for; empty for one's own, or everyone's.

    Raises:
        BadParameter: both were said, or an empty name.
    """
    if user is not None and everyone:
        raise typer.BadParameter("it names one account, --everyone all: leave one of the two out",
                                 param_hint="--user")  # fmt: skip
    if user is not None and not user.strip():
        raise typer.BadParameter("it is empty: leave it out, or name an account",
                                 param_hint="--user")  # fmt: skip
    return user or ""
