"""``aiplat peers``: the peers of this node, and what is done with one of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of
from aiplat.cli.network import tell

if TYPE_CHECKING:
    from aiplat.control.messages import PeerStatus
    from aiplat.runtime.reach import NodeClient

Peer = Annotated[str, typer.Argument(metavar="PEER", help="Its peer id, or the end of it.")]


def peers(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew each second.")] = False,
    json: options.Json = False,
) -> None:
    """Show the peers of this node.

    A speed (tok/s) in brackets is what a processor says of itself, without them what was measured
    here; ms is the round trip; path says whether the peer is reached directly, or through whom. A
    client has channels to few: what its gateways see besides is shown too, with "seen by".

    \b
    Examples:
      aiplat peers
      aiplat peers --watch
      aiplat peers --json | jq -r '.[] | select(.state == "connected").peer_id'
    """
    client, status = face_of(context).running()
    if json and watch:
        raise typer.BadParameter("it prints once: leave --watch out", param_hint="--json")
    if json:
        output.print_json(list(client.peers().peers))
    elif watch:
        _watch(client)
    else:
        _print(client.peers().peers)
        if status.network is not None and status.network.searching:
            output.say(output.flat(status.network.searching))


def drain(
    context: typer.Context,
    peer: Annotated[
        str | None,
        typer.Argument(metavar="[PEER]", help="A processor of this gateway; else this node."),
    ] = None,
    off: Annotated[bool, typer.Option("--off", help="Take requests again, or send them.")] = False,
    json: options.Json = False,
) -> None:
    """Send no new requests to a processor, or take none at all here; --off ends that.

    What is under way goes on to its end. A processor that is started again gets requests again,
    and so does a node.

    \b
    Examples:
      aiplat drain
      aiplat drain 8hCcz2pQ
      aiplat drain --off 8hCcz2pQ
    """
    from aiplat.control.messages import DrainWish

    if peer is not None and not peer.strip():  # an unset variable of a script's, say
        raise typer.BadParameter("it is empty: leave it out to drain this node itself",
                                 param_hint="PEER")  # fmt: skip
    client, _ = face_of(context).running()
    tell(client.drain(DrainWish(peer=peer or "", off=off)), json=json)


def block(context: typer.Context, peer: Peer, json: options.Json = False) -> None:
    """Shut a peer out of this node, until it is unblocked.

    \b
    Example:
      aiplat block 8hCcz2pQ
    """
    from aiplat.control.messages import PeerName

    client, _ = face_of(context).running()
    tell(client.block(PeerName(peer=peer)), json=json)


def unblock(context: typer.Context, peer: Peer, json: options.Json = False) -> None:
    """Let a blocked peer in again.

    \b
    Example:
      aiplat unblock 8hCcz2pQ
    """
    from aiplat.control.messages import PeerName

    client, _ = face_of(context).running()
    tell(client.unblock(PeerName(peer=peer)), json=json)


def _print(found: tuple[PeerStatus, ...]) -> None:
    from aiplat.cli import peers_table, tables

    if not found:
        output.say("No peers. A node finds those of its network by itself, and those that "
                   "`aiplat serve --peer ADDRESS` names.")  # fmt: skip
        return
    tables.show(peers_table.COLUMNS, found)
    for note in peers_table.notes(found):
        output.say(note)


def _watch(client: NodeClient) -> None:
    import time

    from rich.console import Console
    from rich.live import Live

    from aiplat.cli import peers_table

    console = Console(highlight=False)
    if not sys.stdout.isatty() or console.is_dumb_terminal:
        raise typer.BadParameter("it needs a terminal that can be drawn on anew",
                                 param_hint="--watch")  # fmt: skip
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            network = client.status().network
            searching = network.searching if network is not None else ""
            found = client.peers().peers
            live.update(
                peers_table.screen(found, searching, console.width, console.height), refresh=True
            )
            time.sleep(1)
