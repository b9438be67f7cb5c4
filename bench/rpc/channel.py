"""aiplat's channel: a processor that answers at once, a gateway before it, and who asks.

    python bench/rpc/channel.py processor [fenced]
    python bench/rpc/channel.py gateway ADDRESS-OF-PROCESSOR
    python bench/rpc/channel.py ask [fenced] ADDRESS

Real nodes with the settings that they have by themselves; the gateway is the real role. What a
processor does not do is think: for the model `echo` it answers `Started` and a `Finished` with 200
bytes in the same call, with no task; for `ids` it says one token id after another, with its word,
to every request in turn, for as long as there is credit. `fenced` puts both behind a pre-shared
key, as in a private network.
"""

from __future__ import annotations

import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
from load import BODY, obey, rate, say

from aiplat.domain.answers import (
    AnswerEvent,
    Asking,
    Delta,
    Failed,
    Finished,
    Queued,
    Started,
    Submission,
)
from aiplat.domain.chat import Generate, Message
from aiplat.domain.ids import Role
from aiplat.domain.models import Manifest, ModelOffer
from aiplat.domain.usage import Usage
from aiplat.node.channel import Channel
from aiplat.node.identity import Identity
from aiplat.node.incoming import Incoming
from aiplat.node.membership.membership import Membership
from aiplat.node.node import Node
from aiplat.node.settings import NodeSettings
from aiplat.protocol.messages import Addresses, Announce, Call, Drain, Reply, Revocations
from aiplat.roles.dispatch import Dispatch
from aiplat.roles.gateway import Gateway
from aiplat.roles.requests import new_request_id
from aiplat.roles.settings import GatewaySettings
from aiplat.telemetry.metrics import Metrics

DIGEST = "0" * 64
BULK = "w" * 4096
BULK_CREDIT = 256 * 1024
IS_FENCED = "fenced" in sys.argv[1:]


def manifest(name: str) -> Manifest:
    return Manifest(
        name=name, weights=DIGEST, tokenizer=DIGEST, template=DIGEST, recipe=1, dtype="none",
        context=1_000_000, vocabulary=50_000, backend="bench",
    )  # fmt: skip


MODELS = {name: Started(manifest(name), prompt_tokens=50) for name in ("echo", "ids", "bulk")}
DONE = Finished("stop", Usage(50, 0), receipt=BODY)


class Speech(Asking):
    """Deltas without an end, within the asker's credit."""

    def __init__(
        self,
        incoming: Incoming,
        delta: Delta,
        granted: Callable[[], None],
        ended: Callable[[Speech], None],
    ) -> None:
        self.incoming = incoming
        self._granted = granted
        self.delta = delta
        self.cost = delta.cost
        self.budget = incoming.submission.credit
        self.said = 0
        self._ended = ended

    def accept(self, tokens: int, credit: int) -> None:
        self.budget += credit
        self._granted()

    def cancel(self) -> None:
        self._ended(self)
        self.incoming.deliver(Finished("cancelled", Usage(50, self.said)))


class Processor:
    """What a channel of the bench's processor tells (`ChannelHandler`)."""

    def __init__(self) -> None:
        self.speeches: list[Speech] = []
        self.wake = trio.Event()

    async def speak(self) -> None:
        """One word of every answer after the other, as the steps of an engine come."""
        while True:
            spoke = False
            for speech in list(self.speeches):
                if speech.budget >= speech.cost:
                    speech.budget -= speech.cost
                    speech.said += len(speech.delta.ids)
                    speech.incoming.deliver(speech.delta)
                    spoke = True
            if spoke:
                await trio.lowlevel.checkpoint()
            else:
                self.wake = trio.Event()
                await self.wake.wait()

    def on_channel(self, channel: Channel) -> Processor:
        offers = tuple(
            ModelOffer(name=name, state="ready", manifest=started.manifest, slots=1000)
            for name, started in MODELS.items()
        )
        channel.say(Announce(revision=1, models=offers))
        return self

    def submitted(self, incoming: Incoming) -> None:
        model = incoming.submission.model
        incoming.deliver(MODELS[model])
        if model == "echo":
            incoming.deliver(DONE)
            return
        delta = Delta((7,), " one") if model == "ids" else Delta((7,), BULK)
        speech = Speech(incoming, delta, lambda: self.wake.set(), self.speeches.remove)
        self.speeches.append(speech)
        incoming.attach(speech)
        self.wake.set()

    def announced(self, announce: Announce) -> None: ...

    def drained(self, drain: Drain) -> None: ...

    def told(self, news: Revocations | Addresses) -> None: ...

    async def called(self, call: Call) -> Reply:
        return Reply()

    def ended(self, reason: str) -> None: ...


class Sink:
    """Hears one answer: takes what comes, and says when it is over."""

    __slots__ = ("asking", "credit", "done", "ids")

    def __init__(self, done: Callable[[], None]) -> None:
        self.done = done
        self.asking: Asking | None = None
        self.ids = 0
        self.credit = 0

    def deliver(self, event: AnswerEvent) -> None:
        kind = type(event)
        if kind is Delta:
            assert isinstance(event, Delta)
            self.ids += len(event.ids)
            assert self.asking is not None
            self.asking.accept(self.ids, event.cost)
        elif kind is Finished:
            self.done()
        elif isinstance(event, Failed):
            raise SystemExit(f"a request failed: {event.message}")
        else:
            assert isinstance(event, Started | Queued)


class Asker:
    """Requests over one channel."""

    def __init__(self, channel: Channel, to: Role) -> None:
        self.channel = channel
        self._to = to

    def begin(self, done: Callable[[], None], model: str = "echo", credit: int = 16384) -> Sink:
        sink = Sink(done)
        work = Generate((Message("user", BODY.decode()),))
        asked = Submission(id=new_request_id(), to=self._to, model=model, work=work, credit=credit)
        sink.asking = self.channel.submit(asked, sink)
        return sink

    async def rate(self, at_once: int, seconds: float) -> dict[str, Any]:
        return await rate(lambda done: void(self.begin(done)), at_once, seconds)

    async def ids(self, at_once: int, seconds: float) -> dict[str, Any]:
        async with self.streams("ids", at_once, 16384) as sinks:
            await trio.sleep(0.2)
            before, began = sum(sink.ids for sink in sinks), time.perf_counter()
            await trio.sleep(seconds)
            took = time.perf_counter() - began
            return {"ids": sum(sink.ids for sink in sinks) - before, "seconds": took}

    async def beside(self, seconds: float) -> dict[str, Any]:
        """Small requests one at a time, beside two answers that are as quick as they can."""
        async with self.streams("bulk", 2, BULK_CREDIT) as sinks:
            await trio.sleep(0.2)
            before = sum(sink.ids for sink in sinks)
            found = await self.rate(1, seconds)
            words = sum(sink.ids for sink in sinks) - before
            return found | {"bulk_mb_s": words * len(BULK) / found["seconds"] / 1e6}

    @asynccontextmanager
    async def streams(self, model: str, count: int, credit: int) -> AsyncIterator[list[Sink]]:
        left, over = count, trio.Event()

        def done() -> None:
            nonlocal left
            left -= 1
            if not left:
                over.set()

        sinks = [self.begin(done, model, credit) for _ in range(count)]
        yield sinks
        for sink in sinks:
            assert sink.asking is not None
            sink.asking.cancel()
        with trio.fail_after(30):
            await over.wait()


def void(_: object) -> None: ...


@asynccontextmanager
async def running(node: Node, on_channel: Any) -> AsyncIterator[None]:
    async with trio.open_nursery() as nursery:
        await nursery.start(node.run, on_channel, lambda peer, hello: None)
        yield
        nursery.cancel_scope.cancel()


class Fence(Membership):
    """In no network, and behind a pre-shared key all the same."""

    psk = "ab" * 32


def make(role: Role) -> Node:
    settings = NodeSettings(listen=("/ip4/127.0.0.1/tcp/0",), max_requests_per_channel=1000)
    membership = Fence() if IS_FENCED else None
    return Node(settings, Identity.generate(), (role,), "bench", Metrics(), membership=membership)


async def processor() -> None:
    node, talk = make("processor"), Processor()
    async with running(node, talk.on_channel), trio.open_nursery() as nursery:
        nursery.start_soon(talk.speak)
        say({"ready": True, "address": node.addresses[0]})
        await trio.sleep_forever()


async def gateway(address: str) -> None:
    node = make("gateway")
    role = Gateway(node.peer_id, GatewaySettings(), Metrics())
    dispatch = Dispatch({"gateway": role})

    def on_channel(channel: Channel) -> Any:
        handler: Any = dispatch.on_channel(channel)
        handler.told = void
        return handler

    async with running(node, on_channel), trio.open_nursery() as nursery:
        await nursery.start(role.run)
        node.keep(address)
        with trio.fail_after(30):
            while not role.processors.names():  # the role has no event for it
                await trio.sleep(0.01)
        say({"ready": True, "address": node.addresses[0]})
        await trio.sleep_forever()


async def ask(address: str) -> None:
    node = make("client")

    async with running(node, lambda channel: Processor()):
        channel = await node.reach(address)
        to: Role = "gateway" if "gateway" in channel.roles else "processor"
        asker = Asker(channel, to)

        async def connect(times: int) -> dict[str, Any]:
            taken = []
            for _ in range(times):
                other = make("client")
                async with running(other, lambda channel: Processor()):
                    began = time.perf_counter()
                    done = trio.Event()
                    Asker(await other.reach(address), to).begin(done.set)
                    await done.wait()
                    taken.append((time.perf_counter() - began) * 1000)
            return {"ms": taken}

        await obey({
            "rate": asker.rate, "ids": asker.ids, "beside": asker.beside, "connect": connect,
        })  # fmt: skip


if __name__ == "__main__":
    what, *arguments = [word for word in sys.argv[1:] if word != "fenced"]
    programs: dict[str, Any] = {"processor": processor, "gateway": gateway, "ask": ask}
    trio.run(programs[what], *arguments)
