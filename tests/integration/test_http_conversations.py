"""Kept answers and conversations over the control API's real socket, before a fake node."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import msgspec
import pytest
import trio
import trio.lowlevel

from aiplat.control.client import ControlClient, Event
from aiplat.control.history import ConversationName, Retention
from aiplat.control.messages import Accepted, Ask, Done, ErrorReply, Keep
from aiplat.domain.answers import Delta, Failed, Finished, Queued
from aiplat.domain.chat import Message
from aiplat.domain.conversations import Conversation, Turn
from aiplat.domain.errors import InvalidRequest, Overloaded, ProcessorLost
from aiplat.http.settings import HttpSettings
from aiplat.roles.kept import KeptAnswer
from tests.integration.test_http_control import Desk, open_desk
from tests.support.fake_node import finished, started

TALK = Conversation(id="cnv-" + "a" * 24, turns=(Turn(id="trn-" + "b" * 24, text="hi"),))
KEEP = Keep(conversation=TALK, parent=TALK.turns[0].id, answer="trn-" + "c" * 24)
ASK = Ask(messages=(Message("user", "one two"),), peer="/ip4/x", keep=KEEP)


async def until(condition: Callable[[], object]) -> None:
    with trio.fail_after(60):
        while not condition():
            await trio.sleep(0.005)


async def asked(desk: Desk) -> KeptAnswer:
    """The answer that the node was asked to keep."""
    await until(lambda: desk.node.kept)
    return next(iter(desk.node.kept.values()))


async def test_a_kept_answer_is_followed_from_the_start(tmp_path: Path) -> None:
    events: list[Event] = []
    async with open_desk(tmp_path) as desk, trio.open_nursery() as nursery:
        nursery.start_soon(desk.use, lambda client: events.extend(client.ask(ASK)))
        answer = await asked(desk)
        assert answer.submission.model == "" and answer.submission.to == "gateway"
        assert desk.node.orders == [(KEEP, "/ip4/x")]
        answer.take([Queued(place=1), started(), Delta((1,), "a")])
        answer.take([Delta((2,), "b")])
        answer.finish(finished(2))
        answer.publish()
    assert events[0] == Accepted(request=answer.submission.id, kept=True)
    assert "".join(event.text for event in events if isinstance(event, Delta)) == "ab"
    assert events[-1] == finished(2)
    assert answer.followers == 0
    assert desk.node.answers.asked == [], "it is not asked twice"


async def test_a_face_that_leaves_ends_nothing_and_may_come_again(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:

        def leave(client: ControlClient) -> None:
            events = client.ask(ASK)
            assert next(events) == Accepted(request=next(iter(desk.node.kept)), kept=True)
            events.close()  # type: ignore[attr-defined]  # it is a generator

        await desk.use(leave)
        answer = await asked(desk)
        await until(lambda: answer.followers == 0)
        assert not answer.stopped and answer.end is None
        answer.take([started(), Delta((1,), "a"), Delta((2,), "b")])
        body = msgspec.json.encode({"request": answer.submission.id})
        transport = httpx.AsyncHTTPTransport(uds=str(desk.path))
        async with (
            httpx.AsyncClient(transport=transport, base_url="http://localhost") as client,
            client.stream(
                "POST", "/control/answers/follow", content=body,
                headers={"content-type": "application/json"},
            ) as response,
        ):  # fmt: skip
            lines = response.aiter_lines()
            seen = [await anext(lines) for _ in range(9)]
            assert [line for line in seen if line.startswith("event")] == [
                "event: accepted", "event: started", "event: delta",
            ]  # fmt: skip
            assert '"text":"ab"' in seen[7] and "ids" not in seen[7]
            answer.finish(Failed.of(ProcessorLost("It fell silent.")))
            answer.publish()
            assert "event: failed" in [line async for line in lines]


async def test_one_that_cannot_be_kept_is_given_all_the_same_with_a_note(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        desk.node.not_kept = "The disk is full."
        events = await desk.use(lambda client: list(client.ask(ASK)))
        [asking] = desk.node.answers.asked
        assert events[0] == Accepted(request=asking.submission.id, note="The disk is full.")
        assert isinstance(events[-1], Finished)


async def test_refusals_come_before_the_stream(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        desk.node.not_there = Overloaded("Full.", retry_after=1)
        with pytest.raises(Overloaded, match="Full"):
            await desk.use(lambda client: list(client.ask(ASK)))
        assert desk.node.answers.asked == []


async def test_a_slow_follower_is_given_what_it_lacks_and_holds_back_nobody(tmp_path: Path) -> None:
    """It reads nothing while more comes than its socket holds; all of it is there afterwards."""
    async with open_desk(tmp_path, settings=HttpSettings(comment_seconds=0.05)) as desk:
        with socket.socket(socket.AF_UNIX) as slow:
            slow.connect(str(desk.path))
            body = msgspec.json.encode(ASK)
            head = "POST /control/ask HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n"
            head += f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
            slow.sendall(head.encode() + body)
            answer = await asked(desk)
            answer._most = 10**9
            answer.take([started()])
            for number in range(200):  # 4 MB: more than any socket's buffer
                answer.take([Delta((number,), "x" * 20_000)])
                await trio.lowlevel.checkpoint()
            answer.finish(finished(200))
            answer.publish()

            def read() -> bytes:
                parts = []
                while part := slow.recv(65536):
                    parts.append(part)
                return b"".join(parts)

            with trio.fail_after(60):
                data = await trio.to_thread.run_sync(read)
        assert data.count(b"x") >= 200 * 20_000
        assert data.count(b"event: delta") < 200, "joined"
        assert b"event: finished" in data


async def test_stop_and_history_are_passed_on(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        done = await desk.use(lambda client: client.stop_answer("req-1"))
        assert (done.message, desk.node.orders) == ("Done: str.", ["req-1"])
        await desk.use(lambda client: client.history("retain", Retention(days=3), Done))
        await desk.use(lambda client: client.history("delete", ConversationName(id="abcd"), Done))
        assert desk.node.orders[1:] == [
            ("retain", Retention(days=3)), ("delete", ConversationName(id="abcd")),
        ]  # fmt: skip
        desk.node.not_there = InvalidRequest("No conversation.")
        with pytest.raises(InvalidRequest, match="No conversation"):
            await desk.use(
                lambda client: client.history("delete", ConversationName(id="abcd"), Done)
            )


async def test_what_does_not_fit_is_refused_in_one_shape(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        transport = httpx.AsyncHTTPTransport(uds=str(desk.path))
        async with httpx.AsyncClient(transport=transport, base_url="http://localhost") as client:
            for path, body, status in [
                ("/control/history", b"{}", 400),
                ("/control/history", b'{"method": "drop"}', 400),
                ("/control/history", b'{"method": "show", "wish": {"id": 5}}', 400),
                ("/control/answers/follow", b'{"request": "req-none"}', 400),
                ("/control/answers/follow", b"{", 400),
                ("/control/answers/stop", b"{}", 400),
                ("/control/history", b" " * (16 * 1024 * 1024 + 1), 413),
            ]:
                answer = await client.post(
                    path, content=body, headers={"content-type": "application/json"}
                )
                assert answer.status_code == status, (path, body[:40])
                assert msgspec.json.decode(answer.content, type=ErrorReply).error.message
