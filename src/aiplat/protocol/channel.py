"""One side of a channel between two peers: who may say what, on which request, in bytes.

machine = ChannelMachine(initiator=True, hello=Hello(...))
socket.send(machine.hello())
for received in machine.receive(socket.recv()): ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple, cast

from aiplat.domain.answers import Delta, Failed, Finished, Queued, Started, Submission
from aiplat.protocol.conversation import Conversation, State
from aiplat.protocol.errors import (
    LocalProtocolError,
    RemoteProtocolError,
    VersionMismatch,
    Violation,
)
from aiplat.protocol.framing import DEFAULT_MAX_FRAME, FrameReader
from aiplat.protocol.messages import (
    CHANNEL_LEVEL,
    CODEC,
    MAJOR,
    MINOR,
    Ack,
    Answer,
    Call,
    Cancel,
    Goodbye,
    Hello,
    Message,
    Reply,
)
from aiplat.protocol.news import check_news

MAX_CALLS = 64
_ANSWERS = (Queued, Started, Delta, Finished, Failed)
_CHANNEL_LEVEL = frozenset(CHANNEL_LEVEL)
_LAST_NUMBER = 2**32 - 1


class Received(NamedTuple):
    """A message that the peer was allowed to send; `number` is 0 or the request's."""

    number: int
    message: Message


Note = Callable[[Any, int], None]
"""Takes note of a message said or heard, and its number; raises Violation."""


class ChannelMachine:
    """The state of one channel, seen from one side.

    The initiator numbers its requests 1, 3, 5…, the other side 2, 4, 6…; numbers only grow.
    Requests that ended are forgotten: a late `Ack` or `Cancel` for one is let pass, since it
    may have crossed its end on the way; an answer for one is a fault.

    Arguments:
        initiator: whether this side opened the stream.
        hello: what this side says first; its `max_requests` bounds what the peer may ask.
        max_frame: bytes of the largest frame in either direction.
    """

    def __init__(
        self, *, initiator: bool, hello: Hello, max_frame: int = DEFAULT_MAX_FRAME
    ) -> None:
        self.remote: Hello | None = None
        self.goodbye: Goodbye | None = None
        self._hello = hello
        self._codec = CODEC.with_bound(max_frame)
        self._reader = FrameReader(max_frame)
        self._next = 1 if initiator else 2
        self._highest_inbound = 0
        self._asked: dict[int, Conversation] = {}
        self._serving: dict[int, Conversation] = {}
        self._calling: set[int] = set()
        self._called: set[int] = set()
        self._said_hello = False
        self._fault: RemoteProtocolError | None = None
        # By type: a chain of isinstance was a tenth of what a request costs.
        self._saying: dict[type, Note] = dict.fromkeys(_ANSWERS, self._say_answer)
        self._saying |= {Ack: self._say_ack, Cancel: self._say_cancel, Reply: self._say_reply}
        self._saying |= dict.fromkeys((Hello, Submission, Call), _by_the_wrong_door)
        self._hearing: dict[type, Note] = dict.fromkeys(_ANSWERS, self._hear_answer)
        self._hearing |= {
            Ack: self._hear_ack, Cancel: self._hear_cancel, Reply: self._hear_reply,
            Submission: self._hear_submission, Call: self._hear_call,
            Goodbye: self._hear_goodbye, Hello: _a_second_hello,
        }  # fmt: skip

    @property
    def own(self) -> Hello:
        """What this side says first."""
        return self._hello

    # -- what this side says -------------------------------------------------------------

    def hello(self) -> bytes:
        """The first frame."""
        if self._said_hello:
            raise LocalProtocolError("Hello was said before")
        self._said_hello = True
        return self._codec.encode(self._hello)

    def submit(self, submission: Submission) -> tuple[int, bytes]:
        """Open a request; gives its number and its frame.

        Raises:
            LocalProtocolError: over the frame's bound, over the peer's `max_requests`, or
                before its Hello.
        """
        if self.remote is None:
            raise LocalProtocolError("a Submission before the peer's Hello")
        if len(self._asked) >= self.remote.max_requests:
            raise LocalProtocolError(
                f"the peer takes {self.remote.max_requests} requests at once on a channel"
            )
        number = self._peek_number()
        frame = self._codec.encode(submission, number)
        try:
            self._asked[number] = Conversation(submission)
        except Violation as violation:
            raise _about_to(violation) from None
        self._next += 2
        return number, frame

    def call(self, call: Call) -> tuple[int, bytes]:
        """Open a call; gives its number and its frame."""
        if self.remote is None or len(self._calling) >= MAX_CALLS:
            raise LocalProtocolError(f"a Call before Hello, or beside {MAX_CALLS} others")
        number = self._peek_number()
        frame = self._codec.encode(call, number)
        self._calling.add(number)
        self._next += 2
        return number, frame

    def send(self, message: Message, number: int = 0) -> bytes:
        """The frame of anything but `Hello`, `Submission` and `Call`.

        Raises:
            LocalProtocolError: it may not be said now; nothing changed.
        """
        if not self._said_hello:
            raise LocalProtocolError("nothing is said before Hello")
        frame = self._codec.encode(message, number)
        try:
            self._note_sent(message, number)
        except Violation as violation:
            raise _about_to(violation) from None
        return frame

    def credit(self, number: int) -> int:
        """What the peer will still take of the answer that this side gives; 0 after its end."""
        conversation = self._serving.get(number)
        return 0 if conversation is None else conversation.credit

    @property
    def is_used_up(self) -> bool:
        """Whether this side has no number left to open a request or a call with."""
        return self._next > _LAST_NUMBER

    @property
    def asked(self) -> int:
        """Requests whose end this side waits for."""
        return len(self._asked)

    def is_open(self, number: int) -> bool:
        """Whether this side asked that request, and its end has not come."""
        return number in self._asked

    @property
    def serving(self) -> int:
        """Requests whose end the peer waits for."""
        return len(self._serving)

    # -- what the peer says --------------------------------------------------------------

    @property
    def frames(self) -> int:
        """Frames of the peer's that became whole."""
        return self._reader.whole

    @property
    def is_in_frame(self) -> bool:
        """Whether the peer began a frame that is not whole yet."""
        return len(self._reader) > 0

    def receive(self, data: bytes) -> list[Received]:
        """Take bytes; give the messages that became whole, each already checked.

        Messages before a fault in the same bytes are lost with the channel.

        Raises:
            RemoteProtocolError: the peer broke the protocol. The machine is of no more use.
        """
        if self._fault is not None:
            raise self._fault
        try:
            received = []
            for tag, number, body in self._reader.feed(data):
                message = self._codec.decode(tag, body)
                if message is None:
                    self._unknown_tag(tag)
                    continue
                self._note_received(cast(Message, message), number)
                received.append(Received(number, cast(Message, message)))
            return received
        except Violation as violation:
            self._fault = RemoteProtocolError(f"The peer sent {violation}.")
            raise self._fault from None
        except RemoteProtocolError as fault:
            self._fault = fault
            raise

    # -- inside --------------------------------------------------------------------------

    def _peek_number(self) -> int:
        if self._next > _LAST_NUMBER:
            raise LocalProtocolError("the channel's request numbers are used up: open another")
        return self._next

    def _note_sent(self, message: Message, number: int) -> None:
        note = self._saying.get(type(message))
        if note is not None:
            note(message, number)
        elif number != 0:
            raise Violation(f"a {type(message).__name__} with a request's number")
        else:
            check_news(message)

    def _say_answer(self, message: Answer, number: int) -> None:
        _converse(self._serving, number).answer(message)
        _forget_ended(self._serving, number)

    def _say_ack(self, ack: Ack, number: int) -> None:
        _converse(self._asked, number).ack(ack)

    def _say_cancel(self, cancel: Cancel, number: int) -> None:
        _converse(self._asked, number).cancel(cancel)

    def _say_reply(self, _: Reply, number: int) -> None:
        if number not in self._called:
            raise Violation(f"a Reply to the unknown call {number}")
        self._called.discard(number)

    def _note_received(self, message: Message, number: int) -> None:
        if self.remote is None:
            self._first(message)
            return
        kind = type(message)
        if (kind in _CHANNEL_LEVEL) != (number == 0):
            raise Violation(f"a {kind.__name__} with the number {number}")
        note = self._hearing.get(kind)
        if note is not None:
            note(message, number)
        else:
            check_news(message)

    def _hear_answer(self, message: Answer, number: int) -> None:
        _converse(self._asked, number).answer(message)
        _forget_ended(self._asked, number)

    def _hear_ack(self, ack: Ack, number: int) -> None:
        conversation = self._conversation(ack, number)
        if conversation is not None:
            conversation.ack(ack)

    def _hear_cancel(self, cancel: Cancel, number: int) -> None:
        conversation = self._conversation(cancel, number)
        if conversation is not None:
            conversation.cancel(cancel)

    def _hear_reply(self, _: Reply, number: int) -> None:
        if number not in self._calling:
            raise Violation(f"a Reply to the unknown call {number}")
        self._calling.discard(number)

    def _hear_goodbye(self, goodbye: Goodbye, _: int) -> None:
        self.goodbye = goodbye

    def _first(self, message: Message) -> None:
        if isinstance(message, Goodbye):  # refused before a word was said
            self.goodbye = message
            return
        if not isinstance(message, Hello):
            raise Violation(f"a {type(message).__name__} before Hello")
        if message.major != MAJOR:
            raise VersionMismatch(MAJOR, message.major)
        if not 1 <= message.max_requests <= 1_000_000:
            raise Violation(f"a Hello that takes {message.max_requests} requests at once")
        check_news(message)
        self.remote = message

    def _conversation(self, message: Ack | Cancel, number: int) -> Conversation | None:
        """What the peer speaks of that asked for it; None when it has ended."""
        conversation = self._serving.get(number)
        if conversation is None and (
            number > self._highest_inbound or number % 2 == self._next % 2
        ):
            raise Violation(f"an {type(message).__name__} for the unknown request {number}")
        return conversation

    def _hear_submission(self, submission: Submission, number: int) -> None:
        self._check_new(number)
        if len(self._serving) >= self._hello.max_requests:
            raise Violation(f"more than {self._hello.max_requests} requests at once")
        self._serving[number] = Conversation(submission)
        self._highest_inbound = number

    def _hear_call(self, _: Call, number: int) -> None:
        self._check_new(number)
        if len(self._called) >= MAX_CALLS:
            raise Violation(f"more than {MAX_CALLS} calls at once")
        self._called.add(number)
        self._highest_inbound = number

    def _check_new(self, number: int) -> None:
        if number % 2 == self._next % 2 or number <= self._highest_inbound:
            raise Violation(f"a new request with the number {number}, which is not its to give")

    def _unknown_tag(self, tag: int) -> None:
        """A newer minor version may say more than we know; an equal one may not."""
        if self.remote is None or self.remote.minor <= MINOR:
            raise Violation(f"a frame with the unknown tag {tag}")


def _about_to(violation: Violation) -> LocalProtocolError:
    return LocalProtocolError(f"we were about to send {violation}")


def _by_the_wrong_door(message: Message, _: int) -> None:
    raise Violation(f"a {type(message).__name__} by the wrong door")


def _a_second_hello(_: Hello, number: int) -> None:
    raise Violation("a second Hello")


def _converse(table: dict[int, Conversation], number: int) -> Conversation:
    conversation = table.get(number)
    if conversation is None:
        raise Violation(f"something for the unknown request {number}")
    return conversation


def _forget_ended(table: dict[int, Conversation], number: int) -> None:
    if table[number].state is State.ENDED:
        del table[number]
