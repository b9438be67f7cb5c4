"""What the doors may ask of the node that they are in. `runtime` implements it."""

from __future__ import annotations

from typing import Protocol, Self, TypeVar

import msgspec

from aiplat.control.accounts import AccountsCall, KeyringState
from aiplat.control.history import HistoryCall
from aiplat.control.machine import DoctorReply, LogAsk, LogReply, PullWish, ServeWish, Shelf
from aiplat.control.messages import (
    Accepted,
    Access,
    Done,
    DrainWish,
    Explanation,
    Invitation,
    InviteRequest,
    JoinRequest,
    Keep,
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
from aiplat.control.stored import StoredAnswers
from aiplat.domain.accounts import RateState, Scope
from aiplat.domain.answers import AnswerEvent, Inference, Submission

Reply = TypeVar("Reply", bound=msgspec.Struct)


class Followed(Protocol):
    """An answer that the node keeps, for one who follows it. Used as a context, which counts it.

    Attributes:
        accepted: what is said first.
        ended: whether the batch before was the last.
    """

    accepted: Accepted
    ended: bool

    def __enter__(self) -> Self:
        """Begin to follow."""

    def __exit__(self, *_: object) -> None:
        """Follow no more; the answer goes on."""

    async def next(self) -> list[AnswerEvent]:
        """All events that it lacks, at least one; waits for it."""


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

    # -- its machine ---------------------------------------------------------------------------

    def log(self, ask: LogAsk) -> LogReply:
        """The newest lines of its log.

        Raises:
            InvalidRequest: it asks for too much at once.
        """

    async def doctor(self) -> DoctorReply:
        """Look at each step from here to an answer.

        Raises:
            DeadlineExceeded: the look took too long.
        """

    async def shelf(self) -> Shelf:
        """The models that the machine has or could have, and what is being brought."""

    async def pull_model(self, wish: PullWish) -> Done:
        """Begin to bring a model onto the machine, or end that.

        Raises:
            AiplatError: there is no such model, it cannot be run here, or too many are on the way.
        """

    async def serve_model(self, wish: ServeWish) -> Done:
        """Offer a model that lies there, now and after restarts; or no more.

        Raises:
            AiplatError: it cannot be, or is at work.
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

    async def accounts_here(
        self, method: str, wish: msgspec.Struct, reply: type[Reply], session: str, source: str
    ) -> Reply:
        """Ask the accounts of this node's own gateway, for a person in front of its page.

        What comes is kept nowhere here, and nobody is the owner by being on this machine: without
        a session one is nobody.

        Arguments:
            method: a name of `accounts.METHODS`; `wish` and `reply` are its structs.
            session: the token of a log-in; empty for none. With it as `Submission.credential`
                `inference` counts for its user.
            source: the address that the person comes from, which slows down who guesses.

        Raises:
            AiplatError: this node is no gateway, or it refuses: `InvalidApiKey` without a session
                that holds.
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

    # -- answers that are stored for who asked -----------------------------------------------------

    @property
    def stored(self) -> StoredAnswers:
        """Keeps them."""

    def owner_of(self, credential: str) -> str:
        """The user that an API key of this node's gateway is of, by its id, for stored answers.

        Without a key, and with one of the owner's account, the machine's owner.

        Raises:
            AiplatError: the key does not hold.
        """

    # -- conversations. All raise AiplatError. ---------------------------------------------------

    async def history(self, call: HistoryCall) -> msgspec.Struct:
        """Ask something of the conversations that this node keeps."""

    async def keep(self, submission: Submission, keep: Keep, peer: str = "") -> Followed | str:
        """Begin an answer that goes on without its face; or say why it cannot be kept, in words.

        Arguments:
            submission: what is asked.
            keep: where it goes.
            peer: a gateway's multiaddr, to ask that one and no other.
        """

    def follow(self, request: str) -> Followed:
        """Follow a kept answer that is under way, or ended a moment ago, by its request's id."""

    def stop_answer(self, request: str) -> Done:
        """End a kept answer that is under way."""

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
