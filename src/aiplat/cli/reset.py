"""``aiplat reset``: remove what a node left on this machine."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of

if TYPE_CHECKING:
    from aiplat.runtime.places import Places
    from aiplat.runtime.reset import InKeyring, Removal


def reset(
    context: typer.Context,
    models: Annotated[bool, typer.Option("--models", help="The models that were pulled.")] = False,
    data: Annotated[
        bool,
        typer.Option(
            "--data", help="Logs, local token, known peers, graphs, conversations. The default."
        ),
    ] = False,
    identity: Annotated[
        bool,
        typer.Option("--identity", help="Who this node is, and its membership; models stay."),
    ] = False,
    everything: Annotated[
        bool,
        typer.Option(
            "--all",
            help="All: identity, network keys and settings too, and the models, which all homes of "
            "your account share.",
        ),
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    json: options.Json = False,
) -> None:
    """Show what would be removed, ask, and remove it.

    Identity and network keys go only with --all or --identity: without them this node is another
    one, which is what a node needs that was revoked. What it keeps in the keyring goes with them:
    no other node finds it there.

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

    def removed() -> _Reset:
        removals = removing.plan(
            places, models=models, data=data, everything=everything, identity=identity
        )
        kept, problem = _kept(places) if identity or everything else (None, "")
        done = _Reset(removals, kept, problem)
        if _confirmed(done, yes=yes):
            if kept is not None:
                done.problem = kept.empty()  # before its list goes, and whose it is
            removing.remove(removals)
            done.gone = True
        return done

    if places.state.is_dir():
        if node_runs(places.node_lock):
            raise ConfigError("A node of this home runs: end it with `aiplat stop` first.")
        with NodeLock(places.node_lock, background=False):  # and none starts meanwhile
            done = removed()
            if done.gone and everything:
                removing.leave(places)  # while it is held: a node may wait for this very file
    else:
        done = removed()
    _report(done, json=json)
    if not done.gone and done.removals:
        raise typer.Exit(1)


@dataclass
class _Reset:
    """What is to go, and how it went; `problem` says what stays in the keyring."""

    removals: list[Removal]
    kept: InKeyring | None
    problem: str
    gone: bool = False


def _kept(places: Places) -> tuple[InKeyring | None, str]:
    """Tell what is in the keyring; what cannot be read holds up nothing: it may be the reason."""
    from aiplat.domain.errors import ConfigError
    from aiplat.runtime.reset import in_keyring

    try:
        return in_keyring(places), ""
    except ConfigError as fault:
        return None, f"What this node kept in the keyring stays there: {fault}"


def _confirmed(done: _Reset, *, yes: bool) -> bool:
    """Show what would go, and ask; without a terminal nobody can be asked."""
    from aiplat.domain.errors import InvalidRequest
    from aiplat.runtime.reset import readable

    if not done.removals:
        return False
    output.say("This removes:")
    if done.kept is not None:
        many = f"{done.kept.count} secret{'s' * (done.kept.count > 1)}"
        output.say(f"  {many:>10}  {done.kept.where}  (API keys and sessions of this node)")
    for removal in done.removals:
        output.say(f"  {readable(removal.size):>10}  {removal.path}  ({removal.what})")
    if yes:
        return True
    if sys.stdin is None or not sys.stdin.isatty():
        raise InvalidRequest("Nobody can be asked without a terminal: add --yes to remove it.")
    return typer.confirm("Remove it?", err=True)


def _report(done: _Reset, *, json: bool) -> None:
    from aiplat.runtime.reset import readable

    removals = done.removals
    if done.gone and done.problem:
        output.say(done.problem)
    if json:
        emptied = done.gone and done.kept is not None and not done.problem
        output.print_json({
            "removed": [
                {"path": str(r.path), "what": r.what, "bytes": r.size}
                for r in removals if done.gone
            ],
            "secrets": done.kept.count if emptied and done.kept else 0,
            "problem": done.problem if done.gone else "",
        })  # fmt: skip
    elif not removals:
        output.say("There is nothing to remove.", "done")
    elif done.gone:
        output.say(f"Removed {readable(sum(r.size for r in removals))}.", "done")
    else:
        output.say("Nothing was removed.")
