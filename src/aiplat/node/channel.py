"""A channel: one long-lived stream to a peer that carries many requests.

Everything is a callback. The link's reader decodes what came and calls sinks and handlers at
once; no task is spawned for a request, which measured twice the requests a second.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

import trio

from aiplat.domain.answers import (
    AnswerSink,
    Asking,
    Delta,
    Failed,
    Finished,
    Queued,
    Started,
    Submission,
)
from aiplat.domain.errors import (
    AiplatError,
    DeadlineExceeded,
    GatewayLost,
    InvalidRequest,
    Overloaded,
    ProcessorLost,
    RequestTooLarge,
    clip,
)
from aiplat.domain.ids import PeerId, Role, short
from aiplat.node.calls import Calls, answer
from aiplat.node.handler import ChannelHandler
from aiplat.node.incoming import INTERNAL, Incoming
from aiplat.node.link import Ending, Link, Pipe
from aiplat.node.places import Recent
from aiplat.node.requests import Requests
from aiplat.node.settings import NodeSettings
from aiplat.node.stuck import StuckWatch
from aiplat.protocol.channel import MAX_CALLS, ChannelMachine, Received
from aiplat.protocol.errors import FrameTooLarge, LocalProtocolError, RemoteProtocolError
from aiplat.protocol.messages import (
    Ack,
    Addresses,
    Announce,
    Call,
    Cancel,
    Drain,
    Goodbye,
    Hello,
    Message,
    Ping,
    Pong,
    Reply,
    Revocations,
)
from aiplat.telemetry.metrics import Metrics

__all__ = ["Channel", "ChannelHandler", "Incoming", "said_goodbye"]

log = logging.getLogger("aiplat.node.channel")

_LOST = ("eof", "silence", "write", "overflow", "violation", "fault")


class Channel:
    """A live channel, both Hellos said (`Inference`). `draining` says that the peer takes no more.

    Arguments:
        pipe: the stream.
        machine: its protocol, past the handshake.
        peer: whose it is.
        roles: what the peer may be here: what it claims, as far as it was granted.
        dialed: whether this node opened it.
        address: where the peer was dialed, or came from.
        settings: bounds and deadlines.
        metrics: where hits of bounds and losses are counted.
        early: what came together with the peer's Hello.
    """

    def __init__(
        self,
        pipe: Pipe,
        machine: ChannelMachine,
        *,
        peer: PeerId,
        roles: tuple[Role, ...],
        dialed: bool,
        address: str,
        settings: NodeSettings,
        metrics: Metrics,
        early: Iterable[Received] = (),
    ) -> None:
        assert machine.remote is not None
        self.peer = peer
        self.hello: Hello = machine.remote
        self.roles = roles
        self.shown = machine.own.certificate
        self.dialed = dialed
        self.address = address
        self.opened = trio.current_time()
        self.draining = False
        self._machine = machine
        self._settings = settings
        self._metrics = metrics
        self._early = list(early)
        self._link = Link(
            pipe, settings, self._received, self._beat, self._farewell, self._fill, leads=dialed,
        )  # fmt: skip
        self._requests = Requests(
            self, machine, self._send, self._link.wake, settings.outbox_bytes, self._overflow,
            trio.current_time,
        )  # fmt: skip
        self._calls = Calls()
        self._stuck = StuckWatch(
            settings, machine, self._requests.cancelled_ones, self._calls.unanswered
        )
        self._news = Recent(settings.news_per_minute, trio.current_time)
        self._hears: dict[type, Callable[[Any, int], None]] = {
            **dict.fromkeys((Delta, Finished, Failed, Started, Queued), self._requests.answered),
            Submission: self._submitted,
            Ack: self._requests.acked,
            Cancel: self._requests.cancelled,
            Call: self._called,
            Reply: self._replied,
        }
        self._handler: ChannelHandler | None = None
        self._answering: trio.Nursery | None = None
        self._ended = trio.Event()

    def __repr__(self) -> str:
        """Name it for a log."""
        return f"Channel({short(self.peer)}, {'dialed' if self.dialed else 'accepted'})"

    @property
    def latency(self) -> float | None:
        """Seconds that the last heartbeat took there and back; None before the first."""
        return self._link.pulse.latency

    @property
    def is_ended(self) -> bool:
        """Whether nothing more can be said on it."""
        return self._link.ending is not None

    @property
    def reason(self) -> str:
        """Why it ended, as a clause; empty while it lives."""
        return self._link.ending.clause if self._link.ending else ""

    @property
    def goodbye(self) -> Goodbye | None:
        """The peer's last words, if it had any."""
        return self._machine.goodbye

    @property
    def active(self) -> int:
        """Requests under way, both ways."""
        return len(self._requests)

    async def wait_ended(self) -> str:
        """Wait for its end; gives the reason, a clause."""
        await self._ended.wait()
        return self.reason

    # -- what the roles say ----------------------------------------------------------------------

    def submit(self, submission: Submission, sink: AnswerSink) -> Asking:
        """Ask the peer; `sink` hears nothing before this returned (`Inference`).

        Raises:
            Overloaded: the peer, or this node's bound, takes no more at once.
            RequestTooLarge: it does not fit one frame.
            ProcessorLost, GatewayLost: the channel has ended.
        """
        self._refuse_if_ended(submission.to)
        limit = min(self.hello.max_requests, self._settings.max_requests_per_channel)
        if self._requests.asked >= limit:
            self._full("channel_requests", f"has {limit} requests of this node's, all it takes")
        # Half of the outbox is for answers: a pile of prompts must not end the channel.
        if not self._link.has_room(self._settings.outbox_bytes // 2):
            self._full("outbox", "takes prompts more slowly than they come")
        try:
            asking, frame = self._requests.ask(submission, sink)
        except LocalProtocolError as fault:
            raise self._refusal(fault) from None
        self._link.put(frame, asking.number, opens=True)
        return asking

    def say(self, message: Announce | Drain | Revocations | Addresses) -> None:
        """Tell the peer; dropped when the channel has ended."""
        self._send(message)

    async def call(self, call: Call, deadline_seconds: float) -> Reply:
        """Ask a small question.

        Raises:
            DeadlineExceeded: no answer within `deadline_seconds`.
            Overloaded: too many calls at once.
            ProcessorLost, GatewayLost: the channel ended.
        """
        role: Role = "gateway" if "gateway" in self.roles else "processor"
        self._refuse_if_ended(role)
        try:
            number, frame = self._machine.call(call)
        except LocalProtocolError as fault:
            refusal = self._refusal(fault)
            if isinstance(refusal, RequestTooLarge):
                raise refusal from None
            self._full("channel_calls", f"has {MAX_CALLS} calls of this node's, all it takes")
        self._link.put(frame, number, opens=True)
        reply = await self._calls.wait(number, deadline_seconds)
        if reply is not None:
            return reply
        if self.is_ended:
            raise self._lost(role)
        raise DeadlineExceeded(
            f"The peer {short(self.peer)} did not answer the call {clip(call.method)!r} within "
            f"{deadline_seconds:g} s."
        )

    def close(self, code: str, message: str) -> None:
        """Say goodbye, and end. Sinks and handler are told from the channel's own task."""
        self._requests.flush()
        clause = f"this node closed it: {(message or code).rstrip('.')}"
        self._end(Ending("closed", clause), Goodbye(code, message))

    # -- its life --------------------------------------------------------------------------------

    async def run(
        self, handler: ChannelHandler, released: Callable[[], None] = lambda: None
    ) -> None:
        """Live until it ends.

        Arguments:
            handler: who hears what comes.
            released: called once at the end, before anyone else is told.
        """
        self._handler = handler

        def ended(ending: Ending) -> None:
            released()
            nursery.cancel_scope.cancel()
            self._tell_everyone(ending)

        async with trio.open_nursery() as nursery:
            self._answering = nursery
            self._hear(self._early)
            self._early.clear()
            try:
                await self._link.run(ended)
            finally:
                nursery.cancel_scope.cancel()

    def _tell_everyone(self, ending: Ending) -> None:
        log.info("a channel ended: %s", ending.clause, extra={"peer": self.peer})
        if ending.kind in _LOST:
            self._metrics.channels_lost.labels(reason=ending.kind).inc()
        self._requests.lose(lambda submission: self._lost(submission.to))
        self._calls.end()
        self._ended.set()
        self._guarded("ended", lambda handler: handler.ended(ending.clause))

    def _end(self, ending: Ending, goodbye: Goodbye | None = None) -> None:
        last = b""
        if goodbye is not None and not self.is_ended:
            last = self._machine.send(goodbye)
        self._link.end(ending, last)

    def _farewell(self) -> bytes:
        self._requests.flush()
        return self._machine.send(Goodbye("bye", "The node stops."))

    def _beat(self, nonce: int | None) -> None:
        """Say the heartbeat, unless the peer lives and does nothing of what it has to."""
        bound = self._stuck.look(trio.current_time())
        if bound is None:
            if nonce is not None:
                self._send(Ping(nonce))
            return
        self._metrics.bound_hits.labels(bound=bound.setting).inc()
        self._end(Ending("silence", bound.clause), Goodbye("silence", bound.clause))

    # -- out -------------------------------------------------------------------------------------

    def _fill(self) -> None:
        if not self.is_ended:
            self._requests.flush(self._link.wants_more)

    def _send(self, message: Message, number: int = 0) -> None:
        """Send anything that opens no request; over the outbox's bound the channel ends."""
        if self.is_ended:
            return
        frame = self._machine.send(message, number)
        kind = type(message)
        if kind is Finished or kind is Failed:
            self._requests.ended(number)
        if not self._link.has_room(len(frame)):
            self._overflow()
            return
        self._link.put(frame, None if kind is Ping or kind is Pong else number)

    def _overflow(self) -> None:
        if self.is_ended:
            return
        bound = self._settings.outbox_bytes
        self._metrics.bound_hits.labels(bound="outbox").inc()
        clause = f"it did not take {bound} bytes that wait for it, the bound"
        self._end(Ending("overflow", clause), Goodbye("overloaded", clause))

    def _full(self, bound: str, what: str) -> NoReturn:
        self._metrics.bound_hits.labels(bound=bound).inc()
        raise Overloaded(f"The peer {short(self.peer)} {what}. Try again.", retry_after=1.0)

    def _refusal(self, fault: LocalProtocolError) -> AiplatError:
        if isinstance(fault, FrameTooLarge):
            self._metrics.bound_hits.labels(bound="frame").inc()
            return RequestTooLarge(f"{fault} Send a shorter prompt.")
        return InvalidRequest(f"The request cannot be sent: {fault}.")

    def _refuse_if_ended(self, role: Role) -> None:
        """Let nothing be asked on a channel that has ended, or has no number left for it."""
        if self._machine.is_used_up:
            self.close("bye", "The channel's request numbers are used up: open another.")
        if self.is_ended:
            raise self._lost(role)

    def _lost(self, role: Role) -> AiplatError:
        text = f"The {role} {short(self.peer)} was lost: {self.reason}. Ask again."
        return ProcessorLost(text) if role == "processor" else GatewayLost(text)

    # -- in --------------------------------------------------------------------------------------

    def _received(self, data: bytes) -> None:
        try:
            self._hear(self._machine.receive(data))
        except RemoteProtocolError as fault:
            self._metrics.protocol_violations.inc()
            text = str(fault)
            log.warning("a peer broke the protocol: %s", text, extra={"peer": self.peer})
            clause = f"it broke the protocol: {text.rstrip('.')}"
            self._end(Ending("violation", clause), Goodbye("protocol_error", text))

    def _hear(self, messages: Iterable[Received]) -> None:
        """Take messages until the end; a fault of this node ends the channel, and is told as one.

        Raises:
            RemoteProtocolError: the peer broke the protocol.
        """
        try:
            for received in messages:
                if self.is_ended:
                    return
                self._dispatch(received)
        except RemoteProtocolError:
            raise
        except Exception:
            log.exception("a fault of this node ends a channel", extra={"peer": self.peer})
            self._end(
                Ending("fault", "this node failed at what it said; its log says why"),
                Goodbye("internal", "The node failed at what the peer said; its log says why."),
            )

    def _dispatch(self, received: Received) -> None:
        number, message = received
        hear = self._hears.get(type(message))
        if hear is not None:
            hear(message, number)
        else:
            self._about_the_channel(message)

    def _submitted(self, submission: Submission, number: int) -> None:
        assert self._handler is not None
        self._requests.submitted(submission, number, self._handler)

    def _called(self, call: Call, number: int) -> None:
        assert self._answering is not None
        self._answering.start_soon(self._answer, number, call)

    def _replied(self, reply: Reply, number: int) -> None:
        self._calls.replied(number, reply)

    def _about_the_channel(self, message: Message) -> None:
        if isinstance(message, Ping):
            self._send(Pong(message.nonce))
        elif isinstance(message, Pong):
            self._link.pulse.answered(message.nonce, trio.current_time())
        elif isinstance(message, Announce):
            self._guarded("announced", lambda handler: handler.announced(message))
        elif isinstance(message, Drain):
            self.draining = not message.off
            self._guarded("drained", lambda handler: handler.drained(message))
        elif isinstance(message, Revocations | Addresses):
            if self._news.may(type(message)):
                self._guarded("told", lambda handler: handler.told(message))
            else:
                self._too_much_news(message)
        elif isinstance(message, Goodbye):
            self._end(Ending("goodbye", said_goodbye(message)))

    def _too_much_news(self, message: Addresses | Revocations) -> None:
        """Each costs this node far more than it costs who sends it."""
        self._metrics.bound_hits.labels(bound="news_per_minute").inc()
        clause = (
            f"it sent over {self._news.bound} messages of the kind {type(message).__name__} within "
            "a minute, the bound (news_per_minute)"
        )
        self._end(Ending("violation", clause), Goodbye("overloaded", clause))

    async def _answer(self, number: int, call: Call) -> None:
        assert self._handler is not None
        reply = await answer(self._handler.called, call, self._settings.call_seconds)
        try:
            self._send(reply, number)
        except LocalProtocolError as fault:
            log.error("a reply cannot be sent: %s", fault, extra={"call": clip(call.method)})
            self._send(Reply(failed=INTERNAL), number)

    def _guarded(self, what: str, step: Callable[[ChannelHandler], None]) -> None:
        """Tell the handler; a fault of its own harms nobody else."""
        assert self._handler is not None
        try:
            step(self._handler)
        except Exception:
            log.exception("a handler failed in %s", what, extra={"peer": self.peer})


def said_goodbye(goodbye: Goodbye) -> str:
    """The clause for a peer's goodbye, in its own words."""
    return f"it said goodbye: {clip(goodbye.message or goodbye.code, 200).rstrip('.')}"
