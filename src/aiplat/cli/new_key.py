"""A key that was just made: itself alone on stdout, once, and all else that a person is told."""

from __future__ import annotations

from typing import TYPE_CHECKING

from aiplat.cli import output

if TYPE_CHECKING:
    from aiplat.control.accounts import NewKey


def tell_new(made: NewKey, *, json: bool) -> None:
    """Show it; what is said beside it, on stderr, holds nothing of the secret."""
    from aiplat.cli.whole import give

    give(made, _say, json=json)


def _say(made: NewKey) -> None:
    for text in _words(made):
        output.say(output.flat(text))
    output.secret(made.key)


def _words(made: NewKey) -> list[str]:
    from aiplat.cli.account_words import kept_in, when
    from aiplat.domain.ids import short

    until = f" It holds until {when(made.status.expires)}." if made.status.expires else ""
    first = (
        f"The key {made.name} of the gateway {short(made.gateway)} is shown this once, and by "
        f"nobody again.{until}"
    )
    if made.kept:
        kept = f"It is kept in {kept_in(made.kept)}, where this node finds it for `aiplat ask`."
        return [f"{first} {kept}"]
    use = (
        "To use it: in the environment, as AIPLAT_API_KEY for `aiplat ask`, or as OPENAI_API_KEY "
        "for a program that speaks to the gateway's HTTP door."
    )
    if made.not_kept:
        return [f"{first} It could not be kept, so keep it yourself. {made.not_kept}", use]
    return [f"{first} It is kept nowhere: keep it as you would a password.", use]
