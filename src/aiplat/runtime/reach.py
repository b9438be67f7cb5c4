"""Finds the node of a home that runs, for a face."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

from aiplat.control.messages import Access, Ask, ModelList, Status, Stop, Stopping
from aiplat.domain.answers import AnswerEvent
from aiplat.domain.errors import AiplatError, NotReady
from aiplat.runtime.lock import describe_node, node_info, node_runs
from aiplat.runtime.places import Places

CALL_SECONDS = 10.0
"""How long a small call may take: a busy node on a busy machine still answers."""


class Answering(Protocol):
    """An answer as it comes. Closing it early cancels the request."""

    request: str

    def __iter__(self) -> Iterator[AnswerEvent]:
        """Give the events, the last one ``finished`` or ``failed``."""

    def close(self) -> None:
        """Leave; what still runs is cancelled."""


class NodeClient(Protocol):
    """What a face asks of a node: the blocking client of the control socket."""

    def status(self) -> Status:
        """The node, now."""

    def models(self) -> ModelList:
        """The models that can be asked for."""

    def access(self) -> Access:
        """How programs reach the HTTP door."""

    def stop(self, stop: Stop) -> Stopping:
        """Begin to end the node."""

    def ask(self, ask: Ask) -> Answering:
        """Begin an answer."""


class Connect(Protocol):
    """Makes the client of the node at these places; it need not run."""

    def __call__(self, places: Places) -> NodeClient:
        """Make it."""


def connect(places: Places) -> NodeClient:
    """Make the client of the control socket of the node at `places`."""
    from aiplat.control.client import ControlClient  # keeps its cost from who only looks

    return ControlClient(places.control_socket(), timeout=CALL_SECONDS)


def status_of(client: NodeClient) -> Status | None:
    """Ask a node how it is; None when nobody answers."""
    try:
        return client.status()
    except (OSError, AiplatError):
        return None


def running_node(places: Places, connect: Connect = connect) -> tuple[NodeClient, Status]:
    """Give the node that runs here; never starts one.

    Raises:
        NotReady: none runs, or it does not answer; says what to do.
    """
    client = connect(places)
    status = status_of(client)
    if status is not None:
        return client, status
    if node_runs(places.node_lock):
        raise NotReady(
            f"{describe_node(node_info(places.node_lock))}, but it does not answer: it may be "
            "starting or ending. Try again, or end it with `aiplat stop --now`."
        )
    raise NotReady(
        "No node runs here. Start one with `aiplat serve`, or just ask with `aiplat ask`."
    )
