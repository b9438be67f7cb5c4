"""What the doors may ask of the node that they are in. `runtime` implements it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from aiplat.control.accounts import AccountsCall, KeyringState
from aiplat.control.messages import (
    Access,
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
from aiplat.control.series import SeriesAsk, SeriesReply
from aiplat.domain.accounts import RateState, Scope
from aiplat.domain.answers import Inference


class NodeOperations(Protocol):
    """The node, as its doors see it."""

    def status(self) -> Status:
        """The node, now."""

    async def models(self) -> tuple[ModelStatus, ...]:
        """The models that a request of this node's may name, those that are ready first.

        Raises:
            AiplatError: no gateway could be asked.
        """

    async def inference(self, peer: str = "") -> Inference:
        """Who answers a request: the local gateway, or one that the node reached.

        Arguments:
            peer: a gateway's multiaddr, to ask that one and no other; it is dialled if needed.

        Raises:
            NoPeer: it cannot be reached, is not aiplat, or is no gateway.
            NotReady: this node is neither client nor gateway.
        """

    async def shown(self, known: tuple[ModelStatus, ...]) -> ModelList:
        """Those models, with size, last use and state of this machine's own, and what else lies
        on its disk.
        """

    async def remove_model(self, model: ModelName) -> Done:
        """Remove a pulled model from the disk.

        Raises:
            AiplatError: it is not there, or in use.
        """

    def access(self) -> Access:
        """Base URL and local token of the HTTP door."""

    def missing(self) -> tuple[str, ...]:
        """What stands between this node and serving, in words; empty when it is ready."""

    def stop(self, stop: Stop) -> Stopping:
        """Begin to end the node, as asked."""

    # -- accounts ------------------------------------------------------------------------------

    async def accounts(self, call: AccountsCall, credential: str) -> msgspec.Struct:
        """Ask a gateway's accounts: this node's own, or those of one that it reaches.

        Arguments:
            credential: what the face has in its environment; empty for what this node keeps.

        Raises:
            AiplatError: there is no such gateway, it refuses, or what is to be kept cannot be.
        """

    async def keyring(self) -> KeyringState:
        """Where this node keeps secrets, and whether it can."""

    def check_key(self, credential: str, scope: Scope) -> tuple[str, ...]:
        """See that an API key holds at this node's gateway, and may do that.

        Gives the models that it may ask; none stands for all.

        Raises:
            AiplatError: it does not; or this node is no gateway.
        """

    def rate(self, credential: str) -> RateState | None:
        """How far the limits of that key, or without one of the owner, are used."""

    # -- the network. All raise AiplatError. -----------------------------------------------------

    async def create_network(self, wish: NetworkCreate) -> Done:
        """Make a network, and take it up: comes back when the node listens again."""

    async def join_network(self, wish: JoinRequest) -> Done:
        """Join the network of a token, and take it up."""

    async def leave_network(self) -> Done:
        """Belong to no network any more."""

    def invite(self, wish: InviteRequest) -> Invitation:
        """Make a token, on the owner's node."""

    def members(self) -> MemberList:
        """Everyone with a certificate, on the owner's node."""

    def revoke(self, peer: PeerName) -> Done:
        """Take a member's certificate away, on the owner's node."""

    async def peers(self) -> PeerList:
        """The peers that this node has, or wants, a channel to; a client's gateways tell more."""

    def drain(self, wish: DrainWish) -> Done:
        """Place no more on a processor; with an empty name, take no more at all. Or end that."""

    async def series(self, ask: SeriesAsk) -> SeriesReply:
        """What the graphs show.

        Raises:
            InvalidRequest: it asks for no time at all.
            NotReady: the series' file did not answer in time.
        """

    async def share(self) -> ShareStatus:
        """How this machine is shared with others, who uses it, and what was given and taken."""

    def set_share(self, wish: ShareWish) -> Done:
        """Share it on other terms, from now on.

        Raises:
            AiplatError: it is no processor, a term cannot be, or the terms cannot be kept.
        """

    def block(self, peer: PeerName) -> Done:
        """Shut a peer out."""

    def unblock(self, peer: PeerName) -> Done:
        """Let a peer in again."""

    async def explain(self, request: str) -> Explanation:
        """Why a request went where it went."""
