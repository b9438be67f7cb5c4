"""``aiplat status``: the node that runs here, now."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import typer

from aiplat.cli import options, output
from aiplat.cli.face import face_of

if TYPE_CHECKING:
    from aiplat.control.messages import PeerStatus, Status


def status(context: typer.Context, json: options.Json = False) -> None:
    """Show the node that runs here.

    Who it is, where it is reached, what it does.

    \b
    Examples:
      aiplat status
      aiplat --home g status --json | jq -r '.addresses[0]'
    """
    from aiplat.runtime.report import describe

    client, now = face_of(context).running()
    now = with_all_peers(now, client.peers().peers)
    if json:
        output.print_json(now)
    else:
        lines = describe(now, signs=False, columns=output.width(sys.stdout))
        lines.append(f"  {'runs':<10} pid {now.pid}, {_duration(now.uptime_seconds)}, "
                     f"{'in the background' if now.background else 'in the foreground'}, "
                     f"{now.active} requests under way")  # fmt: skip
        output.data("\n".join(lines) + "\n")


def with_all_peers(now: Status, seen: tuple[PeerStatus, ...]) -> Status:
    """Its own peers, with what a client's gateways tell of them, and of others."""
    from msgspec.structs import replace

    found = {peer.peer_id: peer for peer in now.peers}
    found |= {peer.peer_id: peer for peer in seen if peer.seen_by}
    return replace(now, peers=tuple(found.values()))


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"for {hours} h {minutes} min"
    return f"for {minutes} min {rest} s" if minutes else f"for {rest} s"
