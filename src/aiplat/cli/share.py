"""``aiplat share``: on which terms others may use this machine, and who does."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import options, output
from aiplat.cli.face import Face, face_of

if TYPE_CHECKING:
    from aiplat.control.messages import Done, ShareWish
    from aiplat.runtime.share_file import TermsFile


def share(
    context: typer.Context,
    pause: Annotated[
        bool | None,
        typer.Option("--pause/--resume", help="Take nothing from others; or take it again."),
    ] = None,
    now: Annotated[
        bool,
        typer.Option("--now", help="With --pause: also end what others have under way here."),
    ] = False,
    hours: Annotated[
        str | None,
        typer.Option(
            metavar="SPANS", help="When others may ask: 22-08, 'mon-fri 18:30-24', …; or always."
        ),
    ] = None,
    idle_only: Annotated[
        bool | None,
        typer.Option("--idle-only/--no-idle-only", help="Only while nobody else uses it."),
    ] = None,
    max_memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="Of the engines: 4GiB, 75%, …; or none."),
    ] = None,
    threads: Annotated[
        int | None, typer.Option(metavar="N", help="Of each engine; 0 for no bound.")
    ] = None,
    json: options.Json = False,
) -> None:
    """Show or choose on which terms others may use this machine.

    Terms are kept over restarts, and are for others: what is asked on this machine itself is
    answered here all the same, when its node is a gateway. Hours are those of its own clock.

    \b
    Examples:
      aiplat share
      aiplat share --pause
      aiplat share --hours 22-08 --max-memory 50% --threads 2
      aiplat share --idle-only
    """
    from aiplat.control.messages import ShareWish

    wish = ShareWish(
        pause=pause, now=now, hours=hours, idle_only=idle_only, max_memory=max_memory,
        threads=threads,
    )  # fmt: skip
    face = face_of(context)
    if wish == ShareWish():
        _show(face, json=json)
        return
    if now and not pause:
        raise typer.BadParameter("it goes with --pause", param_hint="--now")
    _tell(_change(face, wish), json=json)


def _show(face: Face, *, json: bool) -> None:
    from aiplat.control.messages import ShareStatus
    from aiplat.runtime.lock import node_runs
    from aiplat.runtime.reach import running_node
    from aiplat.runtime.share_file import TermsFile
    from aiplat.runtime.share_words import describe_share

    places = face.places
    if node_runs(places.node_lock):
        client, _ = running_node(places)
        found = client.share()
    else:
        found = ShareStatus(state="stopped", terms=TermsFile(places.share).read())
    if json:
        output.print_json(found)
    else:
        output.data("\n".join(describe_share(found)) + "\n")


def _change(face: Face, wish: ShareWish) -> Done:
    """Tell the node that runs here, or change what is kept while none can start."""
    from aiplat.runtime.lock import NodeLock, NodeRuns, node_runs
    from aiplat.runtime.reach import running_node
    from aiplat.runtime.share_file import TermsFile

    places = face.places
    if not node_runs(places.node_lock):
        places.prepare()
        try:
            with NodeLock(places.node_lock, background=False):
                return _keep(TermsFile(places.share), wish)
        except NodeRuns:
            pass  # one started just now
    client, _ = running_node(places)
    return client.set_share(wish)


def _keep(kept: TermsFile, wish: ShareWish) -> Done:
    from aiplat.control.messages import Done, ShareStatus
    from aiplat.roles.sharing_terms import changed
    from aiplat.runtime.share_words import what_holds

    terms = changed(kept.read(), wish)
    kept.keep(terms)
    return Done(message=what_holds(ShareStatus(state="stopped", terms=terms)))


def _tell(done: Done, *, json: bool) -> None:
    if json:
        output.print_json(done)
    else:
        output.say(done.message, "done")
