"""``aiplat explain``: why a request went where it went."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of

if TYPE_CHECKING:
    from aiplat.control.messages import Choice, Explanation


def explain(
    context: typer.Context,
    request: Annotated[
        str,
        typer.Argument(metavar="REQUEST", help="Its name, as `ask -v` says it, or how it begins."),
    ],
    json: options.Json = False,
) -> None:
    """Tell why a request went to that peer.

    \b
    Example:
      aiplat explain req-0123456789abcdef01234567
    """
    client, _ = face_of(context).running()
    told = client.explain(request)
    if json:
        output.print_json(told)
    else:
        output.data("\n".join(describe(told)) + "\n")


def describe(told: Explanation) -> list[str]:
    """Write an explanation down in lines."""
    lines = [
        f"{told.request}: {told.state}{f' ({output.flat(told.outcome)})' if told.outcome else ''}",
        f"  gateway  {told.gateway}",
        f"  model    {output.flat(told.model) or 'the first that is ready'}",
        f"  privacy  {told.privacy}",
    ]
    for number, choice in enumerate(told.choices, 1):
        lines += _choice(number, choice)
    return lines


def _choice(number: int, choice: Choice) -> list[str]:
    what = f"placed on …{choice.processor[-8:]}" if choice.processor else "not placed"
    lines = [f"  {number}. after {choice.after:.3f} s {what}: {output.flat(choice.reason)}"]
    for one in choice.weighed:
        mark = "*" if one.chosen else " "
        facts = (
            f"wait {one.expected_wait:.1f} s, load {one.load}/{one.slots}, "
            f"{one.tokens_per_second:.0f} tok/s, round trip {one.latency * 1000:.1f} ms"
        )
        why = f" – {output.flat(one.refused)}" if one.refused else ""
        lines.append(f"     {mark} …{one.processor[-8:]}  {facts}{why}")
    if choice.outcome:
        lines.append(f"     → {output.flat(choice.outcome)}")
    return lines
