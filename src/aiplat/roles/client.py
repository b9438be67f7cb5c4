"""The client: finds a gateway for the requests of this node's own faces."""

from __future__ import annotations

import logging
from collections import OrderedDict
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING

import msgspec
import trio
from msgspec.structs import replace

from aiplat.accounts.secret_forms import take_apart
from aiplat.control.messages import Explanation, ModelStatus
from aiplat.domain.answers import AnswerSink, Asking, Inference, Submission
from aiplat.domain.errors import AiplatError, InvalidRequest, NoPeer, NotReady, clip
from aiplat.domain.ids import PeerId, short
from aiplat.protocol.framing import UNREADABLE
from aiplat.protocol.messages import Call, Drain
from aiplat.roles.base import Role
from aiplat.roles.counted import Counted
from aiplat.roles.gateway import Gateway
from aiplat.roles.key_pins import is_key_of, refuse_if_others
from aiplat.roles.offering import Offering
from aiplat.roles.requests import find_request
from aiplat.roles.roaming import Roaming, refuse_if_private
from aiplat.roles.settings import ClientSettings
from aiplat.roles.standstill import Ticks
from aiplat.roles.watched import Saw, Watched
from aiplat.series.seen import ignore

if TYPE_CHECKING:
    from aiplat.node.channel import Channel
    from aiplat.node.keeping import Wanted
    from aiplat.node.node import Node

log = logging.getLogger("aiplat.client")

WATCH_SECONDS = 0.5
AWAY_SECONDS = 60.0
"""A gateway that is away for longer is not waited for, where others are there or were."""
MAX_REMEMBERED = 256
MAX_NAMED = 3
"""Of the peers that a person blocked."""
_EXPLANATION = msgspec.msgpack.Decoder(Explanation)
_MODELS = msgspec.msgpack.Decoder(tuple[ModelStatus, ...])


class RemoteGateway(Counted):
    """A gateway behind a channel; `draining` once it said that it takes no more.

    Arguments:
        offering: what is known of its models.
        is_member: whether its certificate of this node's network was checked.
        key: gives the API key that it may receive; empty where there is none. Raises `NotReady`
            where that cannot be read.
    """

    def __init__(
        self,
        channel: Channel,
        offering: Offering,
        *,
        is_member: bool,
        key: Callable[[PeerId], str] = lambda gateway: "",
    ) -> None:
        super().__init__(channel)
        self._key = key
        self.channel = channel
        self.offering = offering
        self.draining = False
        self._is_member = is_member

    @property
    def peer(self) -> PeerId:
        """The gateway's node."""
        return self.channel.peer

    def submit(self, submission: Submission, sink: AnswerSink) -> Asking:
        """Ask it, unless the request may not leave this machine, or its network."""
        refuse_if_private(submission, is_member=self._is_member)
        if submission.credential:
            refuse_if_others(submission.credential, self.peer)
        elif key := self._key(self.peer):
            submission = replace(submission, credential=key)
        return super().submit(submission, sink)

    def may_have(self, submission: Submission) -> bool:
        """Whether it may receive the key that goes with a request, if one does."""
        return not submission.credential or is_key_of(submission.credential, self.peer)

    @property
    def has_key(self) -> bool:
        """Whether there is a key for it, be it one that cannot be read now."""
        try:
            return bool(self._key(self.peer))
        except NotReady:
            return True


class _Exactly:
    """One gateway that a person named, and no other (`Inference`).

    Arguments:
        ask: asks it.
    """

    def __init__(self, ask: Callable[[Submission, AnswerSink], Asking]) -> None:
        self._ask = ask

    def submit(self, submission: Submission, sink: AnswerSink) -> Asking:
        """Ask it."""
        return self._ask(submission, sink)


class Client(Role):
    """The client role of a node.

    A node that is a gateway too asks itself. Another asks the gateway with the shortest round
    trip among those that it has a channel to and that have the model ready, as far as it is
    known; one that drains comes last.

    Arguments:
        local: the gateway of the same node, if it has that role.
        now: the clock, in seconds.
        in_network: whether this node is in a network now, so that every gateway is a member.
        key: gives the API key that a gateway may receive; empty where there is none.
        saw: hears of each request that other nodes' gateways had, for the series.
    """

    def __init__(
        self,
        settings: ClientSettings,
        local: Gateway | None = None,
        now: Callable[[], float] = trio.current_time,
        in_network: Callable[[], bool] = lambda: False,
        key: Callable[[PeerId], str] = lambda gateway: "",
        saw: Saw = ignore,
    ) -> None:
        self._key = key
        self._saw = saw
        self._in_network = in_network
        self._settings = settings
        self._now = now
        self._roaming: set[Roaming] = set()
        self._asked: OrderedDict[str, PeerId] = OrderedDict()
        self._local = local
        self._gateways: dict[PeerId, RemoteGateway] = {}
        self._were_here: set[PeerId] = set()
        self._wanted: Callable[[], Sequence[Wanted]] = tuple
        self._arrivals = trio.lowlevel.ParkingLot()
        self._learns = False

    @property
    def gateways(self) -> Mapping[PeerId, RemoteGateway]:
        """The gateways that can be asked now, the local one left out."""
        return self._gateways

    @property
    def active(self) -> set[str]:
        """The names of the requests that other nodes' gateways have of this one's."""
        return {under_way.request for g in self._gateways.values() for under_way in g.active}

    @property
    def taken(self) -> int:
        """How many requests went to the gateways that can be asked now."""
        return sum(gateway.taken for gateway in self._gateways.values())

    def fail_all(self, error: AiplatError) -> None:
        """End with an error all that other nodes' gateways have of this one's."""
        for gateway in self._gateways.values():
            gateway.fail_all(error)

    async def inference(self, node: Node, peer: str = "") -> Inference:
        """Who answers a request now.

        Arguments:
            node: dials `peer` when there is no channel to it yet.
            peer: the multiaddr of one gateway, and no other; empty for any.

        Raises:
            NoPeer: there is none, or that one cannot be reached or is no gateway.
        """
        if peer:
            return await self._exactly(node, peer)
        if self._local is not None:
            return self._local
        await self._nearest(node)
        return self

    def submit(self, submission: Submission, sink: AnswerSink) -> Asking:
        """Ask the best gateway, and another if that fails before the first token (`Inference`).

        Raises:
            AiplatError: there is none, or it refused.
        """
        best = partial(self._best, submission)
        gateway = best([])
        if gateway is None:
            if submission.credential:
                take_apart(submission.credential, "sk")
                raise _nobody_for_key()
            raise NoPeer(_nobody())
        self._learns = True
        return self._ask(gateway, best, self._may_come, submission, sink)

    def _ask(
        self,
        gateway: RemoteGateway,
        next_gateway: Callable[[list[PeerId]], RemoteGateway | None],
        may_come: Callable[[list[PeerId]], bool],
        submission: Submission,
        sink: AnswerSink,
    ) -> Asking:
        watched = Watched("client", submission, sink, self._saw, self._now)
        roaming = Roaming(
            submission, watched, next_gateway, self._now, self._ended,
            attempts=self._settings.attempts, on_refused=partial(self._refused, submission),
            may_come=may_come, patience=self._settings.gateway_seconds,
        )  # fmt: skip
        roaming.begin(gateway)
        self._roaming.add(roaming)
        self._remember(submission.id, roaming.tried[-1])
        return roaming

    def _ended(self, roaming: Roaming) -> None:
        self._roaming.discard(roaming)
        self._remember(roaming.submission.id, roaming.tried[-1])

    def _remember(self, request: str, gateway: PeerId) -> None:
        """Who was asked last can explain it."""
        self._asked[request] = gateway
        if len(self._asked) > self._settings.explain_requests:
            self._asked.popitem(last=False)

    def _refused(self, submission: Submission, peer: PeerId) -> None:
        gateway = self._gateways.get(peer)
        if gateway is not None:
            gateway.offering.refused(submission, self._now())

    def _best(self, submission: Submission, tried: list[PeerId]) -> RemoteGateway | None:
        now = self._now()

        def worth(gateway: RemoteGateway) -> tuple[bool, bool, int, float]:
            draining, latency = _distance(gateway)
            rank = gateway.offering.rank(submission, now)
            return draining, not gateway.has_key, rank, latency

        live = [
            g
            for peer, g in self._gateways.items()
            if peer not in tried and not g.channel.is_ended and g.may_have(submission)
        ]
        return min(live, key=worth, default=None)

    async def run(self, *, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED) -> None:
        """Watch the requests that other nodes' gateways have."""
        ticks = Ticks(self._now(), WATCH_SECONDS)
        async with trio.open_nursery() as nursery:
            task_status.started()
            while True:
                await trio.sleep(WATCH_SECONDS)
                late = ticks.look(self._now())
                for roaming in list(self._roaming):
                    roaming.look(self._settings.silence_seconds, late)
                self._learn(nursery)

    def _learn(self, nursery: trio.Nursery) -> None:
        """Ask for the models where there is a choice, after a gateway came or was asked."""
        if not self._learns or len(self._gateways) < 2:
            return
        now, every = self._now(), self._settings.models_seconds
        for gateway in self._gateways.values():
            if gateway.offering.is_due(now, every):
                self._learns = False
                nursery.start_soon(self._learn_of, gateway)

    async def _learn_of(self, gateway: RemoteGateway) -> None:
        try:
            await self._models_of(gateway)
        except AiplatError as error:
            log.debug("the gateway %s did not tell its models: %s", short(gateway.peer), error)

    def find(self, name: str) -> str:
        """The request that a person means, if this node asked it elsewhere (`find_request`)."""
        return find_request(name, self._asked)

    async def explain(self, request: str) -> Explanation:
        """Why a request of this node's went where it went: its gateway tells.

        Raises:
            AiplatError: this node did not ask it, or its gateway is not there to tell.
        """
        found = self.find(request)
        if not found:
            raise InvalidRequest(
                f"This node asked no request {clip(request)!r} since its start. `ask -v` names a "
                "request; it is explained where it was asked, and on its gateway.",
                param="request",
            )
        peer = self._who_has(found)
        gateway = self._gateways.get(peer)
        if gateway is None:
            raise NoPeer(
                f"The gateway {short(peer)}, which had it, is not connected: it alone knows why."
            )
        call = Call("explain", msgspec.Raw(msgspec.msgpack.encode(found)))
        reply = await gateway.channel.call(call, self._settings.call_seconds)
        if reply.failed is not None:
            raise reply.failed.error()
        try:
            return _EXPLANATION.decode(reply.body)
        except UNREADABLE as fault:
            raise NoPeer(
                f"The gateway {short(gateway.channel.peer)} gave what cannot be read: {fault}."
            ) from None

    def _who_has(self, request: str) -> PeerId:
        """The gateway that has a request now, or had it last."""
        under_way = (r.tried[-1] for r in self._roaming if r.submission.id == request)
        return next(under_way, self._asked[request])

    async def _exactly(self, node: Node, peer: str) -> Inference:
        channel = await node.reach(peer)
        if channel.is_ended:
            raise NoPeer(f"The gateway {short(channel.peer)} went as it was reached. Ask again.")
        if "gateway" not in channel.roles:
            if channel.dialed and all(w.peer_id != channel.peer for w in node.wanted):
                channel.close("bye", "It is no gateway.")  # it was reached for this request alone
            raise NoPeer(
                f"The peer {short(channel.peer)} is no gateway (it is: "
                f"{', '.join(channel.roles)}). Name the address of a gateway."
            )
        node.keep(peer)
        gateway = self._remote(channel)
        return _Exactly(partial(self._ask, gateway, lambda tried: None, lambda tried: False))

    def _remote(self, channel: Channel) -> RemoteGateway:
        """The gateway behind a channel; `reach` may come back before `opened` is called."""
        gateway = self._gateways.get(channel.peer)
        if gateway is None or gateway.channel is not channel:
            offering = Offering(self._settings.refusal_seconds)
            gateway = self._gateways[channel.peer] = RemoteGateway(
                channel, offering, is_member=self._in_network(), key=self._key
            )
            self._learns = True
            if len(self._were_here) >= MAX_REMEMBERED:
                self._were_here = set(self._gateways)
            self._were_here.add(channel.peer)
            self._came()
        return gateway

    def _came(self) -> None:
        """Somebody takes requests, or takes them again: who waited for that goes on."""
        self._arrivals.unpark_all()
        for roaming in list(self._roaming):
            roaming.move_on()

    @property
    def _live(self) -> list[RemoteGateway]:
        """Those whose channel has not just ended."""
        return [g for g in self._gateways.values() if not g.channel.is_ended]

    def _may_come(self, tried: list[PeerId]) -> bool:
        """Whether a gateway that was here, and is none of these, is being reached again."""
        return any(
            wanted.peer_id in self._were_here
            and wanted.peer_id not in tried
            and wanted.away_seconds < AWAY_SECONDS
            for wanted in self._wanted()
        )

    def _is_worth_a_wait(self) -> bool:
        """Whether nobody takes a request now, but may soon."""
        live = self._live
        if not live:
            return True
        return all(g.draining for g in live) and self._may_come([g.peer for g in live])

    def _is_missed(self, wanted: Collection[PeerId]) -> bool:
        """Whether none of these is here, and one is being reached."""
        if not wanted or any(g.peer in wanted for g in self._live):
            return False
        return any(one.peer_id in wanted for one in self._wanted())

    async def nearest(self, node: Node, wanted: Collection[PeerId] = frozenset()) -> RemoteGateway:
        """The gateway that is asked first; waits for one that is being reached.

        Arguments:
            wanted: one of these, if it comes in time; else any.

        Raises:
            NoPeer: there is none.
        """
        return await self._nearest(node, wanted)

    async def _nearest(self, node: Node, wanted: Collection[PeerId] = frozenset()) -> RemoteGateway:
        self._wanted = lambda: node.wanted
        seconds = self._settings.gateway_seconds if node.wanted else 0.0
        with trio.move_on_after(seconds):
            while self._is_worth_a_wait() or self._is_missed(wanted):
                await self._arrivals.park()
        live = [g for g in self._live if g.peer in wanted] or self._live
        if not live:
            notes = [wanted.note for wanted in node.wanted if wanted.note]
            raise NoPeer(_nobody(notes, seconds, node.membership.blocked))
        return min(live, key=_distance)

    async def models(self, node: Node) -> tuple[ModelStatus, ...]:
        """The models that a request may name.

        Raises:
            AiplatError: no gateway, or it gave no answer that can be read.
        """
        if self._local is not None:
            return self._local.models()
        return await self._models_of(await self._nearest(node))

    async def _models_of(self, gateway: RemoteGateway) -> tuple[ModelStatus, ...]:
        channel = gateway.channel
        reply = await channel.call(Call("models"), self._settings.call_seconds)
        if reply.failed is not None:
            raise reply.failed.error()
        try:
            models = _MODELS.decode(reply.body)
        except UNREADABLE as fault:
            raise NoPeer(
                f"The gateway {short(channel.peer)} gave a list of models that cannot be read: "
                f"{fault}."
            ) from None
        gateway.offering.heard(models)
        return models

    # -- over channels (`Role`) ----------------------------------------------------------------

    def opened(self, channel: Channel) -> None:
        """A gateway can be asked."""
        if "gateway" in channel.roles:
            self._remote(channel)

    def drained(self, channel: Channel, drain: Drain) -> None:
        """A gateway takes no more, or takes some again."""
        gateway = self._gateways.get(channel.peer)
        if gateway is not None:
            gateway.draining = not drain.off
            if drain.off:
                self._came()

    def ended(self, channel: Channel, reason: str) -> None:
        """A gateway is gone."""
        gateway = self._gateways.get(channel.peer)
        if gateway is not None and gateway.channel is channel:
            del self._gateways[channel.peer]


def _nobody_for_key() -> NoPeer:
    return NoPeer(
        "No gateway that may receive this API key is connected: a key goes to the gateway that "
        "made it, and to no other. `aiplat peers` shows who is there."
    )


def _distance(gateway: RemoteGateway) -> tuple[bool, float]:
    return (gateway.draining, gateway.channel.latency or 0.0)


def _nobody(
    notes: Sequence[str] = (), waited: float = 0.0, blocked: Collection[PeerId] = ()
) -> str:
    tried = f" Tried: {notes[0]}" if notes else ""
    if blocked:
        peers = ", ".join(sorted(short(peer) for peer in blocked)[:MAX_NAMED])
        tried += f" Blocked here, and so never tried: {peers} (`aiplat unblock PEER`)."
    after = f" after {waited:g} s of waiting (client.gateway_seconds)" if waited else ""
    return (
        f"This node is a client, and no gateway is connected to it{after}: start one, or name one "
        "of this machine with `--peer ADDRESS`. `aiplat doctor` looks at each step, and says what "
        f"to do.{tried}"
    )
