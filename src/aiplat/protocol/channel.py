"""One side of a channel between two peers: who may say what, on which request, in bytes.

machine = ChannelMachine(initiator=True, hello=Hello(...))
socket.send(machine.hello())
for received in machine.receive(socket.recv()): ...
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple, TypeVar, cast

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
    Announce,
    Call,
    Cancel,
    Goodbye,
    Hello,
    Message,
    Reply,
)
from aiplat.protocol.offers import check_announce

MAX_CALLS = 64
_ANSWERS = (Queued, Started, Delta, Finished, Failed)
_LAST_NUMBER = 2**32 - 1
T = TypeVar("T")


class Received(NamedTuple):
    """A message that the peer was allowed to send; `number` is 0 or the request's."""

    number: int
    message: Message


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
        self._asked[number] = self._locally(lambda: Conversation(submission))
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
        self._locally(lambda: self._note_sent(message, number))
        return frame

    def credit(self, number: int) -> int:
        """What the peer will still take of the answer that this side gives; 0 after its end."""
        conversation = self._serving.get(number)
        return 0 if conversation is None else conversation.credit

    @property
    def asked(self) -> int:
        """Requests whose end this side waits for."""
        return len(self._asked)

    @property
    def serving(self) -> int:
        """Requests whose end the peer waits for."""
        return len(self._serving)

    # -- what the peer says --------------------------------------------------------------

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

    @staticmethod
    def _locally(step: Callable[[], T]) -> T:
        try:
            return step()
        except Violation as violation:
            raise LocalProtocolError(f"we were about to send {violation}") from None

    def _note_sent(self, message: Message, number: int) -> None:
        if isinstance(message, _ANSWERS):
            _converse(self._serving, number).answer(message)
            _forget_ended(self._serving, number)
        elif isinstance(message, Ack):
            _converse(self._asked, number).ack(message)
        elif isinstance(message, Cancel):
            _converse(self._asked, number).cancel(message)
        elif isinstance(message, Reply):
            if number not in self._called:
                raise Violation(f"a Reply to the unknown call {number}")
            self._called.discard(number)
        elif isinstance(message, Hello | Submission | Call):
            raise Violation(f"a {type(message).__name__} by the wrong door")
        elif number != 0:
            raise Violation(f"a {type(message).__name__} with a request's number")
        elif isinstance(message, Announce):
            check_announce(message)

    def _note_received(self, message: Message, number: int) -> None:
        if self.remote is None:
            self._first(message)
            return
        if isinstance(message, CHANNEL_LEVEL) != (number == 0):
            raise Violation(f"a {type(message).__name__} with the number {number}")
        if isinstance(message, _ANSWERS):
            _converse(self._asked, number).answer(message)
            _forget_ended(self._asked, number)
        elif isinstance(message, Ack | Cancel):
            self._heard_from_asker(message, number)
        elif isinstance(message, Submission | Call):
            self._asked_of_us(message, number)
        elif isinstance(message, Reply):
            if number not in self._calling:
                raise Violation(f"a Reply to the unknown call {number}")
            self._calling.discard(number)
        elif isinstance(message, Announce):
            check_announce(message)
        elif isinstance(message, Goodbye):
            self.goodbye = message
        elif isinstance(message, Hello):
            raise Violation("a second Hello")

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
        self.remote = message

    def _heard_from_asker(self, message: Ack | Cancel, number: int) -> None:
        conversation = self._serving.get(number)
        if conversation is None:
            if number > self._highest_inbound or number % 2 == self._next % 2:
                raise Violation(f"an {type(message).__name__} for the unknown request {number}")
            return
        if isinstance(message, Ack):
            conversation.ack(message)
        else:
            conversation.cancel(message)

    def _asked_of_us(self, message: Submission | Call, number: int) -> None:
        if number % 2 == self._next % 2 or number <= self._highest_inbound:
            raise Violation(f"a new request with the number {number}, which is not its to give")
        if isinstance(message, Call):
            if len(self._called) >= MAX_CALLS:
                raise Violation(f"more than {MAX_CALLS} calls at once")
            self._called.add(number)
        else:
            if len(self._serving) >= self._hello.max_requests:
                raise Violation(f"more than {self._hello.max_requests} requests at once")
            self._serving[number] = Conversation(message)
        self._highest_inbound = number

    def _unknown_tag(self, tag: int) -> None:
        """A newer minor version may say more than we know; an equal one may not."""
        if self.remote is None or self.remote.minor <= MINOR:
            raise Violation(f"a frame with the unknown tag {tag}")


def _converse(table: dict[int, Conversation], number: int) -> Conversation:
    conversation = table.get(number)
    if conversation is None:
        raise Violation(f"something for the unknown request {number}")
    return conversation


def _forget_ended(table: dict[int, Conversation], number: int) -> None:
    if table[number].state is State.ENDED:
        del table[number]
