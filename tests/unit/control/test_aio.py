"""The faces' client for asyncio against real sockets that answer well, wrongly, late or not."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Sequence
from contextlib import aclosing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from aiplat.control import aio, calls
from aiplat.control.aio import AsyncControlClient
from aiplat.control.client import NodeLost, NodeSilent, NoNode
from aiplat.control.events import Event
from aiplat.control.history import ConversationName
from aiplat.control.messages import Accepted, Access, Ask, Done, Stop
from aiplat.domain.answers import Delta, Finished, Started
from aiplat.domain.chat import Message
from aiplat.domain.errors import AiplatError, DeadlineExceeded, InvalidRequest, Overloaded
from aiplat.domain.usage import Usage
from tests.support.fake_node import finished, started

ASK = Ask(messages=(Message("user", "hi"),))
EVENTS = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


def http(status: int, body: bytes) -> bytes:
    return b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(body), body)


def chunk(data: bytes) -> bytes:
    """A piece of a body whose length is not said before (RFC 9112, 7.1)."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(message: msgspec.Struct) -> bytes:
    name = str(message.__struct_config__.tag).encode()
    return b"event: " + name + b"\ndata: " + msgspec.json.encode(message) + b"\n\n"


ACCEPTED = event(Accepted(request="req-1"))
DELTA = event(Delta(text="a"))


class Served:
    """What a node got, and when its caller hung up."""

    def __init__(self) -> None:
        self.head = b""
        self.body = b""
        self.hung_up = threading.Event()


def read_request(sock: socket.socket, served: Served) -> None:
    with sock.makefile("rb") as file:
        size = 0
        while (line := file.readline()) not in (b"\r\n", b""):
            served.head += line
            name, _, value = line.lower().partition(b": ")
            size = int(value) if name == b"content-length" else size
        served.body = file.read(size)


@contextmanager
def node(path: Path, *pieces: bytes, hold: bool = False) -> Iterator[Served]:
    """A node that says `pieces` to one call, then hangs up, or waits for its caller to do so."""
    served = Served()
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(os.fspath(path))
        listener.listen()

        def serve() -> None:
            sock, _ = listener.accept()
            with sock:
                sock.settimeout(30)
                read_request(sock, served)
                try:
                    for piece in pieces:
                        sock.sendall(piece)
                    if hold and not sock.recv(1):
                        served.hung_up.set()
                except OSError:  # reset: hung up all the same
                    served.hung_up.set()

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            yield served
        finally:
            thread.join()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "c.sock"


def run(work: Coroutine[Any, Any, Any]) -> Any:
    return asyncio.run(work)


async def gather(events: AsyncGenerator[Event, None]) -> list[Event]:
    return [one async for one in events]


# -- one question ----------------------------------------------------------------------------------


def test_a_call_sends_what_is_asked_and_gives_the_reply(path: Path) -> None:
    reply = Access(base_url="http://x", api_key="k")
    with node(path, http(200, msgspec.json.encode(reply))) as served:
        assert run(AsyncControlClient(path, credential="sk-1").call(calls.access())) == reply
    assert served.head.startswith(b"GET /control/access HTTP/1.1\r\n")
    assert b"\r\nauthorization: Bearer sk-1\r\n" in served.head.lower().replace(
        b"bearer", b"Bearer"
    )
    assert served.body == b""


def test_a_wish_goes_as_json(path: Path) -> None:
    call = calls.history("delete", ConversationName(id="abcd"), Done)
    with node(path, http(200, b'{"message": "Gone."}')) as served:
        assert run(AsyncControlClient(path).call(call)) == Done(message="Gone.")
    assert served.head.startswith(b"POST /control/history HTTP/1.1\r\n")
    assert b"content-type: application/json" in served.head.lower()
    assert served.body == b'{"method":"delete","wish":{"id":"abcd"}}'


def test_a_reply_in_pieces_of_any_size_is_one(path: Path) -> None:
    body = msgspec.json.encode(Done(message="x" * 300_000))
    reply = http(200, body)
    pieces = [reply[at : at + 1] for at in range(60)] + [reply[60:]]
    with node(path, *pieces):
        done = run(AsyncControlClient(path).call(calls.stop_answer("req-1")))
    assert done == Done(message="x" * 300_000)


def test_a_refusal_is_the_leaf_that_it_tells_of(path: Path) -> None:
    body = (
        b'{"error":{"code":"overloaded","message":"Full.","param":"model","retry_after_ms":1500}}'
    )
    with node(path, http(503, body)), pytest.raises(Overloaded, match="Full") as caught:
        run(AsyncControlClient(path).call(calls.status()))
    assert (caught.value.param, caught.value.retry_after) == ("model", 1.5)


@pytest.mark.parametrize(
    "reply",
    [b"\x00garbage\r\n\r\n", b"", b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n{}",
     http(200, b"[]"), http(200, b"nonsense"), http(500, b"<html>")],
)  # fmt: skip
def test_what_is_no_node_or_ends_too_soon(path: Path, reply: bytes) -> None:
    with node(path, reply), pytest.raises(NodeLost):
        run(AsyncControlClient(path).call(calls.status()))


def test_a_reply_has_a_bound(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(aio, "MAX_REPLY", 1000)
    with node(path, http(200, b"x" * 1001)), pytest.raises(NodeLost, match="more than 1000 bytes"):
        run(AsyncControlClient(path).call(calls.status()))


def test_no_node_there(path: Path, tmp_path: Path) -> None:
    client = AsyncControlClient(path)
    with pytest.raises(NoNode, match="No node runs here"):
        run(client.call(calls.status()))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(os.fspath(path))
    with pytest.raises(NoNode, match="aiplat serve"):
        run(gather(client.ask(ASK)))
    with pytest.raises(NoNode, match=r"cannot be used|nothing listens"):
        run(AsyncControlClient(tmp_path / ("x" * 200)).call(calls.status()))


def test_a_silent_node_is_left_after_its_time_and_hung_up_on(path: Path) -> None:
    with node(path, hold=True) as served:
        with pytest.raises(NodeSilent, match=r"0\.1 seconds"):
            run(AsyncControlClient(path, timeout=0.1).call(calls.stop(Stop())))
        assert served.hung_up.wait(30)


def test_a_call_that_may_take_longer_gets_its_own_time(path: Path) -> None:
    call = calls.Call("/control/slow", Done, None, 0.2)
    with node(path, hold=True), pytest.raises(NodeSilent, match=r"0\.2 seconds"):
        run(AsyncControlClient(path, timeout=0.1).call(call))


def test_calls_at_once_do_not_wait_for_each_other(tmp_path: Path) -> None:
    async def both(slow: Path, quick: Path) -> None:
        async with asyncio.TaskGroup() as group:
            waits = group.create_task(AsyncControlClient(slow, timeout=30).call(calls.access()))
            done = await AsyncControlClient(quick).call(calls.access())
            assert done.api_key == "k" and not waits.done()
            waits.cancel()

    reply = http(200, msgspec.json.encode(Access(base_url="", api_key="k")))
    with node(tmp_path / "a", hold=True) as served, node(tmp_path / "b", reply):
        run(both(tmp_path / "a", tmp_path / "b"))
        assert served.hung_up.wait(30), "who is cancelled hangs up"


# -- an answer -------------------------------------------------------------------------------------


def whole() -> bytes:
    said = [
        Accepted(request="req-1", kept=True),
        started(),
        Delta((1,), "Grüße "),
        Delta((2,), "漢字"),
    ]
    return b": waiting\n\n" + b"".join(map(event, [*said, finished(2)]))


def check(events: Sequence[Event]) -> None:
    assert events[0] == Accepted(request="req-1", kept=True)
    assert isinstance(events[1], Started)
    assert "".join(one.text for one in events if isinstance(one, Delta)) == "Grüße 漢字"
    assert isinstance(events[-1], Finished)


def test_an_answer_comes_as_its_events(path: Path) -> None:
    with node(path, EVENTS, chunk(whole()), b"0\r\n\r\n") as served:
        check(run(gather(AsyncControlClient(path).ask(ASK))))
    assert served.head.startswith(b"POST /control/ask ")
    assert msgspec.json.decode(served.body, type=Ask) == ASK


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
def test_events_may_be_split_at_any_byte(path: Path, size: int) -> None:
    data = whole()
    pieces = [chunk(data[at : at + size]) for at in range(0, len(data), size)]
    with node(path, EVENTS + b"".join(pieces) + b"0\r\n\r\n"):
        check(run(gather(AsyncControlClient(path).ask(ASK))))


def test_bytes_may_come_at_any_time(path: Path) -> None:
    """As above, but on the socket, where the frames of HTTP are cut too."""
    data = EVENTS + chunk(whole()) + b"0\r\n\r\n"
    with node(path, *(data[at : at + 1] for at in range(len(data)))):
        check(run(gather(AsyncControlClient(path).ask(ASK))))


def test_an_answer_is_followed_by_its_name(path: Path) -> None:
    with node(path, EVENTS, chunk(whole())) as served:
        check(run(gather(AsyncControlClient(path).follow("req-1"))))
    assert served.head.startswith(b"POST /control/answers/follow ")
    assert served.body == b'{"request":"req-1"}'


def test_a_refusal_before_the_stream(path: Path) -> None:
    body = b'{"error":{"code":"invalid_request","message":"No answer."}}'
    with node(path, http(400, body)), pytest.raises(InvalidRequest, match="No answer"):
        run(gather(AsyncControlClient(path).follow("req-1")))


def test_a_failure_in_mid_answer_is_raised_after_what_came(path: Path) -> None:
    failed = b'event: failed\ndata: {"type":"failed","code":"overloaded","message":"Full."}\n\n'
    events: list[Event] = []

    async def listen() -> None:
        async for one in AsyncControlClient(path).ask(ASK):
            events.append(one)  # noqa: PERF401  # what came before the failure counts too

    with node(path, EVENTS, chunk(ACCEPTED + DELTA + failed)), pytest.raises(Overloaded):
        run(listen())
    assert events == [Accepted(request="req-1"), Delta(text="a")]


@pytest.mark.parametrize("end", [b"", b"0\r\n\r\n", b"5\r\nab"])
def test_a_node_that_ends_in_mid_answer(path: Path, end: bytes) -> None:
    with (
        node(path, EVENTS, chunk(ACCEPTED + DELTA), end),
        pytest.raises(NodeLost, match="ended before its answer was whole"),
    ):
        run(gather(AsyncControlClient(path).ask(ASK)))


def test_a_node_that_falls_silent_in_mid_answer(path: Path) -> None:
    client = AsyncControlClient(path, silence=0.2)
    with node(path, EVENTS, chunk(ACCEPTED), hold=True) as served:
        with pytest.raises(NodeSilent, match=r"0\.2 seconds"):
            run(gather(client.ask(ASK)))
        assert served.hung_up.wait(30)


@pytest.mark.parametrize("data", [b"{}", b"\xff", b'{"type":"delta","text":5}'])
def test_events_that_are_none(path: Path, data: bytes) -> None:
    told = chunk(b"event: delta\ndata: " + data + b"\n\n")
    with node(path, EVENTS, told), pytest.raises(NodeLost, match="no node of this version"):
        run(gather(AsyncControlClient(path).ask(ASK)))


@pytest.mark.parametrize("leave", ["close", "cancel"])
def test_who_leaves_early_hangs_up_at_once(path: Path, leave: str) -> None:
    async def closed() -> None:
        async with aclosing(AsyncControlClient(path).ask(ASK)) as events:
            assert await anext(events) == Accepted(request="req-1")

    async def cancelled() -> None:
        heard = asyncio.Event()

        async def listen() -> None:
            async for _ in AsyncControlClient(path).ask(ASK):
                heard.set()

        async with asyncio.TaskGroup() as group:
            task = group.create_task(listen())
            await heard.wait()
            task.cancel()

    work: Callable[[], Coroutine[Any, Any, None]] = closed if leave == "close" else cancelled
    with node(path, EVENTS, chunk(ACCEPTED + DELTA), hold=True) as served:
        run(work())
        assert served.hung_up.wait(30)


@pytest.mark.parametrize("said", [b": waiting\n\n", b": waiting\n\n" + ACCEPTED])
def test_a_deadline_that_the_node_forgets(
    path: Path, monkeypatch: pytest.MonkeyPatch, said: bytes
) -> None:
    monkeypatch.setattr(aio, "SLACK", -1.0)
    ask = Ask(messages=ASK.messages, deadline_ms=10)
    with (
        node(path, EVENTS, chunk(said), hold=True) as served,
        pytest.raises(DeadlineExceeded, match=r"0\.01 seconds"),
    ):
        run(gather(AsyncControlClient(path).ask(ask)))
    assert served.hung_up.is_set()


def test_what_comes_behind_the_end_is_nobodys(path: Path) -> None:
    end = event(Finished("stop", Usage(1, 1)))
    with node(path, EVENTS, chunk(ACCEPTED + end + DELTA), hold=True):
        events = run(gather(AsyncControlClient(path).ask(ASK)))
    assert [type(one) for one in events] == [Accepted, Finished]


def test_an_unknown_code_is_the_root(path: Path) -> None:
    body = b'{"error":{"code":"teapot","message":"Short."}}'
    with node(path, http(418, body)), pytest.raises(AiplatError, match="Short"):
        run(AsyncControlClient(path).call(calls.status()))
