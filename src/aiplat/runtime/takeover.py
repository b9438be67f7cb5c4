"""Who takes the place of a background node that has no work; any other is named.

``serve`` does, and a plain ``ask`` of a node that ``ask --peer`` left: a client without a gateway.
"""

from __future__ import annotations

from aiplat.control.client import NodeSilent
from aiplat.control.messages import Status, Stop
from aiplat.domain.errors import AiplatError, ConfigError
from aiplat.runtime.lock import (
    NodeRuns,
    describe_node,
    node_info,
    node_runs,
    start_lock,
    wait_for_end,
)
from aiplat.runtime.places import Places
from aiplat.runtime.reach import Connect, connect, status_of

_ENDING_SECONDS = 2.0
"""How long a node that gave no answer may take to be gone after all."""


def refuse_foreground_node(places: Places) -> None:
    """Say at once that a node that a person started runs here.

    Raises:
        NodeRuns: it does.
    """
    info = node_info(places.node_lock)
    if info is not None and not info.background:
        raise NodeRuns(info)


def take_place(places: Places, seconds: float, connect: Connect = connect) -> bool:
    """End the background node of this home, if it has no work, and wait for its end.

    Arguments:
        places: the home.
        seconds: how long its end may take.
        connect: makes the client.

    Returns:
        Whether there was one.

    Raises:
        NodeRuns: it is no background node, or it does not answer.
        ConfigError: it has work, or did not end in time.
    """
    if not node_runs(places.node_lock):
        return False
    info = node_info(places.node_lock)
    if info is None or not info.background:
        raise NodeRuns(info)
    try:
        stopping = connect(places).stop(Stop(if_idle=True))
    except NodeSilent:
        raise
    except AiplatError:
        if wait_for_end(places.node_lock, _ENDING_SECONDS):  # it was about to end by itself
            return True
        raise NodeRuns(info) from None
    if not stopping.stopping:
        work = f"answers {stopping.active} requests. Wait for them"
        if not stopping.active:
            work = "brings a model onto this machine. Wait for that"
        raise ConfigError(f"{describe_node(info)} and {work}, or end it with `aiplat stop`.")
    if not wait_for_end(places.node_lock, seconds):
        raise ConfigError(
            f"{describe_node(info)} and did not end within {seconds:g} s. End it with "
            "`aiplat stop --now`."
        )
    return True


def is_stranded(status: Status) -> bool:
    """Tell whether a node can answer no prompt by itself: a background client without a gateway."""
    connected = (peer for peer in status.peers if peer.state == "connected")
    return (
        status.background
        and status.network is None  # there it finds a gateway by itself
        and status.active == 0
        and status.roles == ("client",)
        and not any("gateway" in peer.roles for peer in connected)
    )


def end_stranded(places: Places, seconds: float, connect: Connect = connect) -> None:
    """End a stranded node, so that one of all roles can take its place.

    Looks again while nobody else may start a node: another face may just have replaced it.

    Raises:
        DeadlineExceeded: another face has been starting a node for `seconds`.
        ConfigError: as `take_place`.
    """
    with start_lock(places.start_lock, seconds):
        status = status_of(connect(places))
        if status is not None and is_stranded(status):
            take_place(places, seconds, connect)
