"""Protocol tests that read like sequence diagrams: two machines, and what passes between them.

talk = Dialogue()
number = talk.left.submits(submission())
talk.right.says(started(), number)
assert talk.left.heard == [...]
"""

from __future__ import annotations

from typing import Any

from aiplat.domain.answers import Delta, Finished, Started, Submission
from aiplat.domain.chat import Generate, Message
from aiplat.domain.models import Manifest
from aiplat.domain.usage import Usage
from aiplat.protocol import messages
from aiplat.protocol.channel import ChannelMachine, Received
from aiplat.protocol.messages import Hello

MANIFEST = Manifest(
    name="tiny",
    weights="aa" * 32,
    tokenizer="bb" * 32,
    template="cc" * 32,
    recipe=1,
    dtype="float32",
    context=128,
    vocabulary=100,
    backend="echo",
)


def submission(credit: int = 1000, **changes: Any) -> Submission:
    """A small request; `changes` replace its fields."""
    work = Generate(messages=(Message("user", "hello"),))
    fields: dict[str, Any] = {"id": "req-" + "0" * 24, "to": "gateway", "work": work}
    return Submission(**(fields | {"credit": credit} | changes))


def started(prompt_tokens: int = 3) -> Started:
    """A `Started` of the tiny model, whose vocabulary is 100 tokens."""
    return Started(MANIFEST, prompt_tokens)


def finished(tokens: int, reason: str = "stop") -> Finished:
    """An end after `tokens` completion tokens."""
    return Finished(reason, Usage(3, tokens))  # type: ignore[arg-type]  # test data


def delta(*ids: int, text: str = "x") -> Delta:
    """Some tokens; costs 4 for each id and each character."""
    return Delta(ids, text)


class Side:
    """One side: what it says reaches the other at once, what it hears is kept in `heard`."""

    def __init__(self, machine: ChannelMachine) -> None:
        self.machine = machine
        self.heard: list[Received] = []
        self.other: Side

    def hears(self, data: bytes) -> list[Received]:
        """Take bytes from the other side, or made up."""
        received = self.machine.receive(data)
        self.heard += received
        return received

    def says(self, message: messages.Message, number: int = 0) -> None:
        """Say something that the machine allows."""
        self.other.hears(self.machine.send(message, number))

    def submits(self, request: Submission) -> int:
        """Open a request; gives its number."""
        number, frame = self.machine.submit(request)
        self.other.hears(frame)
        return number

    def forges(self, message: messages.Message, number: int = 0) -> bytes:
        """A frame that the machine would not make, as a peer that breaks the rules does."""
        return messages.CODEC.encode(message, number)


class Dialogue:
    """Two sides that said hello; `left` opened the stream."""

    def __init__(self, **hello: object) -> None:
        self.left = Side(ChannelMachine(initiator=True, hello=Hello(agent="left")))
        right = Hello(agent="right", **hello)  # type: ignore[arg-type]  # test data
        self.right = Side(ChannelMachine(initiator=False, hello=right))
        self.left.other, self.right.other = self.right, self.left
        self.right.hears(self.left.machine.hello())
        self.left.hears(self.right.machine.hello())
        self.left.heard.clear()
        self.right.heard.clear()
