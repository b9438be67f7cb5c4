"""A node without a network: `NodeOperations` whose inference says what a test wrote down."""

from __future__ import annotations

import math
import struct
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TypeVar

import msgspec
import trio
from msgspec.structs import replace

from aiplat.control.accounts import AccountsCall, KeyringState, UserStatus, WhoAmI
from aiplat.control.history import HistoryCall
from aiplat.control.machine import (
    DoctorReply,
    DoctorStep,
    LogAsk,
    LogReply,
    PullWish,
    ServeWish,
    Shelf,
)
from aiplat.control.messages import (
    Access,
    Done,
    DrainWish,
    Explanation,
    Invitation,
    InviteRequest,
    JoinRequest,
    Keep,
    MemberList,
    MemberStatus,
    ModelList,
    ModelName,
    ModelStatus,
    NetworkCreate,
    PeerList,
    PeerName,
    PeerStatus,
    ShareStatus,
    ShareTerms,
    ShareWish,
    Status,
    Stop,
    Stopping,
)
from aiplat.control.series import SeriesAsk, SeriesReply, SeriesRow
from aiplat.domain.accounts import RateState, Scope
from aiplat.domain.answers import (
    AnswerEvent,
    AnswerSink,
    Asking,
    CallPiece,
    Delta,
    Failed,
    Finished,
    Inference,
    Queued,
    Started,
    Submission,
)
from aiplat.domain.chat import Embed
from aiplat.domain.errors import AiplatError, InvalidApiKey, InvalidRequest, PermissionDenied
from aiplat.domain.models import Manifest
from aiplat.domain.usage import Timings, Usage
from aiplat.history.history import read_call
from aiplat.http.app import make_control_app, make_public_app
from aiplat.http.certificate import Certificate
from aiplat.http.reached import Reached
from aiplat.http.serving import serve_public
from aiplat.http.settings import HttpSettings
from aiplat.roles.kept import Following, KeptAnswer
from aiplat.telemetry.metrics import Metrics
from tests.support.fake_stored import FakeStored

Reply = TypeVar("Reply", bound=msgspec.Struct)

TOKEN = "sk-aip-local-0123456789abcdef"
PEER = "12D3KooWFakeFakeFakeFakeFakeFakeFakeFakeFakeFakeFake"
MANIFEST = Manifest(
    name="echo", weights="00", tokenizer="11", template="22", recipe=1, dtype="float32",
    context=4096, vocabulary=1000, backend="echo",
)  # fmt: skip


class Hold:
    """In a script: nothing more is said until the test calls `FakeAsking.release`."""


HOLD = Hold()
Step = AnswerEvent | Hold
Script = Callable[[Submission], Iterable[Step]]


def started(prompt_tokens: int = 5) -> Started:
    """A processor begins."""
    return Started(MANIFEST, prompt_tokens, processor=PEER, gateway=PEER)


def finished(tokens: int, *, exact: bool = True) -> Finished:
    """A good end after `tokens`."""
    timings = Timings(queue_ms=1.5, first_token_ms=2.0, total_ms=3.0)
    return Finished("stop", Usage(5, tokens, exact=exact), timings)


def words(*texts: str) -> list[Step]:
    """A whole answer that says `texts`, a token each."""
    deltas = [Delta((place,), text) for place, text in enumerate(texts)]
    return [Queued(), started(), *deltas, finished(len(texts))]


@dataclass
class FakeAsking:
    """One request at the fake, which a test can look at and drive.

    Says the next step of its script when the credit allows, each in a turn of the loop of its
    own; so what is joined on the way depends on the reader, as it does in a real node.
    """

    submission: Submission
    sink: AnswerSink
    script: Iterator[Step]
    credit: int
    batched: bool = True
    accepted: int = 0
    cancelled: trio.Event = field(default_factory=trio.Event)
    ended: bool = False
    said: int = 0
    _ahead: deque[Step] = field(default_factory=deque)
    _released: int = 0

    def accept(self, tokens: int, credit: int) -> None:
        """Hear what was taken."""
        self.accepted = tokens
        self.credit += credit
        self.go_on()

    def cancel(self) -> None:
        """Hear that nobody wants it any more."""
        if not self.cancelled.is_set():
            self.cancelled.set()
            self._say(Finished("cancelled", Usage(5, self.said)))

    def release(self) -> None:
        """Go on after a `HOLD`, also one that is still to come."""
        self._released += 1
        self.go_on()

    def go_on(self) -> None:
        """Say more soon: never from inside a call of the reader's."""
        trio.lowlevel.current_trio_token().run_sync_soon(self._turn)

    def _turn(self) -> None:
        while not self.ended and self._one():
            if not self.batched:
                self.go_on()
                return

    def _one(self) -> bool:
        if not self._ahead:
            step = next(self.script, None)
            if step is None:
                return False
            self._ahead.append(step)
        step = self._ahead[0]
        if isinstance(step, Hold):
            if not self._released:
                return False
            self._released -= 1
        elif isinstance(step, Delta) and step.cost > self.credit:
            return False
        else:
            self._say(step)
        self._ahead.popleft()
        return True

    def _say(self, event: AnswerEvent) -> None:
        if self.ended:
            return
        if isinstance(event, Delta):
            self.credit -= event.cost
            self.said += len(event.ids)
        self.ended = isinstance(event, Finished | Failed)
        self.sink.deliver(event)


class FakeInference:
    """An `Inference` that follows a script, and remembers what it was asked."""

    def __init__(self, script: Script, *, batched: bool = True) -> None:
        self.script = script
        self.batched = batched
        self.refuse: AiplatError | None = None
        self.asked: list[FakeAsking] = []
        self._send, self._receive = trio.open_memory_channel[FakeAsking](math.inf)

    def submit(self, submission: Submission, sink: AnswerSink) -> Asking:
        """Begin (`Inference.submit`)."""
        if self.refuse is not None:
            raise self.refuse
        asking = FakeAsking(
            submission, sink, iter(self.script(submission)), submission.credit, self.batched
        )
        self.asked.append(asking)
        self._send.send_nowait(asking)
        asking.go_on()
        return asking

    async def next_asking(self) -> FakeAsking:
        """Wait for the next request that arrives."""
        with trio.fail_after(60):
            return await self._receive.receive()


def say_prompt(submission: Submission) -> list[Step]:
    """The script that says the words of the last message, or of the prompt, again.

    Texts become vectors of two numbers: how long they are, and 1.
    """
    work = submission.work
    if isinstance(work, Embed):
        vectors = [struct.pack("<2f", len(text), 1.0) for text in work.inputs]
        return [started(), *[Delta(vectors=(vector,)) for vector in vectors], finished(0)]
    text = work.messages[-1].content if work.prompt is None else work.prompt
    return words(*[word + " " for word in text.split(" ")])


def calling(*calls: tuple[str, str], text: str = "") -> list[Step]:
    """A whole answer that calls tools, each with its arguments, a token for each few characters."""
    deltas = [Delta((0,), text)] if text else []
    for index, (name, arguments) in enumerate(calls):
        cut = [arguments[at : at + 4] for at in range(0, len(arguments), 4)]
        pieces = [CallPiece(index, name), *[CallPiece(index, "", part) for part in cut]]
        deltas += [Delta((1,), calls=(piece,)) for piece in pieces]
    end = finished(len(deltas))
    return [Queued(), started(), *deltas, replace(end, reason="tool_calls")]


class FakeNode:
    """`NodeOperations`, all of it in plain fields."""

    def __init__(self, script: Script = say_prompt, *, batched: bool = True) -> None:
        self.answers = FakeInference(script, batched=batched)
        self.http = "http://127.0.0.1:0"
        self.peers_asked: list[str] = []
        self.not_there: AiplatError | None = None
        self.lacking: tuple[str, ...] = ()
        self.keys: dict[str, tuple[Scope, ...]] = {}
        self.key_models: dict[str, tuple[str, ...]] = {}
        self.rates: dict[str, RateState] = {}
        self.stops: list[Stop] = []
        self.orders: list[object] = []
        self.here: dict[str, msgspec.Struct | AiplatError] = {}
        self.listed: tuple[PeerStatus, ...] = ()
        self.shared = ShareStatus(state="open", terms=ShareTerms())
        self.graphs = SeriesReply(since=0, until=60, step=60, rows=(), total=SeriesRow(at=0))
        self.membership: tuple[MemberStatus, ...] = ()
        self.logged = LogReply(lines=())
        self.looked = DoctorReply(ok=True, steps=(DoctorStep(name="node", ok=True, text="runs"),))
        self.shelved = Shelf(models=())
        self.kept: dict[str, KeptAnswer] = {}
        self.stored = FakeStored()
        self.not_kept = ""
        self.on_stop: Callable[[], None] = lambda: None
        self.offered: tuple[ModelStatus, ...] = (
            ModelStatus(name="echo", state="ready", processors=1, slots=4, context=4096),
            ModelStatus(name="org/large", state="loading", processors=1),
            ModelStatus(name="broken", state="failed", note="its file is cut off"),
        )

    def status(self) -> Status:
        """The node, now."""
        return Status(
            peer_id=PEER, addresses=(f"/ip4/127.0.0.1/tcp/4001/p2p/{PEER}",), http=self.http,
            control="/run/fake.sock", roles=("client", "gateway"), models=self.offered, peers=(),
            version="0", pid=1,
        )  # fmt: skip

    async def models(self) -> tuple[ModelStatus, ...]:
        """What may be asked for."""
        if self.not_there is not None:
            raise self.not_there
        return self.offered

    async def inference(self, peer: str = "") -> Inference:
        """Who answers."""
        self.peers_asked.append(peer)
        if self.not_there is not None:
            raise self.not_there
        return self.answers

    async def accounts(self, call: AccountsCall, credential: str) -> msgspec.Struct:
        """Remember what was asked, and say who asks."""
        self.orders.append((call, credential))
        if self.not_there is not None:
            raise self.not_there
        return WhoAmI(gateway=PEER, user=UserStatus(id="u1", name="ann"), by="session")

    async def accounts_here(
        self, method: str, wish: msgspec.Struct, reply: type[Reply], session: str, source: str
    ) -> Reply:
        """Say what a test put down in `here` for that method, after remembering the question."""
        self.orders.append((method, wish, session, source))
        answer = self.here[method]
        if isinstance(answer, AiplatError):
            raise answer
        assert isinstance(answer, reply)
        return answer

    async def keyring(self) -> KeyringState:
        return KeyringState(backend="fake", usable=True)

    def check_key(self, credential: str, scope: Scope) -> tuple[str, ...]:
        """Keys that a test wrote down hold."""
        if credential not in self.keys:
            raise InvalidApiKey("This gateway knows no such API key.")
        if scope not in self.keys[credential]:
            raise PermissionDenied(f"The key has not the scope {scope}.")
        return self.key_models.get(credential, ())

    def rate(self, credential: str) -> RateState | None:
        return self.rates.get(credential)

    def owner_of(self, credential: str) -> str:
        """Two keys are of one user when they begin alike up to the last dash."""
        return credential.rpartition("-")[0] or "owner"

    async def shown(self, known: tuple[ModelStatus, ...]) -> ModelList:
        """The same."""
        return ModelList(models=known)

    async def remove_model(self, model: ModelName) -> Done:
        return self._told(model)

    def log(self, ask: LogAsk) -> LogReply:
        self._told(ask)
        return self.logged

    async def doctor(self) -> DoctorReply:
        self._told("doctor")
        return self.looked

    async def shelf(self) -> Shelf:
        self._told("shelf")
        return self.shelved

    async def pull_model(self, wish: PullWish) -> Done:
        return self._told(wish)

    async def serve_model(self, wish: ServeWish) -> Done:
        return self._told(wish)

    def access(self) -> Access:
        """How to come in."""
        return Access(base_url=self.http, api_key=TOKEN)

    def missing(self) -> tuple[str, ...]:
        """What it lacks."""
        return self.lacking

    def stop(self, stop: Stop) -> Stopping:
        """Remember that it was asked to end."""
        self.on_stop()
        self.stops.append(stop)
        return Stopping(stopping=True, pid=1)

    # -- conversations: answers whose events a test says itself -------------------------------

    async def history(self, call: HistoryCall) -> msgspec.Struct:
        return self._told(read_call(call))

    async def keep(self, submission: Submission, keep: Keep, peer: str = "") -> Following | str:
        self._told((keep, peer))
        if self.not_kept:
            return self.not_kept
        answer = KeptAnswer(submission, keep.conversation.id, keep.answer, trio.current_time, 1000)
        self.kept[submission.id] = answer
        return Following(answer, late=False)

    def follow(self, request: str) -> Following:
        if request not in self.kept:
            raise InvalidRequest(f"No answer {request!r} is under way here.", param="request")
        return Following(self.kept[request], late=True)

    def stop_answer(self, request: str) -> Done:
        return self._told(request)

    # -- the network: what it was told, and an answer that says so ---------------------------

    async def create_network(self, wish: NetworkCreate) -> Done:
        return self._told(wish)

    async def join_network(self, wish: JoinRequest) -> Done:
        return self._told(wish)

    async def leave_network(self) -> Done:
        return self._told("leave")

    def invite(self, wish: InviteRequest) -> Invitation:
        self._told(wish)
        return Invitation(
            token="aiplat1-abc", network="lab", roles=wish.roles, expires=2_000_000_000,
            uses=wish.uses,
        )  # fmt: skip

    def members(self) -> MemberList:
        self._told("members")
        return MemberList(network="lab", members=self.membership)

    def revoke(self, peer: PeerName) -> Done:
        return self._told(peer)

    async def peers(self) -> PeerList:
        return PeerList(peers=self.listed)

    def drain(self, wish: DrainWish) -> Done:
        return self._told(wish)

    async def series(self, ask: SeriesAsk) -> SeriesReply:
        self._told(ask)
        return self.graphs

    async def share(self) -> ShareStatus:
        if self.not_there is not None:
            raise self.not_there
        return self.shared

    def set_share(self, wish: ShareWish) -> Done:
        return self._told(wish)

    def block(self, peer: PeerName) -> Done:
        return self._told(peer)

    def unblock(self, peer: PeerName) -> Done:
        return self._told(peer)

    async def explain(self, request: str) -> Explanation:
        self._told(request)
        return Explanation(request=request, model="echo", gateway=PEER, state="finished")

    def _told(self, what: object) -> Done:
        if self.not_there is not None:
            raise self.not_there
        self.orders.append(what)
        return Done(message=f"Done: {type(what).__name__}.", peer_id=PEER)


@dataclass
class Door:
    """A front door that is open, and what a test needs of it."""

    url: str
    node: FakeNode
    metrics: Metrics
    closing: trio.Event

    @property
    def port(self) -> int:
        """Its port."""
        return int(self.url.rpartition(":")[2])

    @property
    def headers(self) -> dict[str, str]:
        """The headers that let a request in."""
        return {"authorization": f"Bearer {TOKEN}"}


@asynccontextmanager
async def open_door(
    node: FakeNode | None = None,
    settings: HttpSettings | None = None,
    certificate: Certificate | None = None,
    host: str = "127.0.0.1",
) -> AsyncIterator[Door]:
    """Open the real front door before a fake node, on a free port; cut it at the end."""
    node = node or FakeNode()
    settings = (settings or HttpSettings()).__replace__(bind=f"{host}:0")
    metrics = Metrics()
    closing = trio.Event()
    app = make_public_app(node, settings, TOKEN, metrics, certificate)

    async def serve(task_status: trio.TaskStatus[Reached]) -> None:
        await serve_public(
            app, settings, certificate=certificate, shutdown_trigger=closing.wait,
            metrics=metrics, task_status=task_status,
        )  # fmt: skip

    async with trio.open_nursery() as nursery:
        node.http = (await nursery.start(serve)).here
        yield Door(node.http, node, metrics, closing)
        nursery.cancel_scope.cancel()


__all__ = [
    "HOLD", "MANIFEST", "PEER", "TOKEN", "Door", "FakeAsking", "FakeInference", "FakeNode",
    "calling", "finished", "make_control_app", "open_door", "say_prompt", "started", "words",
]  # fmt: skip
