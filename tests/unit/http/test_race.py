"""An answer that is cut while a send holds it: hypercorn shields its sends from cancellation."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aiplat.control.history import HistoryCall
from aiplat.control.messages import Ask, Done, Keep
from aiplat.domain.answers import Delta, Submission
from aiplat.domain.chat import Message
from aiplat.domain.conversations import Conversation
from aiplat.http.app import make_control_app
from aiplat.http.asgi import Message as Asgi
from aiplat.http.settings import HttpSettings
from aiplat.roles.kept import Following
from tests.support.fake_node import HOLD, FakeNode, started
from tests.unit.http.asgi_client import scope

ASK = msgspec.json.encode(Ask(messages=(Message("user", "x"),), deadline_ms=1000))


@pytest.mark.parametrize("fate", ["late", "left"])
async def test_a_send_that_hangs_when_it_is_cut(
    fate: Literal["late", "left"], autojump_clock: trio.testing.MockClock
) -> None:
    node = FakeNode(lambda submission: [started(), Delta((1,), "a"), HOLD])
    app = make_control_app(node, HttpSettings())
    sent: list[bytes] = []
    hangs, goes_on, gone = trio.Event(), trio.Event(), trio.Event()
    bodies = [{"type": "http.request", "body": ASK, "more_body": False}]

    async def receive() -> Asgi:
        if bodies:
            return bodies.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Asgi) -> None:
        await trio.lowlevel.checkpoint()  # hypercorn takes a lock here
        sent.append(message.get("body", b""))
        if b"event: delta" in sent[-1]:
            hangs.set()
            with trio.CancelScope(shield=True):
                await goes_on.wait()

    headers = {"content-type": "application/json", "content-length": str(len(ASK))}
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app, scope("POST", "/control/ask", headers), receive, send)
            await hangs.wait()
            (asking,) = node.answers.asked
            if fate == "left":
                gone.set()
            with trio.move_on_after(50):
                await asking.cancelled.wait()
            at_once = asking.cancelled.is_set()  # though the send still hangs
            await wait_all_tasks_blocked()
            before = len(sent)
            goes_on.set()
    assert at_once
    if fate == "left":
        assert len(sent) == before
    else:
        assert b'"code":"deadline_exceeded"' in sent[-1]
        assert not any(b"event: finished" in body for body in sent)


@pytest.mark.parametrize("left", ["while it is put down", "before its name was told", "after"])
async def test_a_face_that_leaves_before_it_heard_of_a_kept_answer_stops_it(
    left: str, autojump_clock: trio.testing.MockClock
) -> None:
    node = KeepingNode()
    app = make_control_app(node, HttpSettings())
    conversation = Conversation(id=f"cnv-{1:024x}")
    keep = Keep(conversation=conversation, parent="", answer=f"trn-{1:024x}")
    body = msgspec.json.encode(Ask(messages=(Message("user", "x"),), keep=keep))
    bodies = [{"type": "http.request", "body": body, "more_body": False}]
    gone, told = trio.Event(), trio.Event()

    async def receive() -> Asgi:
        if bodies:
            return bodies.pop()
        await gone.wait()
        return {"type": "http.disconnect"}

    async def send(message: Asgi) -> None:
        await trio.lowlevel.checkpoint()
        if b"event: accepted" in message.get("body", b""):
            with trio.CancelScope(shield=True):
                if left == "before its name was told":
                    gone.set()
                    await trio.sleep(1)
            told.set()

    headers = {"content-type": "application/json", "content-length": str(len(body))}
    with trio.fail_after(100):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app, scope("POST", "/control/ask", headers), receive, send)
            await node.asked.wait()
            if left == "while it is put down":
                gone.set()
                await wait_all_tasks_blocked()
            node.is_put_down.set()
            if left == "after":
                await told.wait()
                await wait_all_tasks_blocked()
                gone.set()
    stopped = [request for request in node.orders if isinstance(request, str)]
    assert stopped == ([] if left == "after" else list(node.kept))
    assert len(node.kept) == 1


class KeepingNode(FakeNode):
    """Puts an answer down when the test says; like the node's own, whatever is cancelled."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.is_put_down = trio.Event(), trio.Event()

    async def keep(self, submission: Submission, keep: Keep, peer: str = "") -> Following | str:
        self.asked.set()
        with trio.CancelScope(shield=True):
            await self.is_put_down.wait()
        return await super().keep(submission, keep, peer)


@pytest.mark.parametrize(("method", "ends"), [("list", True), ("save", False)])
async def test_a_face_that_leaves_ends_what_only_reads(method: str, *, ends: bool) -> None:
    node = SlowNode()
    app = make_control_app(node, HttpSettings())
    body = msgspec.json.encode(HistoryCall(method=method))
    bodies = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> Asgi:
        if bodies:
            return bodies.pop()
        await node.asked.wait()
        return {"type": "http.disconnect"}

    async def send(message: Asgi) -> None:
        await trio.lowlevel.checkpoint()

    headers = {"content-type": "application/json", "content-length": str(len(body))}
    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(app, scope("POST", "/control/history", headers), receive, send)
            await node.asked.wait()
            await wait_all_tasks_blocked()
            assert node.is_cancelled is ends
            node.goes_on.set()
    assert node.is_cancelled is ends


class SlowNode(FakeNode):
    """Takes until the test says for what is asked of the conversations."""

    def __init__(self) -> None:
        super().__init__()
        self.asked, self.goes_on = trio.Event(), trio.Event()
        self.is_cancelled = False

    async def history(self, call: HistoryCall) -> msgspec.Struct:
        self.asked.set()
        try:
            await self.goes_on.wait()
        except trio.Cancelled:
            self.is_cancelled = True
            raise
        return Done(message="Done.")
