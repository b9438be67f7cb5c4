"""``aiplat logs``: what the node of this home says it does."""

from __future__ import annotations

from collections.abc import Callable
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of

if TYPE_CHECKING:
    from aiplat.control.machine import LogAsk, LogLine, LogReply

_PAUSE_SECONDS = 0.5
"""Between two questions of `--follow`."""


class LevelName(StrEnum):
    """The levels, as Typer takes a choice."""

    debug = "debug"
    info = "info"
    warning = "warning"
    error = "error"
    critical = "critical"


def logs(
    context: typer.Context,
    level: Annotated[
        LevelName, typer.Option(help="Lines of this level, and graver ones.")
    ] = LevelName.debug,
    search: Annotated[
        str, typer.Option(metavar="TEXT", help="Only lines that hold this, whatever its case.")
    ] = "",
    lines: Annotated[
        int, typer.Option(metavar="N", min=1, max=1000, help="The newest N of them.")
    ] = 100,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines as they come.")
    ] = False,
    json: options.Json = False,
) -> None:
    """Show the log of the node of this home.

    The newest lines, from the node that runs; from the end of its file when none does.

    \b
    Examples:
      aiplat logs --follow
      aiplat logs --level warning --search upstream
      aiplat logs --json | jq -r .message
    """
    import time

    from aiplat.control.client import NoNode
    from aiplat.control.machine import LogAsk
    from aiplat.runtime.log_file import read_end

    ask = LogAsk(most=lines, level=level.value, search=search)
    face = face_of(context)
    show = _show_json if json else _show
    try:
        client, _ = face.running()
    except NoNode:
        if follow:
            raise
        end = read_end(face.places.log, ask)
        found = f"this is the end of {end.path}." if end.lines else f"{end.path} says nothing."
        output.say(f"No node runs here: {found}")
        show(end.lines)
        return
    first = client.log(ask)
    show(first.lines)
    if follow:
        follow_up(client.log, ask, first, show, lambda: time.sleep(_PAUSE_SECONDS))


def follow_up(
    read: Callable[[LogAsk], LogReply],
    ask: LogAsk,
    reply: LogReply,
    show: Callable[[tuple[LogLine, ...]], None],
    pause: Callable[[], None],
) -> None:
    """Show the lines that come after a reply's, until the node ends.

    Arguments:
        read: asks the node; `ask` is what was asked first.
        pause: waits a moment.
    """
    from msgspec.structs import replace

    from aiplat.control.client import NodeLost, NoNode
    from aiplat.control.machine import MAX_LOG_LINES

    while True:
        pause()
        try:
            reply = read(replace(ask, after=reply.last, most=MAX_LOG_LINES))
        except (NodeLost, NoNode):
            output.say("The node has ended.")
            return
        if reply.lost:
            output.say(f"{reply.lost} lines came too fast to be shown; they are in {reply.path}.")
        show(reply.lines)


def _show(lines: tuple[LogLine, ...]) -> None:
    if lines:
        output.data("".join(f"{_written(line)}\n" for line in lines))


def _show_json(lines: tuple[LogLine, ...]) -> None:
    for line in lines:
        output.print_json(line)


def _written(line: LogLine) -> str:
    """A line for a person: its time where the person is, and what belongs to it behind it."""
    from datetime import UTC, datetime

    at = datetime.fromtimestamp(line.at, UTC).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    more = f"  ({line.more})" if line.more else ""
    return f"{at} {line.level:<8} {line.logger}: {line.message}{more}"
