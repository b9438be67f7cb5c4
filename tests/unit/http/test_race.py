"""An answer that is cut while a send holds it: hypercorn shields its sends from cancellation."""

from __future__ import annotations

from typing import Literal

import msgspec
import pytest
import trio
from trio.testing import wait_all_tasks_blocked

from aiplat.control.messages import Ask
from aiplat.domain.answers import Delta
from aiplat.domain.chat import Message
from aiplat.http.app import make_control_app
from aiplat.http.asgi import Message as Asgi
from aiplat.http.settings import HttpSettings
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
