"""A request that a peer asked of this node."""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Callable
from typing import Protocol

import msgspec

from aiplat.domain.answers import AnswerEvent, Asking, Delta, Failed, Finished, Submission
from aiplat.domain.deltas import join
from aiplat.domain.errors import AiplatError
from aiplat.domain.ids import PeerId, Role
from aiplat.node.deltas import split
from aiplat.protocol.errors import LocalProtocolError
from aiplat.protocol.messages import Ack, Hello

log = logging.getLogger("aiplat.node.channel")

INTERNAL = Failed("internal", "The peer failed to serve the request; its log says why.")
MAX_WAITING = 32 * 1024 * 1024
"""Cost of what may wait for the reader's credit: well over the largest credit there is."""

MAX_JOINED = 32 * 1024
"""Cost of one delta that was joined from several."""

Send = Callable[[AnswerEvent, int], None]


class Carrier(Protocol):
    """The channel that a request came over, as far as it matters to the request."""

    peer: PeerId
    hello: Hello
    roles: tuple[Role, ...]

    @property
    def is_ended(self) -> bool:
        """Whether nothing more can be said on it."""


class Incoming:
    """One request under way, asked by the peer (`AnswerSink`).

    What is delivered waits here, in order, until the channel says it, and until the peer has
    credit for it.

    Arguments:
        number: its number on the channel.
        submission: what was asked.
        channel: over which.
        send: says an event of the answer; raises LocalProtocolError for one out of turn.
        credit: what the peer will take now.
        changed: told when there is something to `flush`.
        weigh: told how much more, or less, waits here.
    """

    __slots__ = ("_asking", "_cancelled", "_changed", "_credit_of", "_dropped", "_early",
                 "_is_noted", "_number", "_over", "_send", "_tokens", "_waiting",
                 "_waiting_cost", "_weigh_too", "channel", "submission")  # fmt: skip

    def __init__(
        self,
        number: int,
        submission: Submission,
        channel: Carrier,
        send: Send,
        credit: Callable[[int], int],
        changed: Callable[[Incoming], None],
        weigh: Callable[[int], None],
    ) -> None:
        self.submission = submission
        self.channel = channel
        self._changed = changed
        self._weigh_too = weigh
        self._is_noted = False
        self._number = number
        self._send = send
        self._credit_of = credit
        self._asking: Asking | None = None
        self._waiting: deque[AnswerEvent] = deque()
        self._waiting_cost = 0
        self._over = False
        self._cancelled = False
        self._dropped = False
        self._tokens = 0
        self._early = Ack()

    def attach(self, asking: Asking) -> None:
        """Say who serves it: told of credit, of a cancel, and of the channel's end."""
        if self._over:
            self._tell(asking.cancel)
            return
        self._asking = asking
        if self._cancelled:
            self._tell(asking.cancel)
        elif self._early.credit:
            early = self._early
            self._tell(lambda: asking.accept(early.tokens, early.credit))

    def deliver(self, event: AnswerEvent) -> None:
        """Keep an event of the answer until `flush`, and until the peer has credit for it."""
        if self._over:
            return
        kind = type(event)
        if kind is Finished or kind is Failed:
            self._asking = None  # who serves it holds this, and would be held
        if self.channel.is_ended:
            return
        if kind is Delta:
            cost = event.cost  # type: ignore[union-attr]  # mypy does not narrow by `kind`
            if cost == 0:
                return
            self._weigh(cost)
        elif kind is Finished or kind is Failed:
            self._over = True
        self._waiting.append(event)
        self._note()
        if self._waiting_cost > MAX_WAITING:
            self.fail("it delivered more than it had credit for")

    def _weigh(self, cost: int) -> None:
        self._waiting_cost += cost
        self._weigh_too(cost)

    def _note(self) -> None:
        """Ask for a `flush`, once."""
        if not self._is_noted:
            self._is_noted = True
            self._changed(self)

    # -- from the channel ----------------------------------------------------------------------

    def acked(self, ack: Ack) -> None:
        """The peer took some, and will take more."""
        if self._waiting:
            self._note()
        asking = self._asking
        if asking is None:
            self._early = Ack(ack.tokens, self._early.credit + ack.credit)
        else:
            self._tell(lambda: asking.accept(ack.tokens, ack.credit))

    def cancel(self) -> None:
        """The peer wants the end, or is gone."""
        if self._cancelled:
            return
        self._cancelled = True
        if self._asking is not None and not self._over:
            self._tell(self._asking.cancel)
        if self._waiting:
            self._note()

    def refuse(self, error: AiplatError) -> None:
        """Nobody serves it."""
        self.deliver(Failed.of(error))

    def fail(self, why: str) -> None:
        """End it as a fault of this node; who serves it is told to stop."""
        log.error("a request failed here: %s", why, extra={"request": self.submission.id})
        self._waiting.clear()
        self._weigh(-self._waiting_cost)
        self._over = True
        self._say(INTERNAL)
        asking, self._asking = self._asking, None
        if asking is not None and not self._cancelled:
            self._cancelled = True
            self._tell(asking.cancel)

    def flush(self) -> bool:
        """Send what waits, as far as one delta; deltas that wait together are joined in it.

        After a cancel no delta is sent: the peer grants no credit for it any more.

        Returns:
            Whether there is more that may be sent now; when there is not, it is noted again at
            the next change.
        """
        while self._waiting and not self.channel.is_ended:
            event = self._waiting.popleft()
            if not isinstance(event, Delta):
                if not self._say(self._as_said(event)):
                    break
            elif self._cancelled:
                self._weigh(-event.cost)
                self._dropped = True
            elif not self._flush_delta(event):
                break
            elif self._waiting:
                return True
        self._is_noted = False
        return False

    # -- inside --------------------------------------------------------------------------------

    def _flush_delta(self, delta: Delta) -> bool:
        """Send it, and what is joined to it or cut off; False when it has to wait."""
        credit = self._credit_of(self._number)
        delta = self._joined(delta, credit)
        if delta.cost > credit:
            head, rest = self._part(delta, credit)
            if rest is not None:
                self._waiting.appendleft(rest)
            if head is None:
                return False
            delta = head
        self._weigh(-delta.cost)
        if not self._say(delta):
            return False
        self._tokens += len(delta.ids)
        return True

    def _as_said(self, event: AnswerEvent) -> AnswerEvent:
        """An end that counts what was said on this hop, when a cancel dropped the rest."""
        if not self._dropped or not isinstance(event, Finished):
            return event
        usage = msgspec.structs.replace(event.usage, completion_tokens=self._tokens)
        return msgspec.structs.replace(event, reason="cancelled", usage=usage)

    def _part(self, delta: Delta, credit: int) -> tuple[Delta | None, Delta | None]:
        """Cut only a delta that would not fit the whole window: others wait for their credit."""
        if delta.cost * 2 <= self.submission.credit:
            return None, delta
        return split(delta, credit)

    def _joined(self, delta: Delta, credit: int) -> Delta:
        """It and those behind it, as many as the credit pays for at once."""
        most = min(MAX_JOINED, self.submission.credit // 2, credit)
        together, cost = [delta], delta.cost
        while self._waiting:
            after = self._waiting[0]
            if not isinstance(after, Delta) or (after.logprobs is None) != (delta.logprobs is None):
                break
            cost += after.cost
            if cost > most:
                break
            together.append(after)
            self._waiting.popleft()
        return join(*together)

    def _say(self, event: AnswerEvent) -> bool:
        try:
            self._send(event, self._number)
        except LocalProtocolError as fault:
            if event is not INTERNAL:
                self.fail(str(fault))
            return False
        return True

    def _tell(self, step: Callable[[], None]) -> None:
        """Tell who serves it; a fault there ends this request and nothing else."""
        try:
            step()
        except Exception:
            log.exception("who serves a request failed", extra={"request": self.submission.id})
            if not self._over:
                self.fail("who serves it failed")
