"""``aiplat reset``: remove what a node left on this machine."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of

if TYPE_CHECKING:
    from aiplat.runtime.reset import Removal


def reset(
    context: typer.Context,
    models: Annotated[bool, typer.Option("--models", help="The models that were pulled.")] = False,
    data: Annotated[
        bool,
        typer.Option("--data", help="Logs, local token, known peers, graphs. The default."),
    ] = False,
    identity: Annotated[
        bool,
        typer.Option("--identity", help="Who this node is, and its membership; models stay."),
    ] = False,
    everything: Annotated[
        bool, typer.Option("--all", help="All: identity, network keys and settings too.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: options.Json = False,
) -> None:
    """Show what would be removed, ask, and remove it.

    Identity and network keys go only with --all or --identity: without them this node is another
    one, which is what a node needs that was revoked.

    \b
    Examples:
      aiplat reset --models
      aiplat reset --identity
      aiplat --home g reset --all --yes
    """
    from aiplat.domain.errors import ConfigError
    from aiplat.runtime import reset as removing
    from aiplat.runtime.lock import NodeLock, node_runs

    places = face_of(context).places
    data = data or not (models or everything or identity)

    def removed() -> tuple[list[Removal], bool]:
        removals = removing.plan(
            places, models=models, data=data, everything=everything, identity=identity
        )
        gone = _confirmed(removals, yes=yes)
        if gone:
            removing.remove(removals)
        return removals, gone

    if places.state.is_dir():
        if node_runs(places.node_lock):
            raise ConfigError("A node of this home runs: end it with `aiplat stop` first.")
        with NodeLock(places.node_lock, background=False):  # and none starts meanwhile
            removals, gone = removed()
            if gone and everything:
                removing.leave(places)  # while it is held: a node may wait for this very file
    else:
        removals, gone = removed()
    _report(removals, gone=gone, json=json)
    if not gone and removals:
        raise typer.Exit(1)


def _confirmed(removals: list[Removal], *, yes: bool) -> bool:
    """Show what would go, and ask; without a terminal nobody can be asked."""
    from aiplat.domain.errors import InvalidRequest
    from aiplat.runtime.reset import readable

    if not removals:
        return False
    output.say("This removes:")
    for removal in removals:
        output.say(f"  {readable(removal.size):>10}  {removal.path}  ({removal.what})")
    if yes:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise InvalidRequest("Nobody can be asked without a terminal: add --yes to remove it.")
    return typer.confirm("Remove it?", err=True)


def _report(removals: list[Removal], *, gone: bool, json: bool) -> None:
    from aiplat.runtime.reset import readable

    if json:
        output.print_json({
            "removed": [
                {"path": str(r.path), "what": r.what, "bytes": r.size} for r in removals if gone
            ]
        })  # fmt: skip
    elif not removals:
        output.say("There is nothing to remove.", "done")
    elif gone:
        output.say(f"Removed {readable(sum(r.size for r in removals))}.", "done")
    else:
        output.say("Nothing was removed.")
