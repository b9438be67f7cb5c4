"""Two channels over a pipe in memory, with handlers and sinks that note what they hear."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
import trio

from aiplat.domain.answers import AnswerEvent, Asking, Delta, Failed, Finished, Started, Submission
from aiplat.domain.chat import Generate, Message
from aiplat.domain.ids import PeerId
from aiplat.domain.models import Manifest
from aiplat.domain.usage import Usage
from aiplat.node.channel import Channel, Incoming
from aiplat.node.handshake import accept, offer
from aiplat.node.settings import NodeSettings
from aiplat.protocol.channel import ChannelMachine
from aiplat.protocol.messages import Announce, Call, Drain, Goodbye, Hello, Reply
from aiplat.telemetry.metrics import Metrics
from tests.support.pipes import MemoryPipe, pair

LEFT = PeerId("12D3KooWLeftLeftLeftLeftLeft")
RIGHT = PeerId("12D3KooWRightRightRightRight")

MANIFEST = Manifest(
    name="echo", weights="w", tokenizer="t", template="t", recipe=1, dtype="float32",
    context=2048, vocabulary=1000, backend="echo",
)  # fmt: skip
STARTED = Started(MANIFEST, prompt_tokens=3)


def submission(number: int = 1, *, text: str = "Hello", **more: Any) -> Submission:
    """A small request to a processor."""
    more.setdefault("to", "processor")
    return Submission(id=f"req-{number:024x}", work=Generate((Message("user", text),)), **more)


class Serving:
    """Who serves a request on the far side (`Asking`)."""

    def __init__(self, incoming: Incoming) -> None:
        self.incoming = incoming
        self.accepted: list[tuple[int, int]] = []
        self.cancels = 0

    def accept(self, tokens: int, credit: int) -> None:
        self.accepted.append((tokens, credit))

    def cancel(self) -> None:
        self.cancels += 1

    def start(self) -> None:
        self.incoming.deliver(STARTED)

    def say(self, *ids: int, text: str = "") -> None:
        self.incoming.deliver(Delta(ids, text))

    def finish(self, tokens: int, reason: Any = "stop") -> None:
        self.incoming.deliver(Finished(reason, Usage(3, tokens)))


class Handler:
    """Notes everything (`ChannelHandler`)."""

    def __init__(self) -> None:
        self.requests: list[Serving] = []
        self.heard: list[object] = []
        self.reasons: list[str] = []
        self.on_submitted: Callable[[Incoming], None] = self._attach
        self.reply: Callable[[Call], Reply] = lambda call: Reply(msgspec.Raw(call.body))

    def _attach(self, incoming: Incoming) -> None:
        serving = Serving(incoming)
        self.requests.append(serving)
        incoming.attach(serving)

    def submitted(self, incoming: Incoming) -> None:
        self.on_submitted(incoming)

    def announced(self, announce: Announce) -> None:
        self.heard.append(announce)

    def drained(self, drain: Drain) -> None:
        self.heard.append(drain)

    def told(self, news: object) -> None:
        self.heard.append(news)

    async def called(self, call: Call) -> Reply:
        await trio.lowlevel.checkpoint()
        return self.reply(call)

    def ended(self, reason: str) -> None:
        self.reasons.append(reason)


class Sink:
    """Notes the events of an answer (`AnswerSink`)."""

    def __init__(self) -> None:
        self.events: list[AnswerEvent] = []
        self.asking: Asking | None = None

    def deliver(self, event: AnswerEvent) -> None:
        self.events.append(event)

    @property
    def ids(self) -> list[int]:
        return [i for event in self.events if isinstance(event, Delta) for i in event.ids]

    @property
    def text(self) -> str:
        return "".join(event.text for event in self.events if isinstance(event, Delta))

    @property
    def end(self) -> Finished | Failed | None:
        last = self.events[-1] if self.events else None
        return last if isinstance(last, Finished | Failed) else None


class Side:
    """One end: its channel, its handler, its pipe."""

    def __init__(self, channel: Channel, pipe: MemoryPipe, metrics: Metrics) -> None:
        self.channel = channel
        self.pipe = pipe
        self.metrics = metrics
        self.handler = Handler()
        self.scope = trio.CancelScope()

    async def live(self) -> None:
        """Run the channel until it ends, or its scope is cancelled."""
        with self.scope:
            await self.channel.run(self.handler)

    def ask(self, number: int = 1, **more: Any) -> Sink:
        """Submit a small request."""
        sink = Sink()
        sink.asking = self.channel.submit(submission(number, **more), sink)
        assert sink.events == []  # nothing is heard before submit ended
        return sink

    def count(self, name: str, **labels: str) -> float:
        """The value of a counter."""
        return self.metrics.registry.get_sample_value(name, labels) or 0.0


def hello(**more: Any) -> Hello:
    """What a test node says first."""
    return Hello(agent="test", incarnation=1, roles=("gateway", "processor"), **more)


@asynccontextmanager
async def channels(
    settings: NodeSettings | None = None, *, chop: int = 0
) -> AsyncIterator[tuple[Side, Side]]:
    """Two live channels, the left one dialed."""
    settings = settings or NodeSettings()
    pipes = pair(chop)
    machines = [
        ChannelMachine(
            initiator=first,
            hello=hello(max_requests=settings.max_requests_per_channel),
            max_frame=settings.max_frame_bytes,
        )
        for first in (True, False)
    ]
    early: dict[int, list[Any]] = {}

    async def decide(_: Hello) -> Goodbye | None:
        return None

    async def shake(index: int) -> None:
        if index == 0:
            early[0] = await offer(pipes[0], machines[0], settings.handshake_seconds)
        else:
            early[1] = await accept(pipes[1], machines[1], settings.handshake_seconds, decide)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(shake, 0)
        nursery.start_soon(shake, 1)
    sides = []
    for index, peer in enumerate((RIGHT, LEFT)):
        metrics = Metrics()
        channel = Channel(
            pipes[index], machines[index], peer=peer, roles=("gateway", "processor"),
            dialed=index == 0, address="", settings=settings, metrics=metrics, early=early[index],
        )  # fmt: skip
        sides.append(Side(channel, pipes[index], metrics))
    left, right = sides
    async with trio.open_nursery() as nursery:
        nursery.start_soon(left.live)
        nursery.start_soon(right.live)
        await settle()
        yield left, right
        nursery.cancel_scope.cancel()


async def settle(passes: int = 40) -> None:
    """Let every task that can run do so; in memory, a few passes carry a message across."""
    for _ in range(passes):
        await trio.lowlevel.checkpoint()
