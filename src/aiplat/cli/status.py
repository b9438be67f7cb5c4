"""``aiplat status``: the node that runs here, now."""

from __future__ import annotations

import sys

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of


def status(context: typer.Context, json: options.Json = False) -> None:
    """Show the node that runs here.

    Who it is, where it is reached, what it does.

    \b
    Examples:
      aiplat status
      aiplat --home g status --json | jq -r '.addresses[0]'
    """
    from aiplat.runtime.report import describe

    _, now = face_of(context).running()
    if json:
        output.print_json(now)
    else:
        lines = describe(now, signs=False, columns=output.width(sys.stdout))
        lines.append(f"  {'runs':<10} pid {now.pid}, {_duration(now.uptime_seconds)}, "
                     f"{'in the background' if now.background else 'in the foreground'}, "
                     f"{now.active} requests under way")  # fmt: skip
        output.data("\n".join(lines) + "\n")


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"for {hours} h {minutes} min"
    return f"for {minutes} min {rest} s" if minutes else f"for {rest} s"
