"""The requests of one channel, those that this node asked and those that the peer asked.

An event of an answer is not sent when it is delivered but when the link's writer comes round to
it: what gathered meanwhile leaves in one frame a request. Tokens that are there one by one while a
write is under way cost a frame for each else, which measured half the tokens a second.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable

from aiplat.domain.answers import AnswerEvent, AnswerSink, Failed, Finished, Submission
from aiplat.domain.errors import AiplatError
from aiplat.node.handler import ChannelHandler
from aiplat.node.incoming import Carrier, Incoming
from aiplat.node.outgoing import Outgoing
from aiplat.node.stuck import Owing
from aiplat.protocol.channel import ChannelMachine
from aiplat.protocol.messages import Ack, Cancel, Message

log = logging.getLogger("aiplat.node.channel")


class Requests:
    """All that is under way on a channel, by its numbers.

    Arguments:
        channel: whose they are.
        machine: its protocol.
        send: says a message about a request.
        wake: called when there is something that `flush` would say.
        bound: how much may wait to be said, in units of `Delta.cost`.
        overflow: called when more does.
        now: the clock, in seconds.
    """

    def __init__(
        self,
        channel: Carrier,
        machine: ChannelMachine,
        send: Callable[[Message, int], None],
        wake: Callable[[], None],
        bound: int,
        overflow: Callable[[], None],
        now: Callable[[], float],
    ) -> None:
        self._channel = channel
        self._machine = machine
        self._send = send
        self._wake = wake
        self._asked: dict[int, Outgoing] = {}
        self._serving: dict[int, Incoming] = {}
        self._unsaid: deque[Incoming] = deque()
        self._bound = bound
        self._overflow = overflow
        self._waiting = 0
        self._now = now
        self.cancelled_ones = Owing()

    def __len__(self) -> int:
        """How many are under way, both ways."""
        return len(self._asked) + len(self._serving)

    @property
    def asked(self) -> int:
        """How many of this node's are under way."""
        return len(self._asked)

    # -- this node's -----------------------------------------------------------------------------

    def ask(self, submission: Submission, sink: AnswerSink) -> tuple[Outgoing, bytes]:
        """Open one; gives it and its frame.

        Raises:
            LocalProtocolError: it cannot be said.
        """
        number, frame = self._machine.submit(submission)
        asking = self._asked[number] = Outgoing(number, submission, sink, self._say)
        return asking, frame

    def _say(self, message: Ack | Cancel, number: int) -> None:
        if not self._machine.is_open(number):
            return  # its end lies in the same bytes as what is being handed on now
        self._send(message, number)
        if type(message) is Cancel:
            self.cancelled_ones.owes(number, self._now())

    def answered(self, event: AnswerEvent, number: int) -> None:
        """The peer said an event of an answer; of one that was lost it is dropped."""
        outgoing = self._asked.get(number)
        if outgoing is None:
            return
        kind = type(event)
        if kind is Finished or kind is Failed:
            del self._asked[number]
            self.cancelled_ones.settled(number)
        outgoing.hear(event)

    # -- the peer's ------------------------------------------------------------------------------

    def submitted(self, submission: Submission, number: int, handler: ChannelHandler) -> None:
        """The peer asks; what the handler raises fails this request, and it alone."""
        incoming = Incoming(
            number, submission, self._channel, self._send, self._machine.credit, self._changed,
            self._weigh,
        )  # fmt: skip
        self._serving[number] = incoming
        try:
            handler.submitted(incoming)
        except AiplatError as refusal:
            incoming.refuse(refusal)
        except Exception:
            log.exception(
                "a handler failed",
                extra={"peer": self._channel.peer, "request": submission.id},
            )
            incoming.fail("its handler failed")

    def acked(self, ack: Ack, number: int) -> None:
        """The peer took some of an answer."""
        incoming = self._serving.get(number)
        if incoming is not None:
            incoming.acked(ack)

    def cancelled(self, _: Cancel, number: int) -> None:
        """The peer wants the end of an answer."""
        incoming = self._serving.get(number)
        if incoming is not None:
            incoming.cancel()

    def ended(self, number: int) -> None:
        """The end of an answer was said."""
        self._serving.pop(number, None)

    # -- all of them -----------------------------------------------------------------------------

    def _weigh(self, cost: int) -> None:
        self._waiting += cost
        if cost > 0 and self._waiting > self._bound:
            self._overflow()

    def _changed(self, incoming: Incoming) -> None:
        self._unsaid.append(incoming)
        self._wake()

    def flush(self, has_room: Callable[[], bool] = lambda: True) -> None:
        """Say what was delivered, a delta of each in turn, while there is room."""
        while self._unsaid and has_room():
            incoming = self._unsaid.popleft()
            try:
                if incoming.flush():
                    self._unsaid.append(incoming)
            except Exception:
                log.exception(
                    "an answer cannot be said",
                    extra={"peer": self._channel.peer, "request": incoming.submission.id},
                )
                incoming.fail("what it delivered cannot be said")

    def lose(self, lost: Callable[[Submission], AiplatError]) -> None:
        """The channel is gone: all that was asked fails, all that is served is cancelled."""
        for outgoing in list(self._asked.values()):
            outgoing.lose(lost(outgoing.submission))
        for incoming in list(self._serving.values()):
            incoming.cancel()
        self._asked.clear()
        self._serving.clear()
        self._unsaid.clear()
