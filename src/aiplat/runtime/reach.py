"""Finds the node of a home that runs, for a face."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Protocol, TypeVar

import msgspec

from aiplat.control.accounts import KeyringState
from aiplat.control.client import ControlClient, Event, NoNode
from aiplat.control.machine import LogAsk, LogReply, ServeWish
from aiplat.control.messages import (
    Access,
    Ask,
    Done,
    DrainWish,
    Explanation,
    Invitation,
    InviteRequest,
    JoinRequest,
    MemberList,
    ModelList,
    ModelName,
    ModelStatus,
    NetworkCreate,
    PeerList,
    PeerName,
    ShareStatus,
    ShareWish,
    Status,
    Stop,
    Stopping,
)
from aiplat.domain.errors import NotReady
from aiplat.runtime.credential import credential_of
from aiplat.runtime.lock import describe_node, node_info, node_runs
from aiplat.runtime.places import Places

_HASTE_SECONDS = 3.0

Reply = TypeVar("Reply", bound=msgspec.Struct)


class NodeClient(Protocol):
    """What a face asks of a node (`ControlClient`). All raise `AiplatError`."""

    def status(self) -> Status:
        """The node, now."""

    def models(self) -> tuple[ModelStatus, ...]:
        """The models that can be asked for."""

    def model_list(self) -> ModelList:
        """Those, and what else lies on the node's machine."""

    def remove_model(self, model: ModelName) -> Done:
        """Remove a pulled model from the disk."""

    def serve_model(self, wish: ServeWish) -> Done:
        """Offer a model that lies there, or no more."""

    def access(self) -> Access:
        """How programs reach the HTTP door."""

    def stop(self, stop: Stop) -> Stopping:
        """Begin to end the node."""

    def peers(self) -> PeerList:
        """The peers that it has, or wants, a channel to."""

    def create_network(self, wish: NetworkCreate) -> Done:
        """Make a network."""

    def join_network(self, wish: JoinRequest) -> Done:
        """Join one."""

    def leave_network(self) -> Done:
        """Belong to none any more."""

    def invite(self, wish: InviteRequest) -> Invitation:
        """Make a token."""

    def members(self) -> MemberList:
        """Who is in the network."""

    def revoke(self, peer: PeerName) -> Done:
        """Take a member's certificate away."""

    def drain(self, wish: DrainWish) -> Done:
        """Place no more on a processor; with an empty name, take no more at all. Or end that."""

    def share(self) -> ShareStatus:
        """How it is shared with others, and who uses it."""

    def set_share(self, wish: ShareWish) -> Done:
        """Share it on other terms."""

    def block(self, peer: PeerName) -> Done:
        """Shut a peer out."""

    def unblock(self, peer: PeerName) -> Done:
        """Let a peer in again."""

    def explain(self, request: str) -> Explanation:
        """Why a request went where it went."""

    def accounts(
        self,
        method: str,
        wish: msgspec.Struct,
        wanted: type[Reply],
        *,
        gateway: str = "",
        insecure: bool = False,
    ) -> Reply:
        """Ask something of a gateway's accounts."""

    def keyring(self) -> KeyringState:
        """Where it keeps secrets, and whether it can."""

    def history(self, method: str, wish: msgspec.Struct, wanted: type[Reply]) -> Reply:
        """Ask something of the conversations."""

    def log(self, ask: LogAsk) -> LogReply:
        """Its log."""

    def ask(self, ask: Ask) -> Iterator[Event]:
        """Give the events of an answer; closing them early cancels it."""


class Connect(Protocol):
    """Makes the client of the node at these places; it need not run."""

    def __call__(self, places: Places) -> NodeClient:
        """Make it."""


def connect(places: Places) -> NodeClient:
    """Make the client of the control socket of the node at `places`.

    The API key of this process's environment, if there is one, goes with each of its calls.

    Raises:
        ConfigError: that holds what cannot be a key.
    """
    key = credential_of(os.environ)
    return ControlClient(places.control_socket(), log=places.log, credential=key)


def connect_in_haste(places: Places) -> NodeClient:
    """Make one for who will end a node that does not answer: it waits a moment only.

    It needs no API key for that, and a wrong one shall not keep it from it.
    """
    return ControlClient(places.control_socket(), timeout=_HASTE_SECONDS, log=places.log)


def status_of(client: NodeClient) -> Status | None:
    """Ask a node how it is; None when there is none.

    Raises:
        NodeLost: something is there, but it does not answer.
    """
    try:
        return client.status()
    except NoNode:
        return None


def running_node(places: Places, connect: Connect = connect) -> tuple[NodeClient, Status]:
    """Give the node that runs here; never starts one.

    Raises:
        NoNode: none runs; says what to do.
        NotReady: it does not answer.
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
    raise NoNode("No node runs here. Start one with `aiplat serve`, or just ask with `aiplat ask`.")
