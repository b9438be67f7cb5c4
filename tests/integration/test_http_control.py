"""The control API on its real socket, by the one client of the faces."""

from __future__ import annotations

import os
import stat
import threading
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec
import pytest
import trio

from aiplat.control.client import ControlClient, NoNode
from aiplat.control.messages import Accepted, Ask, ErrorReply, Stop
from aiplat.domain.answers import Delta, Failed, Finished, Queued, Started
from aiplat.domain.chat import Generate, Message, Sampling
from aiplat.domain.errors import (
    AiplatError,
    DeadlineExceeded,
    InvalidRequest,
    NoPeer,
    ProcessorLost,
    ShuttingDown,
)
from aiplat.http.app import make_control_app
from aiplat.http.serving import serve_control
from aiplat.http.settings import HttpSettings
from aiplat.http.sockets import NodeRuns
from tests.support.fake_node import HOLD, TOKEN, FakeNode, finished, started

Result = TypeVar("Result")
ASK = Ask(messages=(Message("user", "one two three"),))


@dataclass
class Desk:
    node: FakeNode
    path: Path
    client: ControlClient
    closing: trio.Event

    async def use(self, work: Callable[[ControlClient], Result]) -> Result:
        return await trio.to_thread.run_sync(work, self.client)


@asynccontextmanager
async def open_desk(
    folder: Path, node: FakeNode | None = None, settings: HttpSettings | None = None
) -> AsyncIterator[Desk]:
    settings = settings or HttpSettings()
    node = node or FakeNode()
    path = folder / "run" / "control.sock"
    closing = trio.Event()

    async def serve(task_status: trio.TaskStatus[str]) -> None:
        await serve_control(
            make_control_app(node, settings),
            path,
            settings,
            shutdown_trigger=closing.wait,
            task_status=task_status,
        )

    async with trio.open_nursery() as nursery:
        assert await nursery.start(serve) == str(path)
        yield Desk(node, path, ControlClient(path, timeout=30, silence=30), closing)
        nursery.cancel_scope.cancel()


async def test_small_questions(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        assert await desk.use(lambda client: client.status()) == desk.node.status()
        assert await desk.use(lambda client: client.models()) == desk.node.offered
        access = await desk.use(lambda client: client.access())
        assert (access.base_url, access.api_key) == (desk.node.http, TOKEN)


async def test_an_answer_comes_as_its_events(tmp_path: Path) -> None:
    ask = Ask(messages=ASK.messages, model="echo", sampling=Sampling(max_tokens=3), peer="/ip4/x")
    async with open_desk(tmp_path) as desk:
        events = await desk.use(lambda client: list(client.ask(ask)))
        (asking,) = desk.node.answers.asked
        assert events[0] == Accepted(request=asking.submission.id)
        assert [type(event) for event in events[1:3]] == [Queued, Started]
        text = "".join(event.text for event in events if isinstance(event, Delta))
        assert text == "one two three "
        assert isinstance(events[-1], Finished)
        assert desk.node.peers_asked == ["/ip4/x"]
        assert asking.submission.work.sampling.max_tokens == 3  # type: ignore[union-attr]  # it is there


async def test_a_large_ask_is_taken_up_to_a_bound_of_the_sockets_own(tmp_path: Path) -> None:
    large = Ask(messages=(Message("user", "word " * 500_000),), model="echo")
    async with open_desk(tmp_path) as desk:
        events = await desk.use(lambda client: list(client.ask(large)))
        assert isinstance(events[-1], Finished)
        (asking,) = desk.node.answers.asked
        assert asking.submission.work == Generate(large.messages, large.sampling)
    async with open_desk(tmp_path, settings=HttpSettings(max_control_bytes=1_000)) as desk:
        with pytest.raises(AiplatError, match=r"at most 1000 are taken.*http\.max_control_bytes"):
            await desk.use(lambda client: list(client.ask(large)))


async def test_what_is_refused_before_it_began(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        desk.node.not_there = NoPeer("No gateway answers at /ip4/x.")
        with pytest.raises(NoPeer, match="/ip4/x"):
            await desk.use(lambda client: list(client.ask(ASK)))
        desk.node.not_there = None
        desk.node.answers.refuse = ShuttingDown("It stops.", retry_after=2)
        with pytest.raises(ShuttingDown) as caught:
            await desk.use(lambda client: list(client.ask(ASK)))
        assert (caught.value.retry_after, caught.value.recoverable) == (2.0, True)
        hot = Ask(messages=ASK.messages, sampling=Sampling(temperature=9))
        with pytest.raises(InvalidRequest, match="temperature must be from 0 to 2, but is 9"):
            await desk.use(lambda client: list(client.ask(hot)))


async def test_a_failure_after_it_began(tmp_path: Path) -> None:
    lost = Failed.of(ProcessorLost("It fell silent."))
    async with open_desk(tmp_path) as desk:
        desk.node.answers.script = lambda submission: [started(), Delta((1,), "a"), lost]
        with pytest.raises(ProcessorLost, match="fell silent"):
            await desk.use(lambda client: list(client.ask(ASK)))


async def test_a_face_that_leaves_cancels(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        desk.node.answers.script = lambda submission: [started(), Delta((1,), "a"), HOLD]

        def leave(client: ControlClient) -> None:
            events = client.ask(ASK)
            while not isinstance(next(events), Delta):
                pass
            events.close()  # type: ignore[attr-defined]  # it is a generator

        await desk.use(leave)
        asking = await desk.node.answers.next_asking()
        with trio.fail_after(60):
            await asking.cancelled.wait()


async def test_a_deadline_in_mid_answer_is_its_last_event(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        desk.node.answers.script = lambda submission: [started(), Delta((1,), "a"), HOLD]
        ask = Ask(messages=ASK.messages, deadline_ms=20)
        with pytest.raises(DeadlineExceeded, match=r"0\.02 seconds"):
            await desk.use(lambda client: list(client.ask(ask)))


async def test_comments_keep_a_waiting_answer_alive(tmp_path: Path) -> None:
    settings = HttpSettings(comment_seconds=0.05)
    async with open_desk(tmp_path, settings=settings) as desk:
        desk.node.answers.script = lambda submission: [
            Queued(place=1),
            HOLD,
            started(),
            finished(0),
        ]
        desk.client = ControlClient(desk.path, silence=4.0)
        seen = threading.Event()

        def wait(client: ControlClient) -> int:
            count = 0
            for event in client.ask(ASK):
                count += 1
                if isinstance(event, Queued):
                    seen.set()
            return count

        async with trio.open_nursery() as nursery:
            nursery.start_soon(desk.use, wait)
            asking = await desk.node.answers.next_asking()
            assert await trio.to_thread.run_sync(seen.wait, 60)
            await trio.sleep(5.0)  # longer than the client bears silence
            asking.release()


async def test_stop_is_answered_before_the_end(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        desk.node.on_stop = desk.closing.set
        answer = await desk.use(lambda client: client.stop(Stop(if_idle=True)))
        assert answer.stopping
        assert desk.node.stops == [Stop(if_idle=True)]
        with trio.fail_after(60):
            while desk.path.exists():
                await trio.lowlevel.checkpoint()
        with pytest.raises(NoNode):
            await desk.use(lambda client: client.status())


async def test_refusals_have_one_shape(tmp_path: Path) -> None:
    async with open_desk(tmp_path, settings=HttpSettings(max_control_bytes=200_000)) as desk:
        transport = httpx.AsyncHTTPTransport(uds=str(desk.path))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for method, path, body, status in [
                ("GET", "/control/nothing", None, 404),
                ("DELETE", "/control/status", None, 405),
                ("GET", "/v1/models", None, 404),
                ("POST", "/control/ask", b"{", 400),
                ("POST", "/control/ask", b"\xff", 400),
                ("POST", "/control/ask", b'{"messages": 5}', 400),
                ("POST", "/control/ask", b"[" * 100_000, 400),
                ("POST", "/control/ask", b" " * 200_001, 413),
                ("POST", "/control/stop", b'{"now": "yes"}', 400),
            ]:
                answer = await client.request(
                    method, path, content=body, headers={"content-type": "application/json"}
                )
                assert answer.status_code == status
                error = msgspec.json.decode(answer.content, type=ErrorReply).error
                assert error.message
                assert error.code


async def test_the_socket_is_its_owners_alone_and_one_node_has_it(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        assert stat.S_IMODE(os.stat(desk.path).st_mode) == 0o600
        assert stat.S_IMODE(os.stat(desk.path.parent).st_mode) == 0o700
        app = make_control_app(desk.node, HttpSettings())
        with pytest.raises(NodeRuns, match="already runs"):
            await serve_control(app, desk.path, HttpSettings())
        assert (await desk.use(lambda client: client.status())).pid == 1
    assert not desk.path.exists()
