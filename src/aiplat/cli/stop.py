"""``aiplat stop``: end the node that runs here."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from aiplat.cli import options, output
from aiplat.cli.face import Face, face_of

if TYPE_CHECKING:
    from aiplat.runtime.reach import NodeClient

_MARGIN = 15.0
_HASTE = 5.0
"""Seconds that a node gets to end at once by itself before it is killed."""


def stop(
    context: typer.Context,
    now: Annotated[
        bool, typer.Option("--now", help="Do not wait for the requests under way.")
    ] = False,
    json: options.Json = False,
) -> None:
    """End the node that runs here.

    Waits until it has ended.
    Requests under way get the grace period to finish.

    \b
    Examples:
      aiplat stop
      aiplat stop --now
    """
    from aiplat.domain.errors import DeadlineExceeded, NotReady
    from aiplat.runtime.lock import node_runs, wait_for_end
    from aiplat.runtime.reach import connect, connect_in_haste, running_node

    face = face_of(context)
    places = face.places
    try:
        client, status = running_node(places, connect_in_haste if now else connect)
    except NotReady:
        if not (now and node_runs(places.node_lock)):
            raise
        pid = _kill(face)
    else:
        pid = status.pid
        _ask_to_end(client, now=now)
        if status.active and not now:
            output.say(f"Waiting for {status.active} requests; `aiplat stop --now` does not.")
    seconds = (0.0 if now else face.runtime.grace_seconds) + _MARGIN
    if now and not wait_for_end(places.node_lock, _HASTE):
        _kill(face)
    if not wait_for_end(places.node_lock, seconds):
        raise DeadlineExceeded(
            f"The node (pid {pid}) did not end within {seconds:g} s. `aiplat stop --now` ends it."
        )
    if json:
        output.print_json({"stopped": True, "pid": pid})
    else:
        output.say(f"Stopped the node (pid {pid}).", "done")


def _ask_to_end(client: NodeClient, *, now: bool) -> None:
    from aiplat.control.client import NodeLost
    from aiplat.control.messages import Stop

    try:
        client.stop(Stop(now=now))
    except NodeLost:
        return  # it may end before its answer is written; its lock tells


def _kill(face: Face) -> int:
    """End a node that does not answer: frozen, or hung. Its lock says that it lives."""
    import os
    import signal

    from aiplat.domain.errors import NotReady
    from aiplat.runtime.lock import node_info

    info = node_info(face.places.node_lock)
    if info is None:
        raise NotReady("The node does not answer and does not say its pid: try again.")
    try:
        os.kill(info.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it just ended
    return info.pid
