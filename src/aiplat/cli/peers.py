"""``aiplat peers``: the peers of this node, and what is done with one of them."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of
from aiplat.cli.network import tell

if TYPE_CHECKING:
    from collections.abc import Callable

    from rich.table import Table

    from aiplat.control.messages import PeerStatus

Peer = Annotated[str, typer.Argument(metavar="PEER", help="Its peer id, or the end of it.")]


def peers(
    context: typer.Context,
    watch: Annotated[bool, typer.Option("--watch", help="Show it anew each second.")] = False,
    json: options.Json = False,
) -> None:
    """Show the peers of this node.

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
        _watch(lambda: client.peers().peers)
    else:
        _print(client.peers().peers)
        if status.network is not None and status.network.searching:
            output.say(output.flat(status.network.searching))


def drain(
    context: typer.Context,
    peer: Annotated[
        str,
        typer.Argument(metavar="[PEER]", help="A processor of this gateway; else this node."),
    ] = "",
    json: options.Json = False,
) -> None:
    """Send no new requests to a processor, or take none at all here.

    What is under way goes on to its end.

    \b
    Examples:
      aiplat drain
      aiplat drain 8hCcz2pQ
    """
    from aiplat.control.messages import PeerName

    client, _ = face_of(context).running()
    tell(client.drain(PeerName(peer=peer)), json=json)


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


# -- the table -----------------------------------------------------------------------------------

_COLUMNS: tuple[tuple[str, int, Callable[[PeerStatus], str]], ...] = (
    ("peer", 0, lambda p: f"…{p.peer_id[-8:]}"),
    ("role", 0, lambda p: ", ".join(p.roles)),
    ("state", 0, lambda p: p.state),
    ("models", 60, lambda p: ", ".join(p.models)),
    ("slots", 70, lambda p: "" if p.slots is None else f"{p.running or 0}/{p.slots}"),
    ("queue", 78, lambda p: "" if p.waiting is None else str(p.waiting)),
    ("tok/s", 86, lambda p: _speed(p)),
    ("ms", 78, lambda p: "" if p.latency_ms is None else f"{p.latency_ms:.1f}"),
    ("path", 110, lambda p: f"by …{p.via[-8:]}" if p.via else p.path),
    ("version", 120, lambda p: p.version),
    ("since", 94, lambda p: "" if p.since_seconds is None else _ago(p.since_seconds)),
)
"""Name, the columns of a terminal from which on it is shown, and what stands in it."""


def _speed(peer: PeerStatus) -> str:
    shown = peer.measured_tokens_per_second or peer.tokens_per_second
    if not shown:
        return ""
    return f"{shown:.0f}" if peer.measured_tokens_per_second else f"({shown:.0f})"


def _ago(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min" if minutes else f"{rest} s"


def _table(found: tuple[PeerStatus, ...], columns: int) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = [(name, cell) for name, least, cell in _COLUMNS if columns >= least]
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for name, _ in shown:
        table.add_column(name, overflow="fold")
    for peer in found:
        table.add_row(*(Text(output.flat(cell(peer))) for _, cell in shown))
    return table


def _print(found: tuple[PeerStatus, ...]) -> None:
    from rich.console import Console

    if not found:
        output.say("No peers. A node finds those of its network by itself, and those that "
                   "`aiplat serve --peer ADDRESS` names.")  # fmt: skip
        return
    columns = output.width(sys.stdout) or _PIPED
    console = Console(width=columns, file=sys.stdout, highlight=False)
    console.print(_table(found, columns))
    for peer in found:
        if peer.note and peer.state == "connecting":
            output.say(f"…{peer.peer_id[-8:]}: {output.flat(peer.note)}")


_PIPED = 160


def _watch(look: Callable[[], tuple[PeerStatus, ...]]) -> None:
    import time

    from rich.console import Console
    from rich.live import Live

    if not sys.stdout.isatty():
        raise typer.BadParameter("it needs a terminal", param_hint="--watch")
    console = Console(highlight=False)
    with Live(console=console, auto_refresh=False, screen=True) as live:
        while True:
            live.update(_table(look(), console.width), refresh=True)
            time.sleep(1)
