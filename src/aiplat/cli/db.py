"""``aiplat db``: this node's accounts on disk, copied and checked; with a node or without."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from aiplat.cli import options, output
from aiplat.cli.face import Face, face_of

if TYPE_CHECKING:
    from aiplat.control.accounts import StoreCheck
    from aiplat.runtime.reach import NodeClient

T = TypeVar("T")

db = typer.Typer(
    rich_markup_mode=None,
    no_args_is_help=True,
    help="The database of this node's accounts.\n\n\b\nExamples:\n"
    "  aiplat db backup accounts-copy.db\n  aiplat db check",
    add_completion=False,
)


@db.command()
def backup(
    context: typer.Context,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Where the copy goes.")],
    json: options.Json = False,
) -> None:
    """Copy the accounts, their keys' hashes and all usage to a file, while the node serves on.

    \b
    Examples:
      aiplat db backup accounts-copy.db
      aiplat --home g db backup /backups/accounts.db
    """
    from aiplat.cli.at_gateway import tell
    from aiplat.control.accounts import BackupWish
    from aiplat.control.messages import Done

    target = file.expanduser().absolute()

    def online(client: NodeClient) -> Done:
        return client.accounts("db.backup", BackupWish(path=str(target)), Done)

    def offline(path: Path) -> Done:
        from aiplat.accounts.offline import backup

        return backup(path, target)

    tell(_with_or_without_node(face_of(context), online, offline), json=json)


@db.command()
def check(context: typer.Context, json: options.Json = False) -> None:
    """Check that the database is whole. Exit code 0 when it is.

    \b
    Examples:
      aiplat db check
      aiplat db check --json | jq -r '.problems[]'
    """
    from aiplat.cli.whole import give
    from aiplat.control.accounts import Nothing, StoreCheck

    def online(client: NodeClient) -> StoreCheck:
        return client.accounts("db.check", Nothing(), StoreCheck)

    def offline(path: Path) -> StoreCheck:
        from aiplat.accounts.offline import check

        return check(path)

    found = _with_or_without_node(face_of(context), online, offline)
    give(found, _print, json=json)
    if found.problems:
        raise typer.Exit(1)


def _print(found: StoreCheck) -> None:
    counts = [
        f"{count} {what}{'s' * (count != 1)}"
        for count, what in (
            (found.users, "account"), (found.keys, "key"), (found.events, "event"),
        )
    ]  # fmt: skip
    size = f"{found.bytes / 1_000_000:.1f} MB"
    output.data(f"{output.flat(found.path)}: {', '.join([size, *counts])}\n")
    for problem in found.problems:
        output.data(f"  {output.flat(problem)}\n")
    if found.problems:
        output.say("It is damaged. Stop the node, put the latest backup in its place, and keep "
                   "this file: `aiplat db check` tells whether the backup is whole.")  # fmt: skip
    else:
        output.say("It is whole.", "done")


def _with_or_without_node(
    face: Face, online: Callable[[NodeClient], T], offline: Callable[[Path], T]
) -> T:
    """Ask the node that runs here, or do it on its file, while no node can start."""
    from aiplat.accounts.database import part_from_wal
    from aiplat.domain.errors import NotReady
    from aiplat.runtime.lock import NodeLock, NodeRuns, node_runs

    places = face.places
    if not node_runs(places.node_lock):
        if not places.accounts.exists():
            raise NotReady(
                f"This home has no accounts ({places.accounts} is not there): they are made when "
                "its node first runs as a gateway, `aiplat serve --role gateway`."
            )
        try:
            with NodeLock(places.node_lock, background=False):
                part_from_wal(places.accounts)  # as the node does at its start
                return offline(places.accounts)
        except NodeRuns:
            pass  # one started just now
    client, _ = face.running()
    return online(client)
