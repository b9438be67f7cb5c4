"""A request that this node asked of a peer."""

from __future__ import annotations

import logging
from collections.abc import Callable

from aiplat.domain.answers import AnswerEvent, AnswerSink, Failed, Finished, Submission
from aiplat.domain.errors import AiplatError
from aiplat.protocol.errors import LocalProtocolError
from aiplat.protocol.messages import Ack, Cancel

log = logging.getLogger("aiplat.node.channel")

Send = Callable[[Ack | Cancel, int], None]


class Outgoing:
    """One request under way on a channel (`Asking`).

    Credit is given back in few messages: one for each half window that was accepted.

    Arguments:
        number: its number on the channel.
        submission: what was asked.
        sink: who hears the answer.
        send: says something about it to the peer.
    """

    __slots__ = ("_cancelled", "_credit", "_ended", "_send", "_sink", "_tokens", "number",
                 "submission")  # fmt: skip

    def __init__(self, number: int, submission: Submission, sink: AnswerSink, send: Send) -> None:
        self.number = number
        self.submission = submission
        self._sink: AnswerSink | None = sink
        self._send = send
        self._tokens = 0
        self._credit = 0
        self._cancelled = False
        self._ended = False

    # -- from who asked (`Asking`) -----------------------------------------------------------

    def accept(self, tokens: int, credit: int) -> None:
        """Note what was taken; tell the peer when that is worth a message."""
        if self._ended or self._cancelled:
            return
        self._tokens = tokens
        self._credit += credit
        if self._credit * 2 >= self.submission.credit:
            self._acknowledge()

    def cancel(self) -> None:
        """Ask for the end, once, after saying what was taken until here."""
        if self._ended or self._cancelled:
            return
        if self._credit:
            self._acknowledge()
        self._cancelled = True
        self._send(Cancel(), self.number)

    def _acknowledge(self) -> None:
        credit, self._credit = self._credit, 0
        try:
            self._send(Ack(self._tokens, credit), self.number)
        except LocalProtocolError:  # it was told more than came: a bug of who asked
            log.exception("an Ack that cannot be said", extra={"request": self.submission.id})
            self._fail()

    # -- from the peer -----------------------------------------------------------------------

    def hear(self, event: AnswerEvent) -> None:
        """Hand an event on. A sink that fails ends its own request and nothing else."""
        if isinstance(event, Finished | Failed):
            self._ended = True
        sink = self._sink
        if sink is None:
            return
        try:
            sink.deliver(event)
        except Exception:
            log.exception("a sink failed", extra={"request": self.submission.id})
            self._fail()

    def lose(self, error: AiplatError) -> None:
        """The channel is gone: say so, unless the end came before."""
        if not self._ended:
            self.hear(Failed.of(error))

    def _fail(self) -> None:
        sink, self._sink = self._sink, None
        if sink is not None and not self._ended:
            try:
                sink.deliver(Failed("internal", "The answer could not be taken here."))
            except Exception:  # it has just failed: nothing more to hope for
                log.debug("a failed sink failed again", exc_info=True)
            self.cancel()
