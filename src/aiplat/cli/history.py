"""``aiplat history``: the conversations that are kept here; with a node or without."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from aiplat.cli import options, output
from aiplat.cli.face import Face, face_of

if TYPE_CHECKING:
    import msgspec

    from aiplat.cli.tables import Column
    from aiplat.control.history import ConversationSummary, HistoryList
    from aiplat.control.messages import Done
    from aiplat.domain.conversations import Conversation

    Reply = TypeVar("Reply", bound=msgspec.Struct)

history = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="The conversations that are kept on this machine.\n\nAn ID may be cut to four digits or "
    "more at its beginning or end.\n\n\b\nExamples:\n"
    '  aiplat history list --search "rust lifetimes"\n'
    "  aiplat history export 3f9a --output talk.md",
    add_completion=False,
)

Id = Annotated[str, typer.Argument(metavar="ID", help="Of `aiplat history list`.")]


class Format(StrEnum):
    """What an export is written as."""

    markdown = "markdown"
    json = "json"


@history.command("list")
def list_(
    context: typer.Context,
    search: Annotated[
        str,
        typer.Option(
            metavar="WORDS",
            help="Only those with all these words, in titles, questions, answers or files.",
        ),
    ] = "",
    most: Annotated[
        int, typer.Option("--most", metavar="N", min=1, max=500, help="At most so many.")
    ] = 100,
    json: options.Json = False,
) -> None:
    """List conversations, that which was used last first.

    \b
    Examples:
      aiplat history list
      aiplat history list --search "sqlite wal" --json | jq -r '.conversations[].id'
    """
    from aiplat.cli.whole import give
    from aiplat.control.history import HistoryAsk, HistoryList

    ask = HistoryAsk(search=search, most=most)
    found = _ask(face_of(context), "list", ask, HistoryList)
    give(found, lambda found: _print_list(found, search), json=json)


def _print_list(found: HistoryList, search: str) -> None:
    from aiplat.cli import tables

    if found.note:
        output.say(found.note)
    if not found.conversations:
        output.say("Nothing was found." if search else "No conversations are kept here.")
        return
    tables.show(_columns(with_found=bool(search)), found.conversations)
    if found.more:
        output.say(f"({found.more} more: --most shows up to 500, --search finds others.)")


def _columns(*, with_found: bool) -> list[Column[ConversationSummary]]:
    from aiplat.cli.tables import Column
    from aiplat.domain.errors import clip
    from aiplat.domain.transcript import utc

    columns: list[Column[ConversationSummary]] = [
        Column("id", 0, lambda c: c.id[-8:]),
        Column("used last", 2, lambda c: utc(c.updated)),
        Column("turns", 3, lambda c: str(c.turns), right=True),
        Column("model", 4, lambda c: clip(c.model, 24)),
        Column("title", 0, lambda c: f"{'(answering) ' if c.running else ''}{clip(c.title, 40)}"),
    ]
    if with_found:
        columns.append(Column("found", 1, lambda c: clip(c.found, 60)))
    return columns


@history.command()
def show(context: typer.Context, id: Id, json: options.Json = False) -> None:
    """Show a conversation, as it was shown last.

    \b
    Examples:
      aiplat history show 3f9a
      aiplat history show 3f9a --json
    """
    from aiplat.cli.whole import give
    from aiplat.domain.transcript import as_markdown

    found = _conversation(face_of(context), id)
    give(found, lambda found: output.data(as_markdown(found)), json=json)


@history.command()
def rename(
    context: typer.Context,
    id: Id,
    title: Annotated[str, typer.Argument(metavar="TITLE", help="Empty: the first question.")],
    json: options.Json = False,
) -> None:
    """Give a conversation another title.

    \b
    Example:
      aiplat history rename 3f9a "Lifetimes in Rust"
    """
    from msgspec.structs import replace

    from aiplat.cli.prompts import check_text
    from aiplat.control.history import Save
    from aiplat.control.messages import Done

    check_text(title)
    face = face_of(context)
    named = replace(_conversation(face, id), title=" ".join(title.split()), turns=())
    _tell(_ask(face, "save", Save(conversation=named), Done), json=json)


@history.command()
def delete(
    context: typer.Context,
    id: Id,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: options.Json = False,
) -> None:
    """Delete a conversation for good: what was written is overwritten on the disk.

    \b
    Example:
      aiplat history delete 3f9a
    """
    from aiplat.control.history import ConversationName
    from aiplat.control.messages import Done

    face = face_of(context)
    found = _conversation(face, id)
    if not (yes or _confirmed(found)):
        output.say("Nothing was deleted.")
        raise typer.Exit(1)
    _tell(_ask(face, "delete", ConversationName(id=found.id), Done), json=json)


def _confirmed(found: Conversation) -> bool:
    from aiplat.domain.errors import InvalidRequest

    if sys.stdin is None or not sys.stdin.isatty():
        raise InvalidRequest("Nobody can be asked without a terminal: add --yes to delete it.")
    title = output.flat(found.title) or "without a title"
    return typer.confirm(f"Delete “{title}” with {len(found.turns)} turns for good?", err=True)


@history.command()
def export(
    context: typer.Context,
    id: Id,
    format: Annotated[
        Format, typer.Option(help="JSON has all branches and all that is known.")
    ] = Format.markdown,
    target: Annotated[
        Path | None,
        typer.Option("--output", metavar="FILE", help="A new file, its owner's alone, not stdout."),
    ] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also in the place of a file that is there.")
    ] = False,
    branches: Annotated[
        bool, typer.Option("--all-branches", help="In Markdown too, in the order of their making.")
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="As --format json does; errors are JSON too.")
    ] = False,
) -> None:
    """Write a conversation as Markdown or JSON.

    \b
    Examples:
      aiplat history export 3f9a --output talk.md
      aiplat history export 3f9a --format json | jq '.turns[].text'
    """
    from aiplat.domain.transcript import as_json, as_markdown

    if force and target is None:
        raise typer.BadParameter("it goes with --output", param_hint="--force")
    json = json or format is Format.json
    if branches and json:
        raise typer.BadParameter("JSON has them anyhow", param_hint="--all-branches")
    found = _conversation(face_of(context), id)
    text = as_json(found) if json else as_markdown(found, whole=branches)
    if target is None:
        output.data(text)
    else:
        _write(target.expanduser(), text, force=force)
        output.say(f"Written to {target}.", "done")


def _write(target: Path, text: str, *, force: bool) -> None:
    """Write a file that is its owner's alone; nothing half is left behind."""
    import os

    from aiplat.domain.errors import InvalidRequest

    partial = target.with_name(f".{target.name}.{os.getpid()}.part")
    try:
        handle = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        try:
            with open(handle, "w", encoding="utf-8", errors="replace") as file:
                file.write(text)
            if force:
                os.replace(partial, target)
            else:
                os.link(partial, target)  # fails where something is, also since a moment ago
        finally:
            partial.unlink(missing_ok=True)
    except FileExistsError:
        raise InvalidRequest(
            f"{target} is there already: choose another name, or add --force."
        ) from None
    except OSError as fault:
        raise InvalidRequest(f"{target} cannot be written: {fault.strerror}.") from None


@history.command()
def retain(
    context: typer.Context,
    days: Annotated[
        str, typer.Argument(metavar="DAYS|forever", help="Counted from when it was used last.")
    ],
    json: options.Json = False,
) -> None:
    """Choose how long conversations are kept. What is older is deleted at once, and hourly.

    \b
    Examples:
      aiplat history retain 90
      aiplat history retain forever
    """
    from aiplat.control.history import Retention
    from aiplat.control.messages import Done

    known = days.strip().lower()
    if known != "forever" and not (known.isascii() and known.isdigit() and 0 < int(known) <= 36500):
        raise typer.BadParameter("give a number of days from 1 to 36500, or forever")
    wish = Retention(days=0 if known == "forever" else int(known))
    _tell(_ask(face_of(context), "retain", wish, Done), json=json)


# -- asking --------------------------------------------------------------------------------------


def _conversation(face: Face, id: str) -> Conversation:
    from aiplat.control.history import ConversationName
    from aiplat.domain.conversations import Conversation

    return _ask(face, "show", ConversationName(id=id), Conversation)


def _ask(face: Face, method: str, wish: msgspec.Struct, reply: type[Reply]) -> Reply:
    """Ask the node that runs here, or do it on its file, while no node can start."""
    from aiplat.history.desk import HistoryDesk
    from aiplat.history.settings import HistorySettings
    from aiplat.runtime.lock import NodeLock, NodeRuns, node_runs

    places = face.places
    if not node_runs(places.node_lock):
        places.prepare()
        desk = HistoryDesk(places.history, face.loaded[HistorySettings])
        try:
            with NodeLock(places.node_lock, background=False):
                return desk.answer(method, wish)  # type: ignore[return-value]  # as METHODS says
        except NodeRuns:
            pass  # one started just now
        finally:
            desk.close()
    client, _ = face.running()
    return client.history(method, wish, reply)


def _tell(done: Done, *, json: bool) -> None:
    if json:
        output.print_json(done)
    else:
        output.say(done.message, "done")
