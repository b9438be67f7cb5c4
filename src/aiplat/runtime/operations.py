"""What the doors may ask of this node (`NodeOperations`): its parts, answered from in one place."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal, TypeVar, cast

import msgspec
from msgspec.structs import replace

import aiplat
from aiplat.control.accounts import METHODS, AccountsCall, KeyringState
from aiplat.control.history import HistoryCall
from aiplat.control.machine import DoctorReply, LogAsk, LogReply, PullWish, ServeWish, Shelf
from aiplat.control.messages import (
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
    ReachStatus,
    ShareStatus,
    ShareTerms,
    ShareWish,
    Status,
    Stop,
    Stopping,
)
from aiplat.control.series import SeriesAsk, SeriesReply
from aiplat.domain.accounts import RateState, Scope
from aiplat.domain.answers import Inference, Submission
from aiplat.domain.errors import InvalidApiKey, InvalidRequest, NoPeer, NotAMember, NotReady
from aiplat.domain.ids import Role, short
from aiplat.node.membership.membership import revoked_text
from aiplat.node.node import Node
from aiplat.roles.client import Client
from aiplat.roles.conversations import Conversations
from aiplat.roles.gateway import Gateway
from aiplat.roles.hearsay import Hearsay
from aiplat.roles.kept import Following
from aiplat.roles.processor import Processor
from aiplat.runtime.account_desk import AccountDesk
from aiplat.runtime.blocking import let_in, shut_out
from aiplat.runtime.draining import drain_processor
from aiplat.runtime.held_keys import HeldKeys
from aiplat.runtime.log_ring import Ring
from aiplat.runtime.looks import Looks
from aiplat.runtime.networks import Networks
from aiplat.runtime.own_models import OwnModels
from aiplat.runtime.page_desk import PageDesk
from aiplat.runtime.peers import Peers
from aiplat.runtime.share import Share
from aiplat.runtime.shelf import ModelShelf
from aiplat.series.series import Series
from aiplat.stored.stored import Stored

Reply = TypeVar("Reply", bound=msgspec.Struct)

OWNER = "owner"
"""Whose stored answers are of the machine's owner: no account has that id."""


@dataclass
class Operations:
    """A running node, as its doors see it.

    Arguments:
        token: the local token of the HTTP door.
        control: path of the control socket.
        http: base URL of the HTTP door for people, once it listens.
        http_here: its base URL for programs of this machine.
        on_stop: begins the end; its argument says whether at once.
        now: the clock, in seconds.
        own_models: the models on this machine.
        models_here: which of them it offers, and what is brought.
        kept_log: the newest lines of its log.
        looks: a doctor's.
        desk: asks accounts, here and elsewhere.
        page_desk: asks this node's own, for who sits at its page.
        held_keys: the API keys that this node shows to gateways.
        networks: what is done with the network that the node is in.
        shared: how a processor is shared.
        graphs: what they show.
        conversations: what this node keeps of them, and the answers that it gives into them.
        stored: the answers of its Responses API that may be asked for again.
        hearsay: what a client's gateways tell of the network; None for a gateway, which sees it.
    """

    node: Node
    roles: tuple[Role, ...]
    client: Client | None
    gateway: Gateway | None
    processor: Processor | None
    token: str
    control: str
    background: bool
    on_stop: Callable[[bool], None]
    now: Callable[[], float]
    networks: Networks
    own_models: OwnModels
    models_here: ModelShelf
    kept_log: Ring
    looks: Looks
    desk: AccountDesk
    page_desk: PageDesk
    held_keys: HeldKeys
    graphs: Series
    conversations: Conversations
    stored: Stored
    hearsay: Hearsay | None = None
    shared: Share | None = None
    http: str = ""
    http_here: str = ""
    state: Literal["starting", "ready", "draining"] = "starting"
    drained: bool = False
    began: float = field(init=False)
    seen: Peers = field(init=False)

    def __post_init__(self) -> None:
        """Remember when it began."""
        self.began = self.now()
        self.seen = Peers(self.node, self.client, self.gateway, self.now, self.hearsay)

    # -- what runs -------------------------------------------------------------------------

    def active(self) -> set[str]:
        """The names of all requests under way, each once, whichever roles have it."""
        names = set() if self.gateway is None else {f.submission.id for f in self.gateway.active}
        for role in (self.client, self.processor):
            names |= set() if role is None else role.active
        return names

    def is_busy(self) -> bool:
        """Whether a request is under way, or a peer has not taken all of an answer yet."""
        return bool(self.active()) or any(c.active for c in self.node.channels.values())

    def has_work(self) -> bool:
        """Whether it is needed: it is busy, or brings a model, which its end would interrupt."""
        return self.is_busy() or self.models_here.is_bringing

    def taken(self) -> int:
        """A figure that changes with each request: whether it did tells whether it was used."""
        parts = (self.gateway, self.client, self.processor)
        requests = sum(part.taken for part in parts if part is not None)
        return requests + self.page_desk.asked

    # -- NodeOperations ----------------------------------------------------------------------

    def status(self) -> Status:
        """The node, now."""
        return Status(
            peer_id=self.node.peer_id,
            addresses=self.node.addresses,
            http=self.http,
            control=self.control,
            roles=self.roles,
            models=self._own_models(),
            peers=self.seen.all(),
            version=aiplat.__version__,
            state=self.state,
            pid=os.getpid(),
            background=self.background,
            active=len(self.active()),
            uptime_seconds=round(self.now() - self.began, 1),
            network=self.networks.status(self.node.finding.searching),
            reach=self._reach(),
            drained=self.drained,
            share=None if self.shared is None else self._share_now(),
            here=self._models_here(),
            turned_away=tuple(
                f"{short(peer)}: {why}" for peer, why in self.node.turned_away.items()
            ),
        )

    async def models(self) -> tuple[ModelStatus, ...]:
        """The models that a request may name."""
        self._refuse_revoked()
        if self.gateway is not None:
            return self.gateway.models()
        return await self._client().models(self.node)

    async def inference(self, peer: str = "") -> Inference:
        """Who answers a request.

        Raises:
            NotAMember: nobody does any more: this node was revoked.
        """
        self._refuse_revoked()
        if self.client is None and self.gateway is not None and not peer:
            return self.gateway
        await self.held_keys.ready()
        try:
            return await self._client().inference(self.node, peer)
        except NoPeer:
            self._refuse_revoked()  # it may have learned of it meanwhile
            raise

    def _refuse_revoked(self) -> None:
        membership = self.networks.membership
        if membership.is_revoked and membership.record is not None:
            raise NotAMember(revoked_text(membership.record.name))

    def _client(self) -> Client:
        if self.client is None:
            raise NotReady(
                f"This node is {' and '.join(self.roles)} only and takes no prompts of its own. "
                "Ask a node with the role client or gateway."
            )
        return self.client

    def access(self) -> Access:
        """Base URL, for this machine, and local token of the HTTP door."""
        return Access(base_url=self.http_here, api_key=self.token)

    def missing(self) -> tuple[str, ...]:
        """What stands between this node and serving."""
        wanting = []
        if self.state != "ready":
            wanting.append(f"the node is {self.state}")
        if self.gateway is not None:
            if self.gateway.accounts is not None and self.gateway.accounts.is_stuck:
                wanting.append("the accounts' database takes no writes, so nothing is let in")
            if not any(model.is_usable for model in self.gateway.models()):
                wanting.append("no processor with a model that is ready is connected")
        elif self.client is not None and not self.client.gateways:
            wanting.append("no gateway is connected")
        if self.processor is not None:
            wanting += [
                f"the model {offer.name} is {offer.state}{f': {offer.note}' if offer.note else ''}"
                for offer in self.processor.announcement.models
                if not offer.takes_requests
            ]
        return tuple(wanting)

    def stop(self, stop: Stop) -> Stopping:
        """Begin to end the node, as asked."""
        active = len(self.active())
        stopping = not (stop.if_idle and (active or self.models_here.is_bringing))
        if stopping:
            self.on_stop(stop.now)
        return Stopping(stopping=stopping, pid=os.getpid(), active=active)

    async def shown(self, known: tuple[ModelStatus, ...]) -> ModelList:
        """Those models, with what is known of this machine's own, and what else lies here."""
        return await self.own_models.shown(known)

    async def remove_model(self, model: ModelName) -> Done:
        """Remove a pulled model from the disk."""
        done = await self.own_models.remove(model.model)
        await self.models_here.removed(model.model)
        return done

    # -- its machine ---------------------------------------------------------------------------

    def log(self, ask: LogAsk) -> LogReply:
        """The newest lines of its log."""
        return self.kept_log.read(ask)

    async def doctor(self) -> DoctorReply:
        """Look at each step from here to an answer."""
        return await self.looks.take()

    async def shelf(self) -> Shelf:
        """The models that the machine has or could have, and what is being brought."""
        return await self.models_here.shown()

    async def pull_model(self, wish: PullWish) -> Done:
        """Begin to bring a model onto the machine, or end that."""
        return await self.models_here.pull(wish)

    async def serve_model(self, wish: ServeWish) -> Done:
        """Offer a model that lies there, now and after restarts; or no more."""
        return await self.models_here.serve(wish)

    # -- conversations -----------------------------------------------------------------------

    async def history(self, call: HistoryCall) -> msgspec.Struct:
        """Ask something of the conversations that this node keeps."""
        return await self.conversations.history(call)

    async def keep(self, submission: Submission, keep: Keep, peer: str = "") -> Following | str:
        """Begin an answer that goes on without its face; or say why it cannot be kept."""
        return await self.conversations.keep(submission, keep, peer)

    def follow(self, request: str) -> Following:
        """Follow a kept answer."""
        return self.conversations.follow(request)

    def stop_answer(self, request: str) -> Done:
        """End a kept answer."""
        return self.conversations.stop_answer(request)

    # -- inside ------------------------------------------------------------------------------

    def _reach(self) -> ReachStatus | None:
        """How others reach it; in no network nobody is asked."""
        if self.node.membership.record is None:
            return None
        reach = self.node.nat.reach
        return ReachStatus(state=reach.state, via=reach.via, why=reach.why)

    def _own_models(self) -> tuple[ModelStatus, ...]:
        return self.gateway.models() if self.gateway is not None else self._models_here()

    def _models_here(self) -> tuple[ModelStatus, ...]:
        if self.processor is None:
            return ()
        return tuple(
            ModelStatus(
                name=offer.name, state=offer.state, processors=1, slots=offer.slots,
                running=offer.running, waiting=offer.waiting,
                context=offer.manifest.context if offer.manifest else 0, note=offer.note,
                cold=offer.cold, can=offer.can,
            )
            for offer in self.processor.announcement.models
        )  # fmt: skip

    # -- accounts ------------------------------------------------------------------------------

    async def accounts(self, call: AccountsCall, credential: str) -> msgspec.Struct:
        """Ask a gateway's accounts."""
        return await self.desk.answer(call, credential)

    async def accounts_here(
        self, method: str, wish: msgspec.Struct, reply: type[Reply], session: str, source: str
    ) -> Reply:
        """Ask this node's own accounts, for who sits at its page."""
        assert METHODS[method].reply is reply
        return cast(Reply, await self.page_desk.answer(method, wish, session, source))

    async def keyring(self) -> KeyringState:
        """Where this node keeps secrets."""
        return await self.desk.keyring()

    def check_key(self, credential: str, scope: Scope) -> tuple[str, ...]:
        """See that an API key holds at this node's gateway; gives the models that it may ask."""
        if self.gateway is None or self.gateway.accounts is None:
            raise InvalidApiKey(
                "This node is no gateway, and knows no API keys but its own (`aiplat env` prints "
                "it): it shows the one that it keeps to its gateways itself. Send the key to its "
                "gateway's door, or keep it here (`aiplat keys create`)."
            )
        return self.gateway.accounts.check_key(credential, scope)

    def rate(self, credential: str) -> RateState | None:
        """How far the limits of a key, or of the owner, are used."""
        if self.gateway is None or self.gateway.accounts is None:
            return None
        return self.gateway.accounts.admission.state(credential)

    def owner_of(self, credential: str) -> str:
        """Whose answers are stored for who asks with that key."""
        if not credential or self.gateway is None or self.gateway.accounts is None:
            return OWNER
        return self.gateway.accounts.user_of(credential) or OWNER

    # -- the network ---------------------------------------------------------------------------

    async def create_network(self, wish: NetworkCreate) -> Done:
        """Make a network, and take it up."""
        done = self.networks.create(wish.name, public=wish.public)
        await self.node.rejoin()
        return done

    async def join_network(self, wish: JoinRequest) -> Done:
        """Join the network of a token, and take it up."""
        done = await self.networks.join(wish.token)
        await self.node.rejoin()
        return replace(done, message=f"{done.message}{self._take_up_roles()}")

    def _take_up_roles(self) -> str:
        """See that the roles are those of the certificate; tells what a person has to know of it.

        Roles are of a node's whole life. A background node without work ends, so that the next
        prompt starts one that is right; any other is left to who started it, or waits for it.
        """
        allowed = self.networks.membership.roles
        extra = [role for role in self.roles if role not in allowed]
        if self.background and set(self.roles) != set(allowed) and not self.is_busy():
            self.on_stop(False)
            return (
                f" The node in the background ran as {' and '.join(self.roles)}, and ends: "
                "`aiplat serve`, or the next `aiplat ask`, starts one with the new roles."
            )
        if not extra:
            return ""
        return (
            f" It still runs as {' and '.join(extra)} too, for itself alone: `aiplat stop` and a "
            "new start end that."
        )

    async def leave_network(self) -> Done:
        """Belong to no network any more."""
        self.node.refuse_to_be_alone()
        done = self.networks.leave()
        await self.node.rejoin()
        return done

    def invite(self, wish: InviteRequest) -> Invitation:
        """Make a token; warn when its holder may not reach this node, which alone lets in."""
        made = self.networks.invite(wish)
        if made.for_anyone or self.node.nat.reach.state not in ("relayed", "unreachable"):
            return made
        return replace(made, note="This node is not reached from outside of its own network: a "
                       "machine elsewhere cannot join with the token until the port is forwarded. "
                       "`aiplat doctor` says more.")  # fmt: skip

    def members(self) -> MemberList:
        """Everyone with a certificate."""
        return self.networks.members(self.node.channels)

    def revoke(self, peer: PeerName) -> Done:
        """Take a member's certificate away, and tell everyone."""
        gone = self.networks.revoke(peer.peer)
        self.node.members.enforce()
        return Done(message=f"The peer {gone} is revoked: its certificate holds no more.",
                    peer_id=gone)  # fmt: skip

    async def peers(self) -> PeerList:
        """The peers that this node has, or wants, a channel to; a client's gateways tell more."""
        return PeerList(peers=await self.seen.seen())

    def drain(self, wish: DrainWish) -> Done:
        """Place no more on a processor, or take no more requests at all; or end that."""
        if not wish.peer:
            return self._undrain_here() if wish.off else self._drain_here()
        if self.gateway is None:
            raise InvalidRequest("Only a gateway places requests: this node is none.")
        return drain_processor(self.gateway, wish)

    def _drain_here(self) -> Done:
        self.state, self.drained = "draining", True
        if self.gateway is not None:
            self.gateway.drain()
        if self.processor is not None:
            self.processor.drain()
        self.node.drain("a person drains it")
        return Done(message=f"This node takes no new requests; {len(self.active())} are under way. "
                    "It takes requests again after `aiplat drain --off`, or when it is stopped and "
                    "started.", peer_id=self.node.peer_id)  # fmt: skip

    def _undrain_here(self) -> Done:
        if not self.drained:
            raise InvalidRequest("This node is not drained: it takes requests."
                                 if self.state == "ready" else
                                 f"This node is {self.state}, and not by a drain.")  # fmt: skip
        self.state, self.drained = "ready", False
        self.node.undrain()
        if self.processor is not None:
            self.processor.drain(off=True)
        if self.gateway is not None:
            self.gateway.undrain()
        return Done(message="This node takes requests again.", peer_id=self.node.peer_id)

    async def series(self, ask: SeriesAsk) -> SeriesReply:
        """What the graphs show."""
        return await self.graphs.read(ask)

    async def share(self) -> ShareStatus:
        """How this machine is shared with others, who uses it, and what was given and taken."""
        found = self._share_now()
        try:
            return replace(found, exchange=await self.graphs.exchange())
        except NotReady:
            return found

    def _share_now(self) -> ShareStatus:
        if self.shared is None:
            return ShareStatus(state="none", terms=ShareTerms())
        found = self._shared().status()
        if self.state == "draining":
            why = "the node is drained" if self.drained else "the node ends"
            found = replace(found, state="draining", reason=why, note="")
        return replace(found, since_seconds=round(self.now() - self.began, 1))

    def set_share(self, wish: ShareWish) -> Done:
        """Share it on other terms, from now on."""
        return self._shared().change(wish)

    def _shared(self) -> Share:
        if self.shared is None:
            raise InvalidRequest(
                f"This node is {' and '.join(self.roles)}, and no processor: it runs no models, "
                "and so shares nothing."
            )
        return self.shared

    def block(self, peer: PeerName) -> Done:
        """Shut a peer out."""
        return shut_out(self.node, peer.peer, self.seen.heard_of())

    def unblock(self, peer: PeerName) -> Done:
        """Let a peer in again."""
        return let_in(self.node, peer.peer)

    async def explain(self, request: str) -> Explanation:
        """Why a request went where it went."""
        if self.gateway is not None and (found := self.gateway.find(request)):
            return self.gateway.explain(found)
        if self.client is not None and (self.gateway is None or self.client.find(request)):
            return await self.client.explain(request)
        if self.gateway is not None:
            return self.gateway.explain(request)
        raise NotReady("This node is a processor only, and chooses nothing: ask on a gateway, or "
                       "where the request was asked.")  # fmt: skip
