"""A home's network for a command: asked of the node that runs there, or changed without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from aiplat.cli.face import Face

if TYPE_CHECKING:
    from aiplat.runtime.networks import Networks
    from aiplat.runtime.reach import NodeClient

T = TypeVar("T")


def with_or_without_node(
    face: Face,
    online: Callable[[NodeClient], T],
    offline: Callable[[Networks], T],
    *,
    to_leave: bool = False,
) -> T:
    """Ask the node that runs here, or do it without one, which leaves none behind.

    Arguments:
        face: the run.
        online: asks the node.
        offline: does it on the home's files, while no node can start.
        to_leave: whether it is only about leaving, for which a record need not be readable.
    """
    from aiplat.runtime.lock import NodeRuns, node_runs
    from aiplat.runtime.reach import running_node

    if not node_runs(face.places.node_lock):
        from aiplat.runtime.networks import without_node  # a second's work, and for this alone

        try:
            with without_node(face.places, face.loaded, to_leave=to_leave) as networks:
                return offline(networks)
        except NodeRuns:
            pass  # one started just now
    client, _ = running_node(face.places)
    return online(client)
